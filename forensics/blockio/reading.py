"""Tables and pictures of a trace: totals, latencies over all and by process, and who read and wrote how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from forensics.blockio import pictures
from forensics.blockio.latency import MEASURES, C, D, F, M, Q, R, Requests, X, pair
from forensics.blockio.trace import Integers, Trace, TraceRefused, read
from forensics.model import utc
from forensics.tables import Absent, Cell, Column, Table

_TOTALS = (Column("name"), Column("value", "number"), Column("unit"))
_LATENCY = (
    Column("scope"),
    Column("pid", "integer"),
    Column("measure"),
    Column("count", "integer"),
    *(Column(name, "seconds") for name in ("minimum", "average", "median", "p95", "p99", "maximum")),
)
_PROCESSES = (
    Column("pid", "integer"),
    Column("process"),
    Column("reads", "integer"),
    Column("read_bytes", "bytes"),
    Column("writes", "integer"),
    Column("written_bytes", "bytes"),
)
_MOST = 40
"""Processes that get their own latencies: those that queued most."""
_PC = 0x200


@dataclass(frozen=True, slots=True)
class TraceReport:
    """What was made of a trace, with the bytes that could not be read."""

    tables: tuple[Table, ...]
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    unread: int = 0


def interpret(raw: bytes, drops: int | None) -> TraceReport:
    """Make the tables `block_io_…` and the pictures of one stream of a trace; all bytes unread when it is no trace.

    `drops`: events that were lost by blktrace's own count; None when it is not known.
    """
    try:
        trace = read([raw], drops)
    except TraceRefused:
        return TraceReport((), {}, len(raw))
    requests = pair(trace)
    tables = (totals(trace), latencies(trace, requests), processes(trace))
    return TraceReport(tables, pictures.draw(trace, requests) if len(requests) else {}, trace.unread)


def totals(trace: Trace) -> Table:
    """Count as blkparse does: requests and KiB queued, issued and completed, merges; and what was lost."""
    rows = list(_counts(trace))
    rows.append(("merges", _count(trace, trace.event == M) + _count(trace, trace.event == F), "requests"))
    rows.append(("splits", _count(trace, trace.event == X), "requests"))
    rows.append(("requeued", _count(trace, trace.event == R), "requests"))
    rows.append(("events", len(trace), "events"))
    lost: Cell = Absent("blktrace did not come to say it") if trace.dropped is None else trace.dropped
    rows.append(("dropped", lost, "events"))
    rows.append(("unread", trace.unread, "bytes"))
    if len(trace):
        rows.append(("span", float(trace.time[-1] - trace.time[0]) / 1e9, "seconds"))
        began: Cell = Absent("the trace has no wall clock")
        if trace.epoch is not None:
            began = _moment(trace.epoch + float(trace.time[0]) / 1e9)
        rows.append(("first event", began, "time"))
    return Table("block_io_totals", "Block I/O: totals of the trace", _TOTALS, tuple(rows))


def _moment(seconds: float) -> Cell:
    try:
        return utc(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return Absent("not a time that can be")


def _counts(trace: Trace) -> Iterator[tuple[Cell, ...]]:
    fine = trace.category & _PC == 0
    for word, event in (("queued", Q), ("issued", D), ("completed", C)):
        for direction, bit in (("reads", 0), ("writes", 2)):
            rows = (trace.event == event) & fine & (trace.category & 2 == bit)
            yield f"{direction} {word}", _count(trace, rows), "requests"
            yield f"{direction} {word}, size", int(trace.size[rows].sum()) / 1024, "KiB"


def _count(trace: Trace, rows: npt.NDArray[np.bool_]) -> int:
    del trace
    return int(np.count_nonzero(rows))


def latencies(trace: Trace, requests: Requests) -> Table:
    """Give each measure over all, then by the processes that queued most."""
    rows = list(_measured("all", Absent("all processes"), requests, None))
    pids, counts = np.unique(requests.pid, return_counts=True)
    for pid in pids[np.argsort(-counts, kind="stable")][:_MOST].tolist():
        rows.extend(_measured(name_of(trace, pid), pid, requests, requests.pid == pid))
    return Table("block_io_latency", "Block I/O: latencies", _LATENCY, tuple(rows))


def name_of(trace: Trace, pid: int) -> str:
    """Name a process as the trace does."""
    return trace.names.get(pid, f"process {pid}")


def _measured(
    scope: str, pid: Cell, requests: Requests, only: npt.NDArray[np.bool_] | None
) -> Iterator[tuple[Cell, ...]]:
    for measure in MEASURES:
        times, rows = requests.times(measure)
        chosen = times if only is None else times[only[rows]]
        if len(chosen):
            yield scope, pid, measure, len(chosen), *_spread(chosen)


def _spread(times: Integers) -> tuple[float, ...]:
    """Give minimum, average, median, 95th and 99th percentile and maximum in seconds."""
    middle = np.percentile(times, (50, 95, 99), method="linear")
    numbers = (times.min(), times.mean(), *middle, times.max())
    return tuple(round(float(number) / 1e9, 12) for number in numbers)


def processes(trace: Trace) -> Table:
    """Charge every byte to the process that queued it, the busiest first."""
    rows = (trace.event == Q) & (trace.category & _PC == 0)
    pids, place = np.unique(trace.pid[rows], return_inverse=True)
    writes = (trace.category[rows] & 2) != 0
    size = trace.size[rows]
    columns = [
        np.bincount(place, weights, len(pids)).astype(np.int64).tolist()
        for weights in (~writes, np.where(writes, 0, size), writes, np.where(writes, size, 0))
    ]
    listed = [
        (pid, name_of(trace, pid), reads, read_bytes, count, written)
        for pid, reads, read_bytes, count, written in zip(pids.tolist(), *columns, strict=True)
    ]
    listed.sort(key=lambda row: -(row[3] + row[5]))
    return Table("block_io_processes", "Block I/O by process", _PROCESSES, tuple(listed))
