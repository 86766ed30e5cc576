"""Where the records of a trace file begin, and what stands in them (include/uapi/linux/blktrace_api.h).

Version 7 has a head of 48 bytes, version 8 (`blk_io_trace2`, Linux 6.19) one of 64; behind it stand `pdu_len` bytes of
payload and nothing else, in the byte order of the traced machine. A record is believed when it ends where the next one
begins; what belongs to no record, and records that cannot be, are counted in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from forensics.errors import StageFailed

MAGIC = 0x65617400
NOTIFY = 0x0400
"""Of the category half of an action: a note, and no event of the disk."""
CGROUP = 0x100
"""Of the event half: a cgroup's number, 8 bytes, stands before the payload."""
LAST_EVENT, LAST_NOTE = 19, 2
ALL = slice(None)

Integers = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]


class TraceRefused(StageFailed):
    """These bytes are no trace, or a trace of a version that cannot be read."""


def _layout(size: int, /, **fields: tuple[str, int]) -> Mapping[bool, np.dtype[np.void]]:
    """Lay out a head of so many bytes in both byte orders (True: little): the format and the offset of each field."""
    return {
        little: np.dtype(
            {
                "names": list(fields),
                "formats": [order + kind for kind, _ in fields.values()],
                "offsets": [at for _, at in fields.values()],
                "itemsize": size,
            }
        )
        for little, order in ((True, "<"), (False, ">"))
    }


_BEGINNING = {"magic": ("u4", 0), "sequence": ("u4", 4), "time": ("i8", 8), "sector": ("i8", 16), "size": ("u4", 24)}
LAYOUTS: Mapping[int, Mapping[bool, np.dtype[np.void]]] = {
    7: _layout(
        48, **_BEGINNING, action=("u4", 28), pid=("u4", 32), device=("u4", 36), cpu=("u4", 40), error=("u2", 44),
        length=("u2", 46),
    ),
    8: _layout(
        64, **_BEGINNING, pid=("u4", 28), action=("u8", 32), device=("u4", 40), cpu=("u4", 44), error=("u2", 48),
        length=("u2", 50),
    ),
}  # fmt: skip
"""Heads by version and byte order. Of `action` the lower 16 bits are the event, those above its category; `length` is
that of the payload."""


@dataclass(slots=True)
class Records:
    """The records of one file, not yet copied out of it: `starts` are indexes of words of 32 bits."""

    raw: Octets  # as on disk
    starts: Integers
    head: np.dtype[np.void]
    version: int
    little: bool
    unread: int  # bytes

    @property
    def words(self) -> int:
        """How many words a head has."""
        return self.head.itemsize // 4

    def heads(self, rows: slice | Integers = ALL) -> npt.NDArray[np.void]:
        """Copy the heads of some records: whole, which is the quickest way to their fields."""
        return _everywhere(self.raw, self.head)[self.starts[rows]].view(self.head)

    def lengths(self) -> npt.NDArray[np.uint16]:
        """Give the bytes of each payload."""
        return _everywhere(self.raw, self.head, "length")[self.starts]

    def only(self, rows: Integers | npt.NDArray[np.bool_]) -> Records:
        """Give some of the records."""
        return replace(self, starts=self.starts[rows])

    def payload(self, row: int, length: int) -> bytes:
        """Give the payload of one record."""
        start = (int(self.starts[row]) + self.words) * 4
        return self.raw[start : start + length].tobytes()


