"""The LiME format: one header before each range of physical memory, ranges in ascending order.

Header (struct lime_mem_range_header, lime.h), 32 bytes, little endian: u32 magic "EMiL", u32 version 1, u64 first
address, u64 last address (included), 8 bytes reserved and zero. There is no trailer: the end of a stream is where the
last range is full, and only the target's RAM map tells whether another range should have followed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from forensics.model import MemoryRange

MAGIC = 0x4C694D45
HEADER = struct.Struct("<IIQQ8s")
_PHYSICAL = 1 << 52  # no x86-64 or arm64 machine addresses more
_MOST_RANGES = 4096


@dataclass(slots=True)
class Segment:
    """One range as the stream has it."""

    range: MemoryRange
    offset: int  # in the file, of its first byte after the header
    received: int = 0

    @property
    def missing(self) -> int:
        """Count the bytes that the header promises and that did not come."""
        return self.range.size - self.received


@dataclass(slots=True)
class Walk:
    """Follows the headers as bytes pass, in pieces of any size; keeps no bytes but an unfinished header."""

    segments: list[Segment] = field(default_factory=list)
    error: str = ""  # why nothing after this point can be read
    total: int = 0  # bytes that passed
    entered: Callable[[Segment], None] | None = None  # called as a range begins
    passed: Callable[[memoryview], None] | None = None  # called with bytes of the range that has begun
    most: int = _MOST_RANGES  # ranges; a dump without its user pages has hundreds of thousands
    _pending: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        view = memoryview(data)
        self.total += len(view)
        while view and not self.error:
            current = self.segments[-1] if self.segments else None
            if current and current.missing:
                taken = min(current.missing, len(view))
                current.received += taken
                if self.passed:
                    self.passed(view[:taken])
            else:
                taken = min(HEADER.size - len(self._pending), len(view))
                self._pending += view[:taken]
                if len(self._pending) == HEADER.size:
                    self._open(self.total - len(view) + taken)
            view = view[taken:]

    @property
    def ended_well(self) -> bool:
        """At least one range came, and the last one is full."""
        return not self.shortfall

    @property
    def shortfall(self) -> str:
        """Say why the bytes so far are not a whole image; "" when they are."""
        if self.error:
            return self.error
        if self._pending:
            return f"it ends {len(self._pending)} bytes into a header, at byte {self.total}"
        if not self.segments:
            return "not one byte came"
        last = self.segments[-1]
        if last.missing:
            return f"it ends {last.missing} bytes before the end of range {_shown(last.range)}"
        return ""

    def _open(self, offset: int) -> None:
        magic, version, start, end, reserved = HEADER.unpack(self._pending)
        self.error = self._fault(magic, version, start, end, reserved)
        if self.error:
            self.error += f" (header at byte {offset - HEADER.size})"
            return
        self._pending.clear()
        self.segments.append(Segment(MemoryRange(start, end), offset))
        if self.entered:
            self.entered(self.segments[-1])

    def _fault(self, magic: int, version: int, start: int, end: int, reserved: bytes) -> str:
        if magic != MAGIC or version != 1 or any(reserved):
            return f"what should be a LiME header is none: magic {magic:#010x}, version {version}"
        if end < start or end >= _PHYSICAL:
            return f"a header names an impossible range: {start:#x} to {end:#x}"
        if self.segments and start <= self.segments[-1].range.end:
            return f"a header names a range that overlaps or goes back: {start:#x} to {end:#x}"
        if len(self.segments) >= self.most:
            return f"more than {self.most} ranges"
        return ""


def header(one: MemoryRange) -> bytes:
    """Make the header of a range."""
    return HEADER.pack(MAGIC, 1, one.start, one.end, bytes(8))


def walk(path: Path, most: int = _MOST_RANGES) -> Walk:
    """Follow the headers of a file without reading what is between them."""
    size = path.stat().st_size
    found = Walk(most=most)
    with path.open("rb") as file:
        while found.total < size and not found.error:
            found.feed(file.read(HEADER.size))
            _skip(found, file, size)
    return found


def _skip(found: Walk, file: IO[bytes], size: int) -> None:
    if not found.segments or found.error:
        return
    last = found.segments[-1]
    here = min(last.missing, size - found.total)
    last.received += here
    found.total += here
    file.seek(here, 1)


def _shown(one: MemoryRange) -> str:
    return f"{one.start:#x}-{one.end:#x}"
