"""The trace reader: records of include/uapi/linux/blktrace_api.h, version 7, of either byte order.

Taken are per-CPU files, one interleaved stream (`blktrace -o -`), `blkparse -d` dumps, and ftrace's binary `blk`
tracer: one record, four orders. Drops leave no mark in a trace (sequence numbers are given after a record has found
its place), so their number is handed in from blktrace's last words. What cannot be read is counted in bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from forensics.errors import StageFailed
from forensics.text import decode

MAGIC = 0x65617400
VERSION = 7
HEAD = 48
_WINDOW = 64  # records; the first guess of how far a stretch without odd payloads goes

NOTIFY = 0x0400  # of the category half of an action
_PROCESS, _TIMESTAMP = 0, 1

RECORD = np.dtype(
    [
        ("magic", "<u4"),
        ("sequence", "<u4"),
        ("time", "<u8"),
        ("sector", "<u8"),
        ("bytes", "<u4"),
        ("action", "<u4"),
        ("pid", "<u4"),
        ("device", "<u4"),
        ("cpu", "<u4"),
        ("error", "<u2"),
        ("pdu_len", "<u2"),
    ]
)

Integers = npt.NDArray[np.int64]


class TraceRefused(StageFailed):
    """These bytes are no trace, or a trace of a version that cannot be read."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Events in order of time. Times in nanoseconds of the target's monotonic clock, sectors of 512 bytes."""

    time: Integers
    sector: Integers
    size: Integers  # bytes
    event: Integers  # 1 queue … 17 driver data
    category: Integers  # bits: 1 read, 2 write, 4 flush, …
    pid: Integers  # the thread that emitted the event
    device: Integers  # major << 20 | minor
    cpu: Integers
    other: Integers  # X: second sector; A: sector it was mapped from; U: depth; -1 otherwise
    names: dict[int, str] = field(default_factory=dict)  # pid -> comm, the last one seen
    epoch: float | None = None  # Unix time at monotonic zero, when the trace tells it
    unread: int = 0  # bytes
    dropped: int | None = None  # events, by blktrace's own count; None: not known

    def __len__(self) -> int:
        return len(self.time)


def read(files: Sequence[bytes], drops: int | None = None) -> Trace:
    """Read one capture from its files; TraceRefused when the first word is no trace's of version 7."""
    parts = [_read_one(content) for content in files if content]
    if not parts:
        raise TraceRefused("the trace is empty", why="there is not one byte")
    records = np.concatenate([part.records for part in parts])
    other = np.concatenate([part.other for part in parts])
    unread = sum(part.unread for part in parts)
    names: dict[int, str] = {}
    epochs = [part.epoch for part in parts if part.epoch is not None]
    for part in parts:
        names.update(part.names)
    return _trace(records, other, names, epochs[0] if epochs else None, unread=unread, drops=drops)


def dropped(words: bytes, *, piped: bool = False) -> int | None:
    """Give how many events blktrace says it lost; None when it did not come to say it.

    Its summary goes to stdout. When that is the trace itself (`-o -`, `piped`), there is none, and a line on stderr
    only where something was lost (blktrace.c, show_stats): silence at a good end is 0.
    """
    total = re.search(rb"Total:\s+\d{1,15} events \(dropped (\d{1,15})\)", words)
    lost = total or re.search(rb"You have +(\d{1,15}) \(.{1,12}?\) dropped events", words)
    return int(lost[1]) if lost else 0 if piped else None


def _trace(
    records: npt.NDArray[np.void],
    other: Integers,
    names: dict[int, str],
    epoch: float | None,
    *,
    unread: int,
    drops: int | None,
) -> Trace:
    time = records["time"].astype(np.int64)
    if len(time) > 1 and not bool(np.all(time[1:] >= time[:-1])):
        order = np.argsort(time, kind="stable")
        records, other, time = records[order], other[order], time[order]
    columns = [records[name].astype(np.int64) for name in ("sector", "bytes", "action", "pid", "device", "cpu")]
    sector, size, action, pid, device, cpu = columns
    return Trace(
        time, sector, size, action & 0x7FFF, action >> 16, pid, device, cpu, other, names, epoch, unread, drops
    )


@dataclass(slots=True)
class _One:
    """What one file gave."""

    records: npt.NDArray[np.void]
    other: Integers
    names: dict[int, str]
    epoch: float | None
    unread: int


def _read_one(content: bytes) -> _One:
    little = _byte_order(content)
    offsets, unread = _offsets(content, little=little)
    records = _gathered(content, offsets, RECORD if little else RECORD.newbyteorder(">"))
    notify = (records["action"] >> 16) & NOTIFY != 0
    names, epoch = _notes(content, records[notify], offsets[notify], little=little)
    records, offsets = records[~notify].astype(RECORD), offsets[~notify]
    return _One(records, _others(content, records, offsets), names, epoch, unread)


