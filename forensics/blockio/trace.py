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
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forensics.blockio import parallel
from forensics.blockio.columns import BLOCK, Events, in_time
from forensics.blockio.records import CGROUP, LAST_EVENT, LAST_NOTE, NOTIFY, Integers, Records, TraceRefused, locate
from forensics.text import decode

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
    raws = [raw for raw in parallel.each(_octets, files) if len(raw)]
    if not raws:
        raise TraceRefused(
            "the trace is empty", why="there is not one byte", remedy="see what blktrace said at its end"
        )
    return _whole(parallel.each(_Part.of, raws), drops, names or {}, sequences=sequences)


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

    events: Events
    notes: Notes
    unread: int

    @classmethod
    def of(cls, raw: npt.NDArray[np.uint8]) -> _Part:
        """Tell events from notes, and from records that cannot be."""
        records = locate(raw)
        count = len(records.starts)
        time = np.empty(count, np.int64)
        noting, strange = np.empty(count, np.bool_), np.empty(count, np.bool_)
        for first in range(0, count, BLOCK):
            rows = slice(first, first + BLOCK)
            _judge(records.heads(rows), time[rows], noting[rows], strange[rows])
        unread = records.unread
        if bool(strange.any()):
            lost = records.only(strange)
            unread += int(lost.lengths().sum(dtype=np.int64)) + len(lost.starts) * lost.head.itemsize
        notes = _notes(records.only(noting & ~strange))
        events = ~(noting | strange)
        if not bool(events.all()):
            records, time = records.only(events), time[events]
        return cls(Events.of(records, time), notes, unread)


def _judge(
    heads: npt.NDArray[np.void], time: Integers, noting: npt.NDArray[np.bool_], strange: npt.NDArray[np.bool_]
) -> None:
    """Tell of some records when they were, which are notes, and which cannot be."""
    time[:] = heads["time"]
    action = heads["action"]
    kind = action & (0xFFFF & ~CGROUP)
    noting[:] = action & (NOTIFY << 16) != 0
    strange[:] = (heads["cpu"] > 0xFFFF) | (time < 0) | (kind > LAST_EVENT)
    strange |= np.where(noting, kind > LAST_NOTE, kind == 0)


def _notes(records: Records) -> Notes:
    """Read names of processes, the tie between the monotonic clock and the wall clock, and messages."""
    names: dict[int, str] = {}
    epoch: int | None = None
    begun: int | None = None
    messages: list[Message] = []
    heads = records.heads()
    facts = zip(*(heads[name].tolist() for name in ("action", "time", "length", "pid", "device", "cpu")), strict=True)
    for row, (action, time, length, pid, device, cpu) in enumerate(facts):
        kind, payload = action & 0xFF, records.payload(row, length)[8 if action & CGROUP else 0 :]
        if kind == _PROCESS:
            _name(names, pid, decode(payload.partition(b"\0")[0]))
        elif kind == _TIMESTAMP and len(payload) >= 8 and epoch is None:
            begun = _clock(payload, little=records.little)
            epoch = begun - time
        elif kind == _MESSAGE and len(messages) < _MESSAGES:
            messages.append(Message(time, device, cpu, decode(payload.rstrip(b"\0"))))
    return Notes(names, epoch, begun, tuple(messages), len(heads))


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


def _whole(parts: Sequence[_Part], drops: int | None, names: Mapping[int, str], *, sequences: bool) -> Trace:
    time, columns, (said, other, origin) = in_time([part.events for part in parts], sequences=sequences)
    notes = _together([part.notes for part in parts], names)
    if len(time) and not time[0]:
        notes = replace(notes, epoch=None)  # a dump of blkparse's: its events begin at 0, its clock's note does not
    unread, version = sum(part.unread for part in parts), max(part.events.records.version for part in parts)
    return Trace(
        time=time, said=said, other=other, origin=origin, notes=notes, unread=unread, dropped=drops, version=version,
        **columns,
    )  # fmt: skip


def _together(notes: list[Notes], names: Mapping[int, str]) -> Notes:
    known = dict(names)
    for part in notes:
        for pid, name in part.names.items():
            for one in name.split(", "):
                _name(known, pid, one)
    clock = next((part for part in notes if part.epoch is not None), Notes())
    messages = sorted(message for part in notes for message in part.messages)[:_MESSAGES]
    return Notes(known, clock.epoch, clock.begun, tuple(messages), sum(part.count for part in notes))
