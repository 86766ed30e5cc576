"""Symbol tables (ISF) for Volatility, from what a running kernel tells of itself."""

from forensics.isf.convert import make
from forensics.isf.kallsyms import PHYSICAL_START
from forensics.isf.notes import Notes

__all__ = ["PHYSICAL_START", "Notes", "make"]
