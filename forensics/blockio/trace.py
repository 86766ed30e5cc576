"""One capture of block I/O as columns: what blktrace, `blkparse -d` and ftrace's binary `blk` tracer write.

Taken are per-CPU files, one interleaved stream (`blktrace -o -`), `blkparse -d` dumps, and ftrace's binary `blk`
tracer: one record, four orders. Drops leave no mark in a trace (sequence numbers are given after a record has found
its place), so their number is handed in from blktrace's last words. What cannot be read is counted in bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from forensics.blockio import parallel
from forensics.blockio.records import CGROUP, LAST_EVENT, LAST_NOTE, NOTIFY, Integers, Records, TraceRefused, locate
from forensics.text import decode

U, UT, X, A = 10, 11, 13, 15
_PROCESS, _TIMESTAMP, _MESSAGE = 0, 1, 2
_MESSAGES = 10_000
"""How many of the kernel's messages are kept as text; all are counted."""


class Message(NamedTuple):
    """A line that the kernel wrote into a trace (bfq, blk-throttle and others do)."""

    time: int  # nanoseconds
    device: int
    cpu: int
    text: str


@dataclass(frozen=True, slots=True)
class Notes:
    """What a trace says beside its events."""

    names: Mapping[int, str] = field(default_factory=dict)  # pid -> comm; "a, b" when a number was used twice
    epoch: int | None = None  # nanoseconds since 1970 at the times' zero, when the trace tells it
    begun: int | None = None  # nanoseconds since 1970 at which tracing began, when the trace tells it
    messages: tuple[Message, ...] = ()  # the first ones
    count: int = 0  # of all notes


@dataclass(frozen=True, slots=True)
class Trace:
    """Events in order of time. Times in nanoseconds of the target's monotonic clock, sectors of 512 bytes."""

    time: Integers
    sector: Integers
    size: npt.NDArray[np.uint32]  # bytes
    event: npt.NDArray[np.uint8]  # 1 queue … 17 driver data
    category: npt.NDArray[np.uint32]  # bits: 1 read, 2 write, 4 flush, …
    pid: npt.NDArray[np.uint32]  # the thread that emitted the event
    device: npt.NDArray[np.uint32]  # major << 20 | minor
    cpu: npt.NDArray[np.uint16]
    error: npt.NDArray[np.uint16]
    said: Integers  # rows of U, UT, X and A, which say something more
    other: Integers  # for those: X second sector, A sector it was mapped from, U depth; -1 when it is not there
    origin: npt.NDArray[np.uint32]  # for those: A the device it was mapped from
    notes: Notes = field(default_factory=Notes)
    unread: int = 0  # bytes
    dropped: int | None = None  # events, by blktrace's own count; None: not known
    version: int = 7
    sequence: npt.NDArray[np.uint32] | None = None  # of each processor's events, where it was asked for

    def __len__(self) -> int:
        return len(self.time)

    @property
    def names(self) -> Mapping[int, str]:
        """Names of processes by number."""
        return self.notes.names


def read(
    files: Sequence[bytes | Path],
    drops: int | None = None,
    names: Mapping[int, str] | None = None,
    *,
    sequences: bool = False,
) -> Trace:
    """Read one capture from its files; TraceRefused when one is no trace, or of an unknown version.

    `names`: of processes, where the trace itself tells none (ftrace). Empty files of idle processors count for nothing.
    `sequences`: keep each event's number too, which only a listing shows.
    """
    raws = [raw for raw in map(_octets, files) if len(raw)]
    if not raws:
        raise TraceRefused(
            "the trace is empty", why="there is not one byte", remedy="see what blktrace said at its end"
        )
    parts = parallel.each(lambda raw: _Part.of(locate(raw)), raws)
    return _in_time(parts, drops, names or {}, sequences=sequences)


def _octets(source: bytes | Path) -> npt.NDArray[np.uint8]:
    return np.fromfile(source, np.uint8) if isinstance(source, Path) else np.frombuffer(source, np.uint8)


def dropped(words: bytes, *, piped: bool = False) -> int | None:
    """Give how many events blktrace says it lost; None when it did not come to say it.

    Its summary goes to stdout. When that is the trace itself (`-o -`, `piped`), there is none, and a line on stderr
    only where something was lost (blktrace.c, show_stats): silence at a good end is 0.
    """
    total = re.search(rb"Total:\s+\d{1,15} events \(dropped (\d{1,15})\)", words)
    lost = total or re.search(rb"You have +(\d{1,15}) \(.{1,12}?\) dropped events", words)
    return int(lost[1]) if lost else 0 if piped else None