def _everywhere(raw: Octets, head: np.dtype[np.void], field: str = "") -> npt.NDArray[Any]:
    """Look at bytes as if a head began at every word: at the whole of each, or at one field."""
    kind, at = (head.fields[field][0], head.fields[field][1]) if field and head.fields else (f"V{head.itemsize}", 0)
    return np.ndarray((max(0, (len(raw) - head.itemsize) // 4 + 1),), kind, raw, at, (4,))


def locate(raw: Octets) -> Records:
    """Find the records of one file; TraceRefused when it has none, or begins with one of an unknown version."""
    version, little = _opening(raw)
    records = Records(raw, np.zeros(0, np.int64), LAYOUTS[version][little], version, little, 0)
    found = _all_of(records)
    if found is not None:
        return found
    walk = _Walk(records)
    offsets = walk.offsets()
    raw, offsets = _aligned(raw, offsets)
    return replace(records, raw=raw, starts=offsets // 4, unread=walk.unread)


def _opening(raw: Octets) -> tuple[int, bool]:
    """Tell version and byte order from the first word, or where that is damaged from the first record that is whole."""
    first = raw[:4].tobytes()
    versions = [word[3] for word in (first[::-1], first) if word[:3] == MAGIC.to_bytes(4, "big")[:3]]
    for version in versions:
        if version in LAYOUTS:
            return version, first == _magic(version, little=True)
    if found := _later(raw.tobytes()):
        return found
    if versions and len(first) == 4:
        raise TraceRefused(
            "the trace cannot be read",
            why=f"it is of version {versions[0]}, and versions {' and '.join(map(str, LAYOUTS))} are what is known",
            remedy="use a newer version of this program, or the blkparse of the traced system",
        )
    said = f"the first word is {first.hex()}" if first else "there is not one byte"
    raise TraceRefused("these bytes are no trace", why=said, remedy="give the files that blktrace wrote")


def _later(content: bytes) -> tuple[int, bool] | None:
    """Look for a record behind which the next one begins, or nothing is: its version and byte order."""
    for version, orders in LAYOUTS.items():
        for little, head in orders.items():
            magic = _magic(version, little=little)
            at = content.find(magic)
            while 0 <= at <= len(content) - head.itemsize:
                length = int(np.frombuffer(content, head, 1, at)["length"][0])
                end = at + head.itemsize + length
                if end == len(content) or content.startswith(magic, end):
                    return version, little
                at = content.find(magic, at + 1)
    return None


def _all_of(records: Records) -> Records | None:
    """Find the records of a file in which every one ends where the next begins, but for a torn last one."""
    raw, size = records.raw, records.head.itemsize
    words = raw[: len(raw) // 4 * 4].view("<u4" if records.little else ">u4")
    starts = np.flatnonzero(words == (MAGIC | records.version))
    starts = starts[: int(np.searchsorted(starts, len(words) - records.words, "right"))]
    if not len(starts) or starts[0]:
        return None
    records.starts = starts
    lengths = records.lengths()
    gaps = starts[1:] - starts[:-1]
    gaps -= records.words
    if bool(np.any(lengths & 3)) or not bool(np.array_equal(gaps, lengths[:-1] >> 2)):
        return None
    ends = starts[-2:] * 4 + lengths[-2:] + size
    if ends[-1] > len(raw):
        records.starts, ends = starts[:-1], ends[:-1]
    end = int(ends[-1]) if len(ends) else 0
    records.unread = len(raw) - end
    whole = records.unread < 4 or raw[end : end + 4].tobytes() == _magic(records.version, little=records.little)
    return records if whole else None


def _magic(version: int, *, little: bool) -> bytes:
    return (MAGIC | version).to_bytes(4, "little" if little else "big")


class _Walk:
    """Goes through a file in which something lies between records, or a payload's length is odd."""

    def __init__(self, records: Records) -> None:
        self._raw, self._content = records.raw, records.raw.tobytes()
        self._head, self._number = records.head, MAGIC | records.version
        self._magic = _magic(records.version, little=records.little)
        self.unread = 0

    def offsets(self) -> Integers:
        """Give where each record begins, and count what belongs to none."""
        found: list[Integers] = []
        at, window = 0, 64
        while at < len(self._content):
            if self._content[at : at + 4] != self._magic:
                at = self._lost(at, at + 1)
                continue
            run, after = self._run(at, window)
            window = window * 2 if len(run) * 2 > window else 64
            if len(run):
                found.append(run)
            at = after
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _lost(self, at: int, search: int) -> int:
        following = self._content.find(self._magic, search)
        following = len(self._content) if following < 0 else following
        self.unread += following - at
        return following

    def _run(self, at: int, window: int) -> tuple[Integers, int]:
        """Take records from here as far as each ends where the next begins; give them, and where to go on."""
        size = self._head.itemsize
        raw = self._raw[at : at + window * size * 2]
        starts = np.flatnonzero(_everywhere(raw, self._head, "magic") == self._number)
        if not len(starts):
            return starts, self._lost(at, at + 1)
        ends = starts * 4 + size + _everywhere(raw, self._head, "length")[starts]
        broken = np.flatnonzero(starts[1:] * 4 != ends[:-1])
        taken = int(broken[0]) + 1 if len(broken) else len(starts)
        start, end = at + int(starts[taken - 1]) * 4, at + int(ends[taken - 1])
        if self._believed(start, end):
            return at + starts[:taken] * 4, end
        return at + starts[: taken - 1] * 4, self._lost(start, start + 4)

    def _believed(self, start: int, end: int) -> bool:
        """Tell whether the length of a payload can be: a record begins behind it, or none in it."""
        if end > len(self._content):
            return False
        if end == len(self._content) or self._content.startswith(self._magic, end):
            return True
        return self._content.find(self._magic, start + self._head.itemsize, end) < 0


def _aligned(raw: Octets, offsets: Integers) -> tuple[Octets, Integers]:
    """Move records to borders of words, where a payload of odd length has pushed them off."""
    if not bool(np.any(offsets & 3)):
        return raw, offsets
    breaks = np.flatnonzero(np.diff(offsets & 3)) + 1
    edges = [0, *breaks.tolist(), len(offsets)]
    pieces: list[Octets] = []
    moved = offsets.copy()
    length = 0
    for first, behind in pairwise(edges):
        start = int(offsets[first])
        end = int(offsets[behind]) if behind < len(offsets) else len(raw)
        moved[first:behind] += length - start
        padding = -(end - start) % 4
        pieces += [raw[start:end], np.zeros(padding, np.uint8)]
        length += end - start + padding
    return np.concatenate(pieces), moved
