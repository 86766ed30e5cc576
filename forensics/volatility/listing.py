"""The process list of an image, by itself: quick, for the proof that an image can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forensics import tables
from forensics.errors import ForensicsError, StageFailed
from forensics.model import Outcome
from forensics.volatility.messages import Ended, Job, Limits, Unusable
from forensics.volatility.session import run

_PLUGIN, _WAYS = "linux.pslist.PsList", "linux.forensics.processes.ProcessViews"


class NoProcessList(StageFailed):
    """No process list can be read from the image."""


@dataclass(frozen=True, slots=True)
class MemoryProcess:
    """One process in the kernel's list, as the image has it."""

    pid: int
    ppid: int
    uid: int | None  # None: its credentials are not in the image
    comm: str
    started: str | None  # UTC, RFC 3339
    address: int  # of its task_struct


@dataclass(frozen=True, slots=True)
class ProcessList:
    """The processes of an image, and what stands against trusting the list."""

    processes: tuple[MemoryProcess, ...]
    incomplete: str  # why it is not all of the list, "" when the whole list could be walked


@dataclass(frozen=True, slots=True)
class HeldProcess:
    """One process, and by which of the kernel's structures an image holds it."""

    pid: int
    comm: str
    started: str | None  # UTC, RFC 3339
    ended: bool
    ways: tuple[str, ...]  # of: list, tree, table, groups


def processes(
    image: Path, table: Path, work: Path, seconds: float = 300.0, places: tuple[int, ...] = ()
) -> ProcessList:
    """Read the process list of a LiME image with a symbol table, in a fresh process; `work` is a folder of its own.

    NoProcessList when there is none to be had, with the reason.
    """
    rows, ended = _rows(_PLUGIN, image, table, work, (seconds, places))
    return ProcessList(tuple(map(_process, rows)), ended.reason)


def held(
    image: Path, table: Path, work: Path, seconds: float = 300.0, places: tuple[int, ...] = ()
) -> tuple[HeldProcess, ...]:
    """Read which processes are held by any of the kernel's structures, its list being one; as `processes` does."""
    rows, _ = _rows(_WAYS, image, table, work, (seconds, places))
    return tuple(map(_held, rows))


def _rows(
    plugin: str, image: Path, table: Path, work: Path, how: tuple[float, tuple[int, ...]]
) -> tuple[tables.Table, Ended]:
    seconds, places = how
    limits = Limits(seconds=seconds)
    job = Job(str(image.resolve()), str(table.resolve()), str(work.resolve()), (plugin,), 1, limits, places=places)
    ended = Ended(plugin, Outcome.FAILED, "Volatility said nothing")
    for message in run(job, stacking_seconds=seconds):
        if isinstance(message, Unusable):
            raise _none(message.reason)
        if isinstance(message, Ended):
            ended = message
    if not ended.kept or ended.outcome is Outcome.EMPTY:
        raise _none(ended.reason)
    return tables.read(work / f"{plugin}.jsonl"), ended


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of trying symbol tables on an image, one after the other."""

    table: str  # the name of the first that fits; "" when none does
    found: ProcessList | None
    unfit: tuple[str, ...]  # the others before it, each with why it does not fit


def try_tables(image: Path, named: Mapping[str, Path], work: Path, places: tuple[int, ...] = ()) -> Tried:
    """Read the process list with the first table that fits the image; `work` is a folder of its own."""
    unfit: list[str] = []
    for number, (name, table) in enumerate(named.items()):
        try:
            found = processes(image, table, work / f"table-{number}", places=places)
        except ForensicsError as problem:
            unfit.append(f"{name}: {problem}")
            continue
        return Tried(name, found, tuple(unfit))
    return Tried("", None, tuple(unfit))


def _none(reason: str) -> NoProcessList:
    return NoProcessList("no process list can be read from the image", why=reason)


def _process(row: tables.Row) -> MemoryProcess:
    uid, started = row["UID"], row["CREATION TIME"]
    return MemoryProcess(
        pid=int(row["PID"]),  # type: ignore[arg-type]  # the plugin's column is an integer, never absent
        ppid=int(row["PPID"]),  # type: ignore[arg-type]
        uid=uid if isinstance(uid, int) else None,
        comm=str(row["COMM"]),
        started=started if isinstance(started, str) else None,
        address=int(row["OFFSET (V)"]),  # type: ignore[arg-type]
    )


def _held(row: tables.Row) -> HeldProcess:
    started = row["Started"]
    return HeldProcess(
        pid=int(row["PID"]),  # type: ignore[arg-type]
        comm=str(row["Name"]),
        started=started if isinstance(started, str) else None,
        ended=row["Ended"] is True,
        ways=tuple(name for name in ("list", "tree", "table", "groups") if row[f"In {name}"] is True),
    )