def _gathered(content: bytes, offsets: Integers, kind: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """Copy the heads of the records side by side, in words where a stretch of them stands on a word's border."""
    heads = np.empty((len(offsets), HEAD // 4), np.uint32)
    for start in np.unique(offsets % 4).tolist():
        rows = np.flatnonzero(offsets % 4 == start)
        words = np.frombuffer(content, np.uint32, (len(content) - start) // 4, start)
        first = (offsets[rows] - start) // 4
        for column in range(HEAD // 4):
            heads[rows, column] = words[first + column]
    return heads.view(kind).reshape(-1)


def _byte_order(content: bytes) -> bool:
    """Tell whether the records are little-endian; TraceRefused for another version, or for no trace."""
    for little, word in ((True, content[:4][::-1]), (False, content[:4])):
        if word[:3] == MAGIC.to_bytes(4, "big")[:3]:
            if word[3] == VERSION:
                return little
            raise TraceRefused(
                "the trace cannot be read",
                why=f"it is of version {word[3]}, and version {VERSION} is what is known",
                remedy="use a newer version of this program, or the blkparse of the traced system",
            )
    raise TraceRefused("these bytes are no trace", why=f"the first word is {content[:4].hex() or 'missing'}")


def _offsets(content: bytes, *, little: bool) -> tuple[Integers, int]:
    """Find where each record begins, and count the bytes that belong to none."""
    magic = (MAGIC | VERSION).to_bytes(4, "little" if little else "big")
    found: list[Integers] = []
    unread, at, window = 0, 0, _WINDOW
    while at < len(content):
        if content[at : at + 4] != magic:
            following = content.find(magic, at + 1)
            following = len(content) if following < 0 else following
            unread, at = unread + following - at, following
            continue
        stretch, after = _stretch(content, at, window, little=little)
        if not len(stretch):
            beyond = content.find(magic, at + 1)  # a record that runs past the end: cut off, or damaged
            beyond = len(content) if beyond < 0 else beyond
            unread, at = unread + beyond - at, beyond
            continue
        window = window * 2 if len(stretch) * 2 > window else _WINDOW
        found.append(stretch)
        at = after
    return (np.concatenate(found) if found else np.zeros(0, np.int64)), unread


def _stretch(content: bytes, at: int, window: int, *, little: bool) -> tuple[Integers, int]:
    """Read a run of records, each of which ends where the next begins; give their offsets and the end of the last."""
    order = "<u4" if little else ">u4"
    count = min((len(content) - at) // 4, window * HEAD // 4 * 2)
    words = np.frombuffer(content, order, count, at)
    candidates = np.flatnonzero(words[: max(0, count - 11)] == (MAGIC | VERSION))
    if not len(candidates):
        return np.zeros(0, np.int64), at
    last = words[candidates + 11]
    sizes = HEAD + ((last >> 16) if little else (last & 0xFFFF)).astype(np.int64)
    starts = candidates.astype(np.int64) * 4
    broken = np.flatnonzero(starts[1:] != (starts + sizes)[:-1])
    taken = int(broken[0]) + 1 if len(broken) else len(starts)
    if at + int(starts[taken - 1] + sizes[taken - 1]) > len(content):
        taken -= 1
    if not taken:
        return np.zeros(0, np.int64), at
    return at + starts[:taken], at + int(starts[taken - 1] + sizes[taken - 1])


def _notes(
    content: bytes, records: npt.NDArray[np.void], offsets: Integers, *, little: bool
) -> tuple[dict[int, str], float | None]:
    """Read names of processes, and the tie between the monotonic clock and the wall clock."""
    names: dict[int, str] = {}
    epoch: float | None = None
    order = "little" if little else "big"
    for record, payload in _payloads(content, records, offsets):
        kind = int(record["action"]) & 0x7FFF
        if kind == _PROCESS:
            names[int(record["pid"])] = decode(payload.partition(b"\0")[0])
        elif kind == _TIMESTAMP and len(payload) >= 8:
            seconds = int.from_bytes(payload[:4], order)  # type: ignore[arg-type]
            nanoseconds = int.from_bytes(payload[4:8], order)  # type: ignore[arg-type]
            epoch = seconds + (nanoseconds - int(record["time"])) / 1e9
    return names, epoch


def _others(content: bytes, records: npt.NDArray[np.void], offsets: Integers) -> Integers:
    """Read the payloads that count, big-endian everywhere: X second sector, A sector from, U and UT depth."""
    other = np.full(len(records), -1, np.int64)
    event = records["action"] & 0x7FFF
    length = records["pdu_len"]
    chosen = np.flatnonzero(np.isin(event, (10, 11, 13, 15)) & (length >= 8))
    for index, (record, payload) in zip(
        chosen.tolist(), _payloads(content, records[chosen], offsets[chosen]), strict=True
    ):
        skip = 8 if int(record["action"]) & 0x8000 and len(payload) >= 16 else 0  # a cgroup id stands before it
        if int(event[index]) == 15:
            skip += 8  # two devices stand before the sector
        value = int.from_bytes(payload[skip : skip + 8], "big")
        other[index] = value if value < 1 << 62 else -1
    return other


def _payloads(content: bytes, records: npt.NDArray[np.void], offsets: Integers) -> Iterator[tuple[np.void, bytes]]:
    for record, offset in zip(records, offsets.tolist(), strict=True):
        yield record, content[offset + HEAD : offset + HEAD + int(record["pdu_len"])]
