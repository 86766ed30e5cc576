"""Traces of the block layer: one reader for what blktrace, blkparse and ftrace write, their latencies and pictures."""

from forensics.blockio import arithmetic  # noqa: F401 - first of all
from forensics.blockio.latency import Requests, pair
from forensics.blockio.reading import TraceReport, analyse, interpret, latencies, processes, tables, totals
from forensics.blockio.records import TraceRefused
from forensics.blockio.trace import Trace, dropped, read

__all__ = [
    "Requests",
    "Trace",
    "TraceRefused",
    "TraceReport",
    "analyse",
    "dropped",
    "interpret",
    "latencies",
    "pair",
    "processes",
    "read",
    "tables",
    "totals",
]
