"""The process list of an image beside what the target listed before and after, and what changed meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from forensics import tables
from forensics.model import JSON, LiveProcess
from forensics.tables import Absent, Cell, Column
from forensics.volatility.listing import MemoryProcess

TITLE = "Processes in memory beside the live lists"
_COLUMNS = (
    Column("pid", "integer"),
    Column("ppid", "integer"),
    Column("uid", "integer"),
    Column("comm"),
    Column("started", "time"),
    Column("in_memory", "yes/no"),
    Column("live_before", "yes/no"),
    Column("live_after", "yes/no"),
)
_NAMED = 200


def write(
    path: Path,
    image: str,
    found: Sequence[MemoryProcess],
    before: Sequence[LiveProcess],
    after: Sequence[LiveProcess],
) -> None:
    """Write the three lists side by side, by process id; `image` is the exhibit's number."""
    memory = {one.pid: one for one in found}
    earlier = {one.pid: one for one in before}
    later = {one.pid: one for one in after}
    with path.open("x", encoding="ascii") as file:
        writer = tables.TableWriter(file, "memory_processes", TITLE, _COLUMNS, (image,))
        for pid in sorted({*memory, *earlier, *later}):
            one, live = memory.get(pid), later.get(pid) or earlier.get(pid)
            writer.row(_row(pid, one, live, (pid in memory, pid in earlier, pid in later)))


def changed(before: Sequence[LiveProcess], after: Sequence[LiveProcess]) -> dict[str, JSON]:
    """Tell which processes began and which ended between the two lists; a number that was used again is both."""
    earlier = {(one.pid, one.started): one for one in before}
    later = {(one.pid, one.started): one for one in after}
    return {
        "began": _named([one for key, one in later.items() if key not in earlier]),
        "ended": _named([one for key, one in earlier.items() if key not in later]),
    }


def _named(processes: Sequence[LiveProcess]) -> list[JSON]:
    return [[one.pid, one.comm] for one in sorted(processes, key=lambda each: each.pid)[:_NAMED]]


def _row(
    pid: int, one: MemoryProcess | None, live: LiveProcess | None, where: tuple[bool, bool, bool]
) -> tuple[Cell, ...]:
    told = one or live
    assert told is not None  # noqa: S101 - a pid is here because one of them has it
    uid: Cell = told.uid if told.uid is not None else Absent("its credentials are not in the image")
    started: Cell = one.started if one and one.started else Absent("only the image tells it")
    return (pid, told.ppid, uid, told.comm, started, *where)