@dataclass(frozen=True, slots=True)
class _Part:
    """The events of one file, not yet copied out of it, and its notes."""

    records: Records
    time: Integers
    notes: Notes
    unread: int

    @classmethod
    def of(cls, records: Records) -> _Part:
        """Tell events from notes, and from records that cannot be."""
        count = len(records.starts)
        time = np.empty(count, np.int64)
        noting, strange = np.empty(count, np.bool_), np.empty(count, np.bool_)
        for first in range(0, count, _BLOCK):
            piece = slice(first, first + _BLOCK)
            _judge(records.only(records.starts[piece]), time[piece], noting[piece], strange[piece])
        unread = records.unread
        if bool(strange.any()):
            lost = records.only(records.starts[strange])
            unread += int(lost.lengths().sum()) + len(lost.starts) * records.layout.words * 4
        rows = np.flatnonzero(noting & ~strange)
        notes = _notes(records.only(records.starts[rows]))
        events = ~(noting | strange)
        if not bool(events.all()):
            records, time = records.only(records.starts[events]), time[events]
        return cls(records, time, notes, unread)


def _judge(records: Records, time: Integers, noting: npt.NDArray[np.bool_], strange: npt.NDArray[np.bool_]) -> None:
    """Tell of some records when they were, which are notes, and which cannot be."""
    action = records.actions()
    time[:] = records.double(records.layout.time)
    kind = action & (0xFFFF & ~CGROUP)
    noting[:] = action & (NOTIFY << 16) != 0
    strange[:] = (records.word(records.layout.cpu) > 0xFFFF) | (time < 0) | (kind > LAST_EVENT)
    strange |= np.where(noting, kind > LAST_NOTE, kind == 0)


def _notes(records: Records) -> Notes:
    """Read names of processes, the tie between the monotonic clock and the wall clock, and messages."""
    names: dict[int, str] = {}
    epoch: int | None = None
    begun: int | None = None
    messages: list[Message] = []
    layout = records.layout
    words = [records.word(at).tolist() for at in (layout.pid, layout.device, layout.cpu)]
    times = records.double(layout.time).tolist()
    facts = zip(records.actions().tolist(), times, records.lengths().tolist(), *words, strict=True)
    for row, (action, time, length, pid, device, cpu) in enumerate(facts):
        kind, payload = action & 0xFF, records.payload(row, length)[8 if action & CGROUP else 0 :]
        if kind == _PROCESS:
            _name(names, pid, decode(payload.partition(b"\0")[0]))
        elif kind == _TIMESTAMP and len(payload) >= 8 and epoch is None:
            begun = _clock(payload, little=records.little)
            epoch = begun - time
        elif kind == _MESSAGE and len(messages) < _MESSAGES:
            messages.append(Message(time, device, cpu, decode(payload.rstrip(b"\0"))))
    return Notes(names, epoch, begun, tuple(messages), len(times))


def _name(names: dict[int, str], pid: int, name: str) -> None:
    """Keep every name that a number had: it is used again when a process has ended."""
    known = names.get(pid)
    if known is None:
        names[pid] = name
    elif name not in known.split(", ") and len(known) < 200:
        names[pid] = f"{known}, {name}"


def _clock(payload: bytes, *, little: bool) -> int:
    order = "little" if little else "big"
    return int.from_bytes(payload[:4], order) * 1_000_000_000 + int.from_bytes(payload[4:8], order)  # type: ignore[arg-type]


def _others(records: Records) -> tuple[Integers, npt.NDArray[np.uint32]]:
    """Read the payloads that count, big-endian everywhere: X second sector, A device and sector, U and UT depth."""
    action, lengths = records.actions(), records.lengths()
    starts = (records.starts + records.layout.words) * 4
    grouped = action & CGROUP != 0
    starts[grouped] += 8
    lengths[grouped] -= 8
    origin, other = np.zeros(len(starts), np.uint32), np.full(len(starts), -1, np.int64)
    mapped = (action & 0xFF == A) & (lengths >= 16)
    other[mapped] = _big(records.raw, starts[mapped] + 8, 8)
    origin[mapped] = _big(records.raw, starts[mapped], 4)
    plain = (action & 0xFF != A) & (lengths >= 8)
    other[plain] = _big(records.raw, starts[plain], 8)
    other[other < 0] = -1
    return other, origin


