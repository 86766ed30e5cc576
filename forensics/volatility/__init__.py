"""Volatility 3 as a library: one stacking for all plugins, one child process for each, rows to disk as they come.

What a stage uses is here, and imports nothing of Volatility, which freezes its cache folder when it is imported: that
happens in a fresh process only (`forensics.volatility.worker`), never in one that holds connections to a target.
"""

from forensics.volatility.catalogue import DEFAULT, YARA, AskedPlugin, Available, available
from forensics.volatility.listing import MemoryProcess, NoProcessList, ProcessList, processes
from forensics.volatility.messages import Ended, Job, Opened, Unusable
from forensics.volatility.session import run

__all__ = [
    "DEFAULT",
    "YARA",
    "AskedPlugin",
    "Available",
    "Ended",
    "Job",
    "MemoryProcess",
    "NoProcessList",
    "Opened",
    "ProcessList",
    "Unusable",
    "available",
    "processes",
    "run",
]
