"""Where the records of a trace file begin, and what stands in them (include/uapi/linux/blktrace_api.h).

Version 7 has a head of 48 bytes, version 8 (`blk_io_trace2`, Linux 6.19) one of 64; behind it stand `pdu_len` bytes of
payload and nothing else, in the byte order of the traced machine. A record is believed when it ends where the next one
begins; what belongs to no record, and records that cannot be, are counted in bytes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from forensics.errors import StageFailed

MAGIC = 0x65617400
NOTIFY = 0x0400
"""Of the category half of an action: a note, and no event of the disk."""
CGROUP = 0x100
"""Of the event half: a cgroup's number, 8 bytes, stands before the payload."""
LAST_EVENT, LAST_NOTE = 19, 2

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]
Octets = npt.NDArray[np.uint8]


class TraceRefused(StageFailed):
    """These bytes are no trace, or a trace of a version that cannot be read."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which of the 32-bit words of a head holds what; `time`, `sector` and a wide `action` are two words."""

    words: int
    pid: int
    action: int
    device: int
    cpu: int
    ending: int  # error and pdu_len
    wide: bool
    time: int = 2
    sector: int = 4
    size: int = 6


LAYOUTS = {
    7: Layout(words=12, pid=8, action=7, device=9, cpu=10, ending=11, wide=False),
    8: Layout(words=16, pid=7, action=8, device=10, cpu=11, ending=12, wide=True),
}


@dataclass(slots=True)
class Records:
    """The records of one file, not yet copied out of it: `starts` are indexes into `words`."""

    raw: Octets  # as on disk; the payloads are read from it
    words: Words  # the same as numbers of this machine
    starts: Integers
    layout: Layout
    version: int
    little: bool
    unread: int  # bytes

    def word(self, at: int) -> Words:
        """Give one word of each head."""
        return np.take(self.words[at:], self.starts)

    def double(self, at: int) -> Integers:
        """Give two words of each head as one number."""
        low, high = (self.word(at), self.word(at + 1)) if self.little else (self.word(at + 1), self.word(at))
        number = high.astype(np.int64)
        number <<= 32
        number |= low
        return number

    def actions(self) -> Integers | Words:
        """Give what happened: the event, and above 16 bits its category."""
        return self.double(self.layout.action) if self.layout.wide else self.word(self.layout.action)

    def lengths(self) -> Integers:
        """Give the bytes of each payload."""
        ending = self.word(self.layout.ending)
        return ((ending >> 16) if self.little else (ending & 0xFFFF)).astype(np.int64)

    def errors(self) -> npt.NDArray[np.uint16]:
        """Give what each completion ended with; 0 is well."""
        ending = self.word(self.layout.ending)
        return ((ending & 0xFFFF) if self.little else (ending >> 16)).astype(np.uint16)

    def only(self, starts: Integers) -> Records:
        """Give some of the records."""
        return replace(self, starts=starts)

    def payload(self, row: int, length: int) -> bytes:
        """Give the payload of one record."""
        start = (int(self.starts[row]) + self.layout.words) * 4
        return self.raw[start : start + length].tobytes()


def locate(raw: Octets) -> Records:
    """Find the records of one file; TraceRefused when its first word is no trace's, or of an unknown version."""
    version, little = _opening(raw)
    layout = LAYOUTS[version]
    found = _all_of(raw, _words(raw, little=little), layout, version, little=little)
    if found is not None:
        return found
    content = raw.tobytes()
    walk = _Walk(content, layout, version, little=little)
    offsets = walk.offsets()
    raw, offsets = _aligned(raw, offsets)
    return Records(raw, _words(raw, little=little), offsets // 4, layout, version, little, walk.unread)


def _opening(raw: Octets) -> tuple[int, bool]:
    """Tell version and byte order from the first word."""
    first = raw[:4].tobytes()
    for little, word in ((True, first[::-1]), (False, first)):
        if len(word) == 4 and word[:3] == MAGIC.to_bytes(4, "big")[:3]:
            if word[3] in LAYOUTS:
                return word[3], little
            raise TraceRefused(
                "the trace cannot be read",
                why=f"it is of version {word[3]}, and versions {' and '.join(map(str, LAYOUTS))} are what is known",
                remedy="use a newer version of this program, or the blkparse of the traced system",
            )
    said = f"the first word is {first.hex()}" if first else "there is not one byte"
    raise TraceRefused("these bytes are no trace", why=said, remedy="give the files that blktrace wrote")


def _words(raw: Octets, *, little: bool) -> Words:
    words = raw[: len(raw) // 4 * 4].view(np.uint32)
    return words if little == (sys.byteorder == "little") else words.byteswap()


def _all_of(raw: Octets, words: Words, layout: Layout, version: int, *, little: bool) -> Records | None:
    """Find the records of a file in which every one ends where the next begins, but for a torn last one."""
    starts = np.flatnonzero(words == (MAGIC | version))
    if len(starts) and starts[-1] + layout.words > len(words):
        starts = starts[:-1]
    records = Records(raw, words, starts, layout, version, little, 0)
    if not len(starts):
        return None
    lengths = records.lengths()
    ends = starts * 4
    ends += lengths
    ends += layout.words * 4
    if bool(np.any(lengths & 3)) or not bool(np.array_equal(ends[:-1], starts[1:] * 4)):
        return None
    if ends[-1] > len(raw):
        records.starts, ends = starts[:-1], ends[:-1]
    end = int(ends[-1]) if len(ends) else 0
    records.unread = len(raw) - end
    whole = records.unread < 4 or raw[end : end + 4].tobytes() == _magic(version, little=little)
    return records if whole else None


def _magic(version: int, *, little: bool) -> bytes:
    return (MAGIC | version).to_bytes(4, "little" if little else "big")


class _Walk:
    """Goes through a file in which something lies between records, or a payload's length is odd."""

    def __init__(self, content: bytes, layout: Layout, version: int, *, little: bool) -> None:
        self._content = content
        self._head = layout.words * 4
        self._ending = layout.ending
        self._little = little
        self._magic = _magic(version, little=little)
        self.number = MAGIC | version
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
        count = min((len(self._content) - at) // 4, window * self._head // 2)
        words = np.frombuffer(self._content, "<u4" if self._little else ">u4", count, at)
        inside = words[: max(0, count - self._head // 4 + 1)]
        starts = np.flatnonzero(inside == self.number).astype(np.int64)
        if not len(starts):
            return starts, self._lost(at, at + 1)
        last = words[starts + self._ending]
        ends = starts * 4 + self._head + ((last >> 16) if self._little else (last & 0xFFFF))
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
        return self._content.find(self._magic, start + self._head, end) < 0


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
