"""Traces of the block layer: one reader for what blktrace, blkparse and ftrace write, their latencies and pictures."""

from forensics.blockio.latency import Requests, pair
from forensics.blockio.reading import TraceReport, interpret, latencies, processes, totals
from forensics.blockio.trace import Trace, TraceRefused, dropped, read

__all__ = [
    "Requests",
    "Trace",
    "TraceRefused",
    "TraceReport",
    "dropped",
    "interpret",
    "latencies",
    "pair",
    "processes",
    "read",
    "totals",
]
