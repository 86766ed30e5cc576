"""From a suspect Linux host to a report that anyone can check."""

__version__ = "0.1.0"
