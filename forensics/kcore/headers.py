"""The headers of /proc/kcore, as fs/proc/kcore.c writes them: where in the file each piece of memory is, and the notes.

An ELF64 core file: one PT_NOTE, and one PT_LOAD for each part of the kernel's address space. For memory `p_paddr` is
its physical address and for the kernel's text, too, which lies in that memory a second time; all else (vmalloc,
modules, vmemmap) has -1 there. Kernels before 4.11 wrote 0 everywhere, and tell nothing. Memory is mapped at one
distance between virtual and physical addresses, so that the segments with the distance that covers most bytes are it.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forensics.model import MemoryRange

PAGE = 4096
FIRST_READ = 1 << 16
"""Bytes with which headers and notes nearly always are complete."""
LARGEST = 4 << 20
"""Bytes of headers and notes that are read at most."""

_HEADER = struct.Struct("16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("IIQQQQQQ")
_NOTE = struct.Struct("III")
_LOAD, _NOTES, _CORE = 1, 4, 4
_NOWHERE = (1 << 64) - 1
_PHYSICAL = 1 << 52  # no x86-64 or arm64 machine addresses more
_MOST_SEGMENTS = 8192
_MOST_NOTES = 256


@dataclass(frozen=True, slots=True)
class Piece:
    """Memory, and where in /proc/kcore its first byte is."""

    range: MemoryRange
    offset: int


@dataclass(frozen=True, slots=True)
class Headers:
    """What the headers say, as far as they could be read."""

    memory: tuple[Piece, ...] = ()  # ascending, none overlaps another
    vmcoreinfo: bytes = b""  # the note of this name; kernels before 4.19 have none
    passed_over: int = 0  # segments that are no memory, or that make no sense
    needed: int = 0  # bytes that have to be read to have it all
    problem: str = ""  # why no memory can be found by them


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    virtual: int
    physical: int
    size: int

    @property
    def is_memory(self) -> bool:
        """It can be memory: it has a place there, whole pages of it, and they are somewhere in the file."""
        inside = self.size > 0 and self.physical + self.size <= _PHYSICAL and self.offset + self.size < 1 << 63
        return inside and not (self.offset | self.physical | self.size) % PAGE

    @property
    def distance(self) -> int:
        return self.virtual - self.physical


def read(content: bytes) -> Headers:
    """Read the beginning of /proc/kcore; never raises, and says in `problem` or `needed` what is not there."""
    if len(content) < _HEADER.size or content[:4] != b"\x7fELF" or content[4] != 2 or content[5] not in (1, 2):
        return Headers(problem="it does not begin like an ELF file of 64 bits")
    order = "<" if content[5] == 1 else ">"
    _, kind, _, _, _, start, _, _, _, size, count, *_ = struct.unpack_from(order + _HEADER.format, content)
    if kind != _CORE or size != _SEGMENT.size or not 0 < count <= _MOST_SEGMENTS or start > LARGEST:
        return Headers(problem=f"its ELF header is no core file's: type {kind}, {count} segments of {size} bytes")
    needed = start + count * size
    if needed > len(content):
        return Headers(needed=needed, problem=f"only {len(content)} of {needed} bytes of headers came")
    segments = [_segment(content, order, start + number * size) for number in range(count)]
    notes = [one for one in segments if one.kind == _NOTES and one.offset + one.size <= LARGEST]
    loads = [one for one in segments if one.kind == _LOAD]
    memory, problem = _memory(loads)
    return Headers(
        memory=memory,
        vmcoreinfo=next((found for one in notes for found in _vmcoreinfo(content, order, one)), b""),
        passed_over=len(loads) - len(memory),
        needed=max([needed, *(one.offset + one.size for one in notes)]),
        problem=problem,
    )


def _segment(content: bytes, order: str, place: int) -> _Segment:
    kind, _, offset, virtual, physical, size, _, _ = struct.unpack_from(order + _SEGMENT.format, content, place)
    return _Segment(kind, offset, virtual, physical, size)


def _memory(loads: Sequence[_Segment]) -> tuple[tuple[Piece, ...], str]:
    """Find the segments that are memory, and drop what overlaps what came before."""
    placed = [one for one in loads if one.physical not in (0, _NOWHERE)]
    if loads and not placed:
        return (), "the kernel does not tell physical addresses there (kernels before 4.11 do not)"
    by_distance: dict[int, list[_Segment]] = defaultdict(list)
    for one in loads:
        if one.is_memory:
            by_distance[one.distance].append(one)
    if not by_distance:
        return (), "none of its segments is memory"
    most = max(by_distance.values(), key=lambda group: sum(one.size for one in group))
    found: list[Piece] = []
    for one in sorted(most, key=lambda each: each.physical):
        if not found or one.physical > found[-1].range.end:
            found.append(Piece(MemoryRange(one.physical, one.physical + one.size - 1), one.offset))
    return tuple(found), ""


def _vmcoreinfo(content: bytes, order: str, notes: _Segment) -> Iterator[bytes]:
    """Give the notes of this name; stops at the first that makes no sense, or is not there to its end."""
    at, end = notes.offset, min(notes.offset + notes.size, len(content))
    for _ in range(_MOST_NOTES):
        if at + _NOTE.size > end:
            return
        name_size, size, _ = struct.unpack_from(order + _NOTE.format, content, at)
        name = at + _NOTE.size
        body = name + -(-name_size // 4) * 4
        at = body + -(-size // 4) * 4
        if body + size > end:
            return
        if content[name : name + name_size].rstrip(b"\0") == b"VMCOREINFO":
            yield content[body : body + size]


def within(memory: Sequence[Piece], ram: Sequence[MemoryRange]) -> tuple[Piece, ...]:
    """Give what of a RAM map is in memory: whole pages, ascending, pieces that follow each other made one."""
    found: list[Piece] = []
    for one in sorted(ram, key=lambda each: each.start):
        start, end = -(-one.start // PAGE) * PAGE, (one.end + 1) // PAGE * PAGE
        for piece in memory:
            first, last = max(start, piece.range.start), min(end, piece.range.end + 1)
            if first < last:
                _join(found, Piece(MemoryRange(first, last - 1), piece.offset + first - piece.range.start))
    return tuple(found)


def _join(found: list[Piece], piece: Piece) -> None:
    last = found[-1] if found else None
    if last and piece.range.start <= last.range.end:
        return  # a RAM map that names a page twice
    if last and (last.range.end + 1, last.offset + last.range.size) == (piece.range.start, piece.offset):
        found[-1] = Piece(MemoryRange(last.range.start, piece.range.end), last.offset)
    else:
        found.append(piece)
