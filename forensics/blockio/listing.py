"""One line an event, in the form of blkparse's default output (blkparse(1), "Default format")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from forensics.blockio.events import AHEAD, DISCARD, FLUSH, FUA, LETTERS, META, PC, SYNC, UT, WRITE, A, C, P, R, U, X
from forensics.blockio.sorting import Integers
from forensics.blockio.trace import Message, Trace
from forensics.text import show

_BLOCK = 1 << 14
_TAILS = {C, R}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are listed; what is empty or None asks for all."""

    actions: frozenset[str] = frozenset()  # letters, as blkparse prints them
    pids: frozenset[int] = frozenset()  # of who emitted the event
    devices: frozenset[str] = frozenset()  # "254,0"
    since: float | None = None  # seconds since the first event
    until: float | None = None
    absolute: bool = False  # the wall clock's time in front, where the trace tells it

    def rows(self, trace: Trace) -> Integers:
        """Give the rows of the events that are wanted."""
        chosen = np.ones(len(trace), np.bool_)
        if self.actions:
            chosen &= np.isin(trace.event, [number for number, one in enumerate(LETTERS) if one in self.actions])
        if self.pids:
            chosen &= np.isin(trace.pid, sorted(self.pids))
        if self.devices:
            numbers = [major << 20 | minor for major, minor in map(_numbers, self.devices)]
            chosen &= np.isin(trace.device, numbers)
        zero = int(trace.time[0]) if len(trace) else 0
        if self.since is not None:
            chosen &= trace.time - zero >= self.since * 1e9
        if self.until is not None:
            chosen &= trace.time - zero <= self.until * 1e9
        return np.flatnonzero(chosen)


def _numbers(device: str) -> tuple[int, int]:
    major, _, minor = device.partition(",")
    return int(major), int(minor)


def lines(trace: Trace, wanted: Wanted | None = None) -> Iterator[str]:
    """Give the lines of the events that are wanted, and the kernel's messages among them, in order of time.

    The reader has to have kept the sequence numbers. Bytes of SCSI commands are not printed.
    """
    wanted = wanted or Wanted()
    rows = wanted.rows(trace)
    talk = [] if wanted.actions - {"m"} or wanted.pids else list(trace.notes.messages)[::-1]
    named: dict[int, str] = {}
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        for time, line in zip(trace.time[block].tolist(), _block(trace, block, wanted, named), strict=True):
            while talk and talk[-1].time <= time:
                yield _message(trace, talk.pop(), absolute=wanted.absolute)
            yield line
    while talk:
        yield _message(trace, talk.pop(), absolute=wanted.absolute)


def _block(trace: Trace, rows: Integers, wanted: Wanted, named: dict[int, str]) -> Iterator[str]:
    zero, epoch = int(trace.time[0]), trace.notes.epoch if wanted.absolute else None
    sequence = np.zeros(len(rows), np.uint32) if trace.sequence is None else trace.sequence[rows]
    columns = (trace.event, trace.category, trace.pid, trace.device, trace.cpu, trace.sector, trace.size, trace.error)
    lists = [column[rows].tolist() for column in columns]
    told = _told(trace, rows)
    facts = zip(rows.tolist(), trace.time[rows].tolist(), sequence.tolist(), *lists, strict=True)
    for row, time, number, event, category, pid, device, cpu, sector, size, error in facts:
        name = named.get(pid)
        if name is None:
            name = named[pid] = show(trace.names.get(pid, "?"), 64)
        said = f"[{error}]" if event in _TAILS else f"[{name}]"
        seconds, nanoseconds = divmod(time - zero, 1_000_000_000)
        when = f"{moment(epoch + time)} " if epoch is not None else ""
        yield (
            f"{when}{device >> 20:3d},{device & 0xFFFFF:<3d} {cpu:2d} {number:8d} {seconds:5d}.{nanoseconds:09d} "
            f"{pid:5d} {letters(event):>2} {way(category, size > 0):>3} "
            f"{_what(event, category, sector, size, said, told.get(row))}"
        )


def _what(  # noqa: PLR0917 - the fields of a line
    event: int, category: int, sector: int, size: int, said: str, more: tuple[int, int] | None
) -> str:
    if event == P:
        return said
    if event in {U, UT}:
        return f"{said} {max(0, more[0]) if more else 0}"
    if event == X:
        return f"{sector} / {more[0] if more else 0} {said}"
    if event == A:
        origin, device = more or (0, 0)
        return f"{sector} + {size // 512} <- ({device >> 20},{device & 0xFFFFF}) {origin}"
    if category & PC:
        return said if event in _TAILS else f"{size} {said}"
    if size >= 512:
        return f"{sector} + {size // 512} {said}"
    return f"{sector} {said}" if event in _TAILS else said


def _told(trace: Trace, rows: Integers) -> Mapping[int, tuple[int, int]]:
    """Give what U, UT, X and A say beside, for those of the rows that are such."""
    first, behind = np.searchsorted(trace.said, [rows[0], rows[-1] + 1]).tolist()
    of: list[npt.NDArray[np.integer]] = [trace.said, trace.other, trace.origin]
    said, other, origin = (column[first:behind].tolist() for column in of)
    return {row: (number, device) for row, number, device in zip(said, other, origin, strict=True)}


def _message(trace: Trace, one: Message, *, absolute: bool) -> str:
    zero, epoch = int(trace.time[0]) if len(trace) else one.time, trace.notes.epoch if absolute else None
    seconds, nanoseconds = divmod(max(0, one.time - zero), 1_000_000_000)
    when = f"{moment(epoch + one.time)} " if epoch is not None else ""
    place = f"{one.device >> 20:3d},{one.device & 0xFFFFF:<3d} {one.cpu:2d} {0:8d}"
    return f"{when}{place} {seconds:5d}.{nanoseconds:09d} {0:5d}  m   N {show(one.text)}"


def letters(event: int) -> str:
    """Give the letters of an event."""
    return LETTERS[event] if event < len(LETTERS) else "?"


@lru_cache(4096)
def way(category: int, moves: bool) -> str:  # noqa: FBT001 - it is cached by place
    """Give the letters of blkparse's RWBS column; `moves`: the event has bytes."""
    first = "D" if category & DISCARD else "W" if category & WRITE else "R" if moves else "N"
    rest = ((FUA, "F"), (AHEAD, "A"), (SYNC, "S"), (META, "M"))
    return ("F" if category & FLUSH else "") + first + "".join(letter for bit, letter in rest if category & bit)


def moment(nanoseconds: int) -> str:
    """Write a time since 1970 to the nanosecond, in UTC; what cannot be a time as its number."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    except (ValueError, OverflowError, OSError):
        return str(nanoseconds)
