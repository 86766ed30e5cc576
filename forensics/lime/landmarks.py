"""Places in an image whose bytes the target itself told: the kernel's banner, and VMCOREINFO.

The survey gives their physical addresses (from kallsyms, KERNELOFFSET and phys_base, and /sys/kernel/vmcoreinfo), so
that an image of any size is read at two places, and not searched.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.lime.completeness import find_banner
from forensics.lime.format import Segment
from forensics.model import JSON, Facts

SEARCHED = 1 << 30
"""Bytes of an image in which a banner is searched for when its place is not known; larger ones would take too long."""

_NOTE = struct.Struct("<III12s")  # Elf64_Nhdr and the name, "VMCOREINFO" and two NULs (include/linux/vmcore_info.h)
_NAME = b"VMCOREINFO\0\0"
_LARGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Landmark:
    """What was looked for, where, and whether it is what the target told; None: it could not be looked for."""

    name: str
    address: int | None  # physical
    offset: int | None  # in the file
    agrees: bool | None
    why: str = ""  # why not

    def told(self) -> dict[str, JSON]:
        """Put it as the proof has it."""
        return {"address": self.address, "offset": self.offset, "agrees": self.agrees, "why": self.why}


def banner(path: Path, segments: Sequence[Segment], facts: Facts) -> Landmark:
    """Compare the kernel's banner at its place with /proc/version."""
    name, wanted, place = "banner", facts.proc_version.strip(b"\n\0"), facts.places.get("linux_banner")
    if not wanted:
        return Landmark(name, place, None, None, "the target did not tell /proc/version")
    if place is None and path.stat().st_size > SEARCHED:
        return Landmark(name, None, None, None, "the survey does not tell where it stands, and the image is too large")
    if place is None:
        found = find_banner(path, wanted)
        return Landmark(name, None, found, found is not None, "" if found is not None else "it is nowhere in the image")
    offset, held = read_at(path, segments, place, len(wanted))
    return _compared(name, place, offset, held, wanted)


def vmcoreinfo(path: Path, segments: Sequence[Segment], facts: Facts) -> Landmark:
    """Compare the note of VMCOREINFO at its place with that of the target's /proc/kcore."""
    name, wanted, place = "vmcoreinfo", facts.vmcoreinfo, facts.places.get("vmcoreinfo")
    if place is None or not wanted:
        return Landmark(name, place, None, None, "the target told neither its place nor its text" if place is None
                        else "the target did not tell its text")  # fmt: skip
    offset, head = read_at(path, segments, place, _NOTE.size)
    if len(head) == _NOTE.size:
        named, size, _, text = _NOTE.unpack(head)
        if (named, text) != (len(_NAME) - 1, _NAME) or not 0 < size <= _LARGEST:
            return Landmark(name, place, offset, agrees=False, why="there is no such note at its place")
        offset, head = read_at(path, segments, place + _NOTE.size, size)
    return _compared(name, place, offset, head.rstrip(b"\0"), wanted.rstrip(b"\0"))


def read_at(path: Path, segments: Sequence[Segment], address: int, size: int) -> tuple[int | None, bytes]:
    """Give where in the file a physical address is, and the bytes there as far as the image holds them."""
    one = next((each for each in segments if 0 <= address - each.range.start < each.received), None)
    if one is None:
        return None, b""
    ahead = address - one.range.start
    with path.open("rb") as file:
        file.seek(one.offset + ahead)
        return one.offset + ahead, file.read(min(size, one.received - ahead))


def _compared(name: str, place: int, offset: int | None, held: bytes, wanted: bytes) -> Landmark:
    if offset is None:
        return Landmark(name, place, None, agrees=False, why=f"the image holds nothing at {place:#x}, where it stands")
    agrees = held == wanted
    return Landmark(name, place, offset, agrees, "" if agrees else f"at {place:#x}, where it stands, is something else")