def _big(raw: npt.NDArray[np.uint8], starts: Integers, width: int) -> Integers:
    number = np.zeros(len(starts), np.int64)
    for place in range(width):
        number = (number << 8) | raw[starts + place]
    return number


def _in_time(parts: list[_Part], drops: int | None, names: Mapping[int, str], *, sequences: bool) -> Trace:
    """Put the events of all processors in order of time; those of one moment stay as they stood."""
    time = np.concatenate([part.time for part in parts]) if len(parts) > 1 else parts[0].time
    target: Integers | None = None  # where each event goes
    if bool(np.any(time[1:] < time[:-1])):
        order = np.argsort(time, kind="stable")  # it takes the files' own order into account
        time = time[order]
        target = np.empty(len(order), np.int64)
        target[order] = np.arange(len(order))
        del order
    columns = _empty(len(time), {**_COLUMNS, "sequence": np.uint32} if sequences else _COLUMNS)
    bases = np.cumsum([0, *(len(part.time) for part in parts)]).tolist()

    def fill(number: int) -> tuple[Integers, Integers, npt.NDArray[np.uint32]]:
        rows = slice(bases[number], bases[number + 1])
        return _fill(columns, parts[number].records, rows if target is None else target[rows])

    told = parallel.each(fill, range(len(parts)))
    said, other, origin = (np.concatenate(column) for column in zip(*told, strict=True))
    sort = np.argsort(said, kind="stable")
    notes = _together([part.notes for part in parts], names)
    if len(time) and not time[0]:
        notes = replace(notes, epoch=None)  # a dump of blkparse's: its events begin at 0, its clock's note does not
    unread, version = sum(part.unread for part in parts), max(part.records.version for part in parts)
    rest: tuple[Any, ...] = (
        said[sort],
        other[sort],
        origin[sort],
        notes,
        unread,
        drops,
        version,
        columns.get("sequence"),
    )
    values: tuple[Any, ...] = (time, *(columns[name] for name in _COLUMNS), *rest)
    return Trace(*values)


_COLUMNS: Mapping[str, type[np.generic]] = {
    "sector": np.int64,
    "size": np.uint32,
    "event": np.uint8,
    "category": np.uint32,
    "pid": np.uint32,
    "device": np.uint32,
    "cpu": np.uint16,
    "error": np.uint16,
}
_BLOCK = 1 << 16
"""Records that are copied at a time: few enough for a processor's cache."""


def _empty(count: int, kinds: Mapping[str, type[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
    return {name: np.empty(count, kind) for name, kind in kinds.items()}


def _fill(
    columns: Mapping[str, npt.NDArray[np.generic]], records: Records, target: Integers | slice
) -> tuple[Integers, Integers, npt.NDArray[np.uint32]]:
    """Copy the columns of one file to where they go; give the rows that say more, and what."""
    layout = records.layout
    told = []
    base = target.start if isinstance(target, slice) else 0
    for first in range(0, len(records.starts), _BLOCK):
        block = records.only(records.starts[first : first + _BLOCK])
        end = first + len(block.starts)
        rows = slice(base + first, base + end) if isinstance(target, slice) else target[first:end]
        action = block.actions()
        event = action.astype(np.uint8)
        values: dict[str, npt.NDArray[Any]] = {
            "sector": block.double(layout.sector), "size": block.word(layout.size), "event": event,
            "category": action >> 16, "pid": block.word(layout.pid), "device": block.word(layout.device),
            "cpu": block.word(layout.cpu), "error": block.errors(),
        }  # fmt: skip
        if "sequence" in columns:
            values["sequence"] = block.word(1)
        for name, value in values.items():
            columns[name][rows] = value
        said = np.flatnonzero((event == U) | (event == UT) | (event == X) | (event == A))
        place = said + rows.start if isinstance(rows, slice) else rows[said]
        told.append((place, *_others(block.only(block.starts[said]))))
    none = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint32)
    first_of, other, origin = (np.concatenate(column) for column in zip(none, *told, strict=True))
    return first_of, other, origin


def _together(notes: list[Notes], names: Mapping[int, str]) -> Notes:
    known = dict(names)
    for part in notes:
        for pid, name in part.names.items():
            for one in name.split(", "):
                _name(known, pid, one)
    clock = next((part for part in notes if part.epoch is not None), Notes())
    messages = sorted(message for part in notes for message in part.messages)[:_MESSAGES]
    return Notes(known, clock.epoch, clock.begun, tuple(messages), sum(part.count for part in notes))
