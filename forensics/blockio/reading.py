"""Tables of a trace: totals, latencies over all, by device and by process, who moved how much, overhead, seeks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np

from forensics.blockio import parallel
from forensics.blockio.counting import Counts, arrivals, count, depths, device_name, directions, distances, issues
from forensics.blockio.events import WRITE, C, D, Q, R, X
from forensics.blockio.latency import MEASURES, Requests, pair
from forensics.blockio.records import TraceRefused
from forensics.blockio.sorting import Integers, numbered, order_of
from forensics.blockio.spread import Spread, spread, spreads
from forensics.blockio.trace import Trace, read
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
_DEVICES = (
    Column("device"),
    *(Column(name, "integer") for name in ("queued", "issued", "completed", "merges")),
    Column("queued_per_issued", "number"),
    *(Column(name, "bytes") for name in ("smallest", "average", "largest", "issued_bytes")),
    *(Column(name, "integer") for name in ("read_depth", "write_depth", "sequential", "seeks")),
    *(Column(name, "number") for name in ("seek_average", "seek_median", "seek_maximum")),
)
_OVERHEAD = (Column("device"), Column("measure"), Column("seconds", "seconds"), Column("percent", "number"))
_MOST = 200
"""Processes that get their own latencies: those that queued most."""
_EVERYONE = Absent("all processes")
_SHARES = ("Q2G", "G2I", "Q2M", "I2D", "M2D", "D2C")


Wait = tuple[str, Integers, Integers]
"""A measure, its nanoseconds, and the requests that have it."""
Depth = tuple[int, int]
_Counted = tuple[Counts, Sequence[Depth], Table]
_Group = tuple[Integers, Integers]
_By = dict[int, Spread]
_Measured = tuple[str, Integers, _Group, _Group]
"""A measure and its nanoseconds: all of them, those with their devices, and those with their processes."""


@dataclass(frozen=True, slots=True)
class TraceReport:
    """What was made of a trace, with the bytes that could not be read."""

    tables: tuple[Table, ...]
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    unread: int = 0


def interpret(
    raw: bytes, drops: int | None, names: Mapping[int, str] | None = None, epoch: int | None = None
) -> TraceReport:
    """Make the tables `block_io_…` and the pictures of one stream of a trace; all bytes unread when it is no trace.

    `drops`: events that were lost by blktrace's own count; None when it is not known. `epoch`: nanoseconds since 1970
    at monotonic zero, where the trace itself does not tell it (ftrace).
    """
    try:
        trace = read([raw], drops, names)
    except TraceRefused:
        return TraceReport((), {}, len(raw))
    if epoch is not None and trace.notes.epoch is None:
        trace = replace(trace, notes=replace(trace.notes, epoch=epoch))
    requests, made = analyse(trace)
    from forensics.blockio import pictures  # noqa: PLC0415 - who wants tables alone does not wait for matplotlib

    return TraceReport(made, pictures.draw(trace, requests) if len(requests) else {}, trace.unread)


def analyse(trace: Trace) -> tuple[Requests, tuple[Table, ...]]:
    """Follow every request, and make all tables of a trace."""
    requests, counted, _ = parallel.all_of(lambda: pair(trace), lambda: _counts(trace), lambda: None)
    return requests, _tables(trace, requests, counted)


def tables(trace: Trace, requests: Requests) -> tuple[Table, ...]:
    """Make all tables of a trace whose requests were followed already."""
    return _tables(trace, requests, _counts(trace))


def _tables(trace: Trace, requests: Requests, counted: _Counted) -> tuple[Table, ...]:
    counts, deepest, by_device = counted
    waits = parallel.each(lambda name: (name, *requests.times(name)), MEASURES)
    whole, by_process, shares = parallel.all_of(
        lambda: latencies(trace, requests, waits),
        lambda: processes(trace, requests),
        lambda: overhead(requests, waits),
    )
    return totals(trace, counts, deepest), whole, by_process, by_device, shares


def _counts(trace: Trace) -> _Counted:
    counts = count(trace)
    deepest = [depths(trace, device) for device in counts.devices]
    return counts, deepest, devices(trace, counts, deepest)


def totals(trace: Trace, counts: Counts, deepest: Sequence[Depth]) -> Table:
    """Count as blkparse does: requests and KiB queued, issued and completed, merges, depth; and what was lost."""
    rows = [*_counted(counts), *_driven(trace, counts, deepest)]
    rows.append(("events", len(trace), "events"))
    lost: Cell = Absent("it is not known: nobody kept what blktrace said") if trace.dropped is None else trace.dropped
    rows.append(("dropped", lost, "events"))
    rows.append(("unread", trace.unread, "bytes"))
    if len(trace):
        rows.append(("span", float(trace.time[-1] - trace.time[0]) / 1e9, "seconds"))
        rows.append(("first event", began(trace), "time"))
    return Table("block_io_totals", "Block I/O: totals of the trace", _TOTALS, tuple(rows))


def began(trace: Trace) -> Cell:
    """Give the moment of the first event."""
    if trace.notes.epoch is not None:
        return _moment(trace.notes.epoch + int(trace.time[0]))
    if trace.notes.begun is None:
        return Absent("the trace has no wall clock")
    begun = _moment(trace.notes.begun)
    return Absent(f"blkparse -d leaves it out; tracing began at {begun}" if isinstance(begun, str) else begun.reason)


def _moment(time: int) -> str | Absent:
    """Write a moment as forensics.model.utc does: to bring that module would take a tenth of a short trace's time."""
    seconds, nanoseconds = divmod(time, 1_000_000_000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return Absent("not a time that can be")


def _counted(counts: Counts) -> Iterator[tuple[Cell, ...]]:
    for word, event in (("queued", Q), ("issued", D), ("completed", C)):
        for name, write in directions():
            yield f"{name} {word}", counts.of(event, write=write), "requests"
            yield f"{name} {word}, size", counts.kib(event, write=write), "KiB"
    merges = [counts.merges(write=write) for _, write in directions()]
    yield "merges", merges[0][0] + merges[1][0], "requests"
    for (name, _), (number, size) in zip(directions(), merges, strict=True):
        yield f"{name} merged", number, "requests"
        yield f"{name} merged, size", size, "KiB"
    yield "splits", counts.any(X), "requests"
    yield "requeued", counts.any(R), "requests"


def _driven(trace: Trace, counts: Counts, deepest: Sequence[Depth]) -> Iterator[tuple[Cell, ...]]:
    for name, write in directions():
        yield f"{name[:-1]} depth, at most", max((one[write] for one in deepest), default=0), "requests"
    yield "unplugs", counts.unplugs(timer=False) + counts.unplugs(timer=True), "events"
    span = float(trace.time[-1] - trace.time[0]) / 1e9 if len(trace) else 0.0
    for name, write in directions():
        if span:
            yield f"{name[:-1]} throughput", round(counts.kib(C, write=write) / span, 3), "KiB/s"


def latencies(trace: Trace, requests: Requests, waits: Sequence[Wait]) -> Table:
    """Give each measure over all, then by device where there are several, then by the processes that queued most."""
    pids, pid = numbered(requests.pid.astype(np.uint32))
    disks, disk = numbered(requests.device)

    def described(measured: Callable[[], _Measured]) -> tuple[str, list[Spread], _By, _By]:
        name, whole, of_disk, of_pid = measured()
        by_disk = spreads(*of_disk, len(disks)) if len(disks) > 1 else {}
        return name, [spread(whole)] if len(whole) else [], by_disk, spreads(*of_pid, len(pids))

    waited = [partial(_waited, requests, wait, disk, pid) for wait in waits]
    found = parallel.each(described, [partial(_arrived, requests, disk, pid), *waited])
    rows: list[tuple[Cell, ...]] = [("all", _EVERYONE, name, *told) for name, whole, _, _ in found for told in whole]
    for one, device in enumerate(disks.tolist()):
        scope: tuple[Cell, ...] = (f"device {device_name(device)}", _EVERYONE)
        rows += [(*scope, name, *by_disk[one]) for name, _, by_disk, _ in found if one in by_disk]
    for one in np.argsort(-np.bincount(pid, minlength=len(pids)), kind="stable")[:_MOST].tolist():
        scope = (name_of(trace, int(pids[one])), int(pids[one]))
        rows += [(*scope, name, *by_pid[one]) for name, _, _, by_pid in found if one in by_pid]
    return Table("block_io_latency", "Block I/O: latencies", _LATENCY, tuple(rows))


def _arrived(requests: Requests, disk: Integers, pid: Integers) -> _Measured:
    first = np.flatnonzero(np.diff(requests.row, prepend=-1) > 0)
    if len(first) != len(requests):
        first = np.unique(requests.row, return_index=True)[1]
    time = requests.queued[first]
    return "Q2Q", np.diff(time), _between(time, disk[first]), _between(time, pid[first])


def _waited(requests: Requests, wait: Wait, disk: Integers, pid: Integers) -> _Measured:
    name, times, rows = wait
    whole = len(rows) == len(requests)
    return name, times, (times, disk if whole else disk.take(rows)), (times, pid if whole else pid.take(rows))


def _between(time: Integers, group: Integers) -> _Group:
    """Give the times from one to the next of each group; `time` goes up."""
    if not len(group) or bool((group == group[0]).all()):
        return np.diff(time), group[1:]
    order = order_of(group)
    group = group.take(order)
    same = np.flatnonzero(group[1:] == group[:-1])
    return np.diff(time.take(order)).take(same), group.take(same)


def name_of(trace: Trace, pid: int) -> str:
    """Name a process as the trace does."""
    return trace.names.get(pid, f"process {pid}")


def processes(trace: Trace, requests: Requests) -> Table:
    """Charge every byte once to the process that queued it, the busiest first."""
    rows = arrivals(trace)
    if bool(requests.below.any()):
        rows = np.setdiff1d(rows, requests.row[requests.below])
    pids, place = numbered(trace.pid[rows])
    writes = (trace.category.take(rows) & WRITE) != 0
    size = trace.size.take(rows)
    columns = [
        np.bincount(place, weights, len(pids)).astype(np.int64).tolist()
        for weights in (~writes, np.where(writes, 0, size), writes, np.where(writes, size, 0))
    ]
    listed = [
        (pid, name_of(trace, pid), reads, read_bytes, writes, written)
        for pid, reads, read_bytes, writes, written in zip(pids.tolist(), *columns, strict=True)
    ]
    listed.sort(key=lambda row: -(row[3] + row[5]))
    return Table("block_io_processes", "Block I/O by process", _PROCESSES, tuple(listed))


def devices(trace: Trace, counts: Counts, deepest: Sequence[Depth]) -> Table:
    """Give for each device what btt tells of it: merge ratio, sizes, depth, and how far it had to seek."""
    rows = tuple(_device(trace, counts, place, deepest[place]) for place in range(len(counts.devices)))
    return Table("block_io_devices", "Block I/O by device", _DEVICES, rows)


def _device(trace: Trace, counts: Counts, place: int, deepest: Depth) -> tuple[Cell, ...]:
    device = counts.devices[place]
    queued, issued, completed = (counts.any(event, place) for event in (Q, D, C))
    merges = sum(counts.merges(write=write, device=place)[0] for _, write in directions())
    none = Absent("nothing was issued")
    rows = issues(trace, device)
    sizes = trace.size.take(rows)
    told: tuple[Cell, ...] = (none, none, none, 0)
    if len(sizes):
        told = (int(sizes.min()), int(sizes.mean()), int(sizes.max()), int(sizes.sum(dtype=np.int64)))
    gaps = np.abs(distances(trace, rows))
    far: tuple[Cell, ...] = (Absent("fewer than two requests were issued"),) * 3
    if len(gaps):
        far = (round(float(gaps.mean()), 1), float(np.median(gaps)), int(gaps.max()))
    sequential = int(np.count_nonzero(gaps == 0))
    ratio: Cell = round(queued / issued, 3) if issued else none
    facts = (device_name(device), queued, issued, completed, merges, ratio, *told, *deepest)
    return *facts, sequential, len(gaps) - sequential, *far


def overhead(requests: Requests, waits: Sequence[Wait]) -> Table:
    """Tell where the time of all requests went: the sum of each part, and its share of the sum of Q2C."""
    rows: list[tuple[Cell, ...]] = []
    disks, disk = numbered(requests.device)
    for one, device in enumerate(disks.tolist()):
        sums = {name: int((times if len(disks) < 2 else times[disk[seen] == one]).sum()) for name, times, seen in waits}
        rows += [
            (device_name(device), name, round(sums[name] / 1e9, 9), round(100 * sums[name] / sums["Q2C"], 4))
            for name in _SHARES
            if sums["Q2C"] and sums[name]
        ]
    return Table("block_io_overhead", "Block I/O: where the time went", _OVERHEAD, tuple(rows))
