"""Processes: every way in which the kernel holds them, a scan of memory, the target's `ps` and its /proc."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from forensics.findings.presence import TOLERANCE, booted, epoch
from forensics.findings.rule import is_true, number_of, text_of
from forensics.model import Facts, utc
from forensics.tables import Absent, Cell, Column, Table
from forensics.views.merging import NOT_TAKEN, sources

NAME = "process_views"
MEMORY, SCAN = "linux.forensics.processes.ProcessViews", "linux.psscan.PsScan"
LIST, NUMBERS = "linux.pslist.PsList", "linux.pidhashtable.PIDHashTable"
LIVE, PROC = "processes", "processes_in_proc"

_KERNEL_WAYS = ("in_list", "in_tree", "in_table", "in_groups")
_COLUMNS = (
    Column("pid", "integer"),
    Column("name"),
    Column("started", "time"),
    Column("kernel_thread", "yes/no"),
    Column("ended", "yes/no"),
    *(Column(name, "yes/no") for name in (*_KERNEL_WAYS, "in_scan", "before", "ps", "proc")),
)


_UNKNOWN = Absent("memory does not have it")


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    name: str
    started: float | None = None  # seconds since 1970 by the target's clock; None: not told
    kernel_thread: Cell = _UNKNOWN
    ended: Cell = _UNKNOWN
    shown: Mapping[str, Cell] = field(default_factory=dict)

    def same(self, other: _Process) -> bool:
        """Tell whether two views mean one process: pid numbers come again."""
        if self.pid != other.pid:
            return False
        return self.started is None or other.started is None or abs(self.started - other.started) <= TOLERANCE


def view(tables: Mapping[str, Table], facts: Facts | None, facts_exhibit: str) -> Table | None:
    """Make the view; None when memory's list of processes is not there."""
    remembered = _remembered(tables)
    if remembered is None:
        return None
    found = list(remembered)
    for name, listed in (("before", _before(facts)), ("ps", _ps(tables)), ("proc", _proc(tables))):
        found = list(_merged(found, name, listed))
    rows = tuple(_row(one) for one in sorted(found, key=lambda one: (one.pid, one.started or 0)))
    used = sources(tables, MEMORY, SCAN, *(() if MEMORY in tables else (LIST, NUMBERS)), LIVE, PROC, more=facts_exhibit)
    return Table(NAME, "Processes, as each view shows them", _COLUMNS, rows, used)


def _remembered(tables: Mapping[str, Table]) -> list[_Process] | None:
    if MEMORY in tables:
        found = [_of_kernel(row) for row in tables[MEMORY]]
        places = {number_of(row.get("Physical offset")) for row in tables[MEMORY]}
    elif LIST in tables:
        found, places = list(_of_list(tables)), set()
    else:
        return None
    return [*_with_scan(tables, found, places)]


def _of_kernel(row: Mapping[str, Cell]) -> _Process:
    ways: dict[str, Cell] = {name: row[f"In {name.removeprefix('in_')}"] for name in _KERNEL_WAYS}
    ways["place"] = row["Physical offset"]
    return _Process(
        number_of(row["PID"]) or 0,
        text_of(row["Name"], 64),
        epoch(row["Started"]),
        row["Kernel thread"],
        row["Ended"],
        ways,
    )


def _of_list(tables: Mapping[str, Table]) -> Iterator[_Process]:
    """Take Volatility's own two lists where the analyst's plan leaves ours out."""
    numbers = {number_of(row["PID"]) for row in tables[NUMBERS]} if NUMBERS in tables else None
    listed = set()
    for row in tables[LIST]:
        pid = number_of(row["PID"])
        if pid is not None and row.get("TID", pid) == pid:
            listed.add(pid)
            ways = {"in_list": True, "in_table": NOT_TAKEN if numbers is None else pid in numbers}
            untold = Absent("this plugin does not tell it")
            yield _Process(pid, text_of(row["COMM"], 64), epoch(row["CREATION TIME"]), untold, untold, ways)
    for row in tables.get(NUMBERS, ()):
        pid = number_of(row["PID"])
        if pid is not None and row["TID"] == pid and pid not in listed:
            yield _Process(pid, text_of(row["COMM"], 64), shown={"in_list": False, "in_table": True})


def _with_scan(tables: Mapping[str, Table], found: list[_Process], places: set[int | None]) -> Iterator[_Process]:
    """Tell what a scan has; a task that only the scan has, under a number of its own, is a row of its own.

    Copies of a known task are no news: the kernel copies the parent's before it gives the child a number.
    """
    if SCAN not in tables:
        yield from found
        return
    scanned = {number_of(row["OFFSET (P)"]): row for row in tables[SCAN] if row["PID"] == row["TID"]}
    numbers = {number_of(row["PID"]) for row in scanned.values()}
    for one in found:
        place = one.shown.get("place")
        there = number_of(place) in scanned if place is not None else one.pid in numbers
        yield replace(one, shown={**one.shown, "in_scan": there})
    known = {one.pid for one in found}
    for row in scanned.values():
        pid = number_of(row["PID"])
        alive = text_of(row["EXIT_STATE"]) == "TASK_RUNNING"
        if pid is not None and alive and pid not in known:
            known.add(pid)
            ways: dict[str, Cell] = dict.fromkeys(_KERNEL_WAYS, False) if places else {"in_list": False}
            yield _Process(pid, text_of(row["COMM"], 64), ended=False, shown={**ways, "in_scan": True})


def _merged(found: list[_Process], name: str, listed: list[_Process] | None) -> Iterator[_Process]:
    """Add a live view: tell of each process whether it is there, and add those that are there alone."""
    by_pid: dict[int, list[_Process]] = {}
    for one in listed or ():
        by_pid.setdefault(one.pid, []).append(one)
    for one in found:
        there = any(one.same(other) for other in by_pid.get(one.pid, ()))
        yield replace(one, shown={**one.shown, name: NOT_TAKEN if listed is None else there})
    for other in listed or ():
        if not any(other.same(one) for one in found if one.pid == other.pid):
            yield replace(other, shown={name: True})


def _before(facts: Facts | None) -> list[_Process] | None:
    if facts is None or not facts.processes:
        return None
    boot = booted(facts)
    return [
        _Process(one.pid, one.comm, None if boot is None else boot + one.started, one.kernel_thread)
        for one in facts.processes
    ]


def _ps(tables: Mapping[str, Table]) -> list[_Process] | None:
    if LIVE not in tables:
        return None
    return [
        _Process(number_of(row["pid"]) or 0, text_of(row["comm"], 64), epoch(row["started"]), row["kernel_thread"])
        for row in tables[LIVE]
    ]


def _proc(tables: Mapping[str, Table]) -> list[_Process] | None:
    if PROC not in tables:
        return None
    return [_Process(number_of(row["pid"]) or 0, text_of(row["exe"], 64)) for row in tables[PROC]]


def _row(one: _Process) -> tuple[Cell, ...]:
    started: Cell = Absent("no view tells it")
    if one.started is not None:
        started = utc(datetime.fromtimestamp(one.started, UTC))
    in_memory = any(is_true(one.shown.get(name)) for name in (*_KERNEL_WAYS, "in_scan"))
    default: Cell = NOT_TAKEN if in_memory else False
    memory = (one.shown.get(name, default) for name in (*_KERNEL_WAYS, "in_scan"))
    live = (one.shown.get(name, False) for name in ("before", "ps", "proc"))
    return (one.pid, one.name, started, one.kernel_thread, one.ended, *memory, *live)
