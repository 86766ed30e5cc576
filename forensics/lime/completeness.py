"""Whether an image holds what the target's RAM map names: ranges, bytes, zero tails, and the kernel's own banner.

Ranges are compared after rounding inward to whole pages: a kernel uses no partial page, and LiME writes zeros for them.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.lime.format import Segment
from forensics.model import MemoryRange

PAGE = 4096
ZERO_TAIL = 1 << 20
"""Bytes of zeros at the end of a range from which they are looked at: LiME fills to the end what it gave up."""

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Compared:
    """An image's ranges beside a RAM map."""

    missing: tuple[MemoryRange, ...]  # whole pages that the map names and the image does not hold
    beyond: tuple[MemoryRange, ...]  # whole pages that the image has and the map does not name
    remainder: tuple[MemoryRange, ...]  # bytes of partial pages, compared with nothing


def compare(held: Iterable[MemoryRange], named: Sequence[MemoryRange]) -> Compared:
    """Compare what an image holds with what a RAM map names."""
    image, ram = _merged(_inward(held)), _merged(_inward(named))
    return Compared(_without(ram, image), _without(image, ram), tuple(_remainder(named)))


def held(segments: Iterable[Segment]) -> list[MemoryRange]:
    """Give the ranges whose bytes came, cut where they stop."""
    return [MemoryRange(one.range.start, one.range.start + one.received - 1) for one in segments if one.received]


def zero_tail(path: Path, segment: Segment) -> int:
    """Count the zeros that a range ends with."""
    counted = 0
    with path.open("rb") as file:
        while counted < segment.received:
            size = min(_PIECE, segment.received - counted)
            file.seek(segment.offset + segment.received - counted - size)
            rest = file.read(size).rstrip(b"\0")
            counted += size - len(rest)
            if rest:
                break
    return counted


def find_banner(path: Path, proc_version: bytes) -> int | None:
    """Find the kernel's banner, which /proc/version prints; its place in the file, or None."""
    banner = proc_version.strip(b"\n\0")
    if not banner or not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = content.find(banner)
    return None if found < 0 else found


def shown(ranges: Iterable[MemoryRange]) -> str:
    """Write ranges for a reader."""
    listed = [f"{one.start:#x}-{one.end:#x}" for one in ranges]
    more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    return ", ".join(listed[:8]) + more


def _inward(ranges: Iterable[MemoryRange]) -> list[MemoryRange]:
    whole = [(-(-one.start // PAGE) * PAGE, (one.end + 1) // PAGE * PAGE) for one in ranges]
    return [MemoryRange(start, end - 1) for start, end in whole if end > start]


def _remainder(ranges: Iterable[MemoryRange]) -> Iterable[MemoryRange]:
    for one in ranges:
        start, end = -(-one.start // PAGE) * PAGE, (one.end + 1) // PAGE * PAGE
        if end <= start:
            yield one
            continue
        if start > one.start:
            yield MemoryRange(one.start, start - 1)
        if one.end + 1 > end:
            yield MemoryRange(end, one.end)


def _merged(ranges: Iterable[MemoryRange]) -> list[MemoryRange]:
    found: list[MemoryRange] = []
    for one in sorted(ranges, key=lambda each: each.start):
        if found and one.start <= found[-1].end + 1:
            found[-1] = MemoryRange(found[-1].start, max(found[-1].end, one.end))
        else:
            found.append(one)
    return found


def _without(these: Sequence[MemoryRange], others: Sequence[MemoryRange]) -> tuple[MemoryRange, ...]:
    """Give what of `these` is in none of `others`; both are merged and in order."""
    left: list[MemoryRange] = []
    for one in these:
        at = one.start
        for other in others:
            if other.end < at or other.start > one.end:
                continue
            if other.start > at:
                left.append(MemoryRange(at, other.start - 1))
            at = other.end + 1
        if at <= one.end:
            left.append(MemoryRange(at, one.end))
    return tuple(left)
