"""Files like /proc/kcore: an ELF core with memory at its physical addresses, and what else a kernel lists there."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.model import MemoryRange

PAGE = 4096
DIRECT_MAP = 0xFFFF8A13C0000000
TEXT = 0xFFFFFFFFA0800000
NOWHERE = (1 << 64) - 1
VMCOREINFO = b"OSRELEASE=6.1.0-99-test-amd64\nPAGESIZE=4096\n"


@dataclass(frozen=True)
class Load:
    """A PT_LOAD: virtual and physical address, bytes, and where in the file they are."""

    virtual: int
    physical: int
    size: int
    offset: int


def note(name: bytes, content: bytes) -> bytes:
    """Make an ELF note; name and content are filled up to 4 bytes."""
    padded = [part + bytes(-len(part) % 4) for part in (name + b"\0", content)]
    return struct.pack("<III", len(name) + 1, len(content), 0) + b"".join(padded)


def head(loads: Sequence[Load], notes: bytes = b"") -> bytes:
    """Make the headers of a core file as fs/proc/kcore.c lays them out: header, segments, notes."""
    count = len(loads) + 1
    place = 64 + 56 * count
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf = struct.pack("<16sHHIQQQIHHHHHH", ident, 4, 62, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    segments = struct.pack("<IIQQQQQQ", 4, 0, place, 0, 0, len(notes), 0, 0)
    for one in loads:
        segments += struct.pack("<IIQQQQQQ", 1, 7, one.offset, one.virtual, one.physical, one.size, one.size, PAGE)
    return elf + segments + notes


def whole(ram: Sequence[MemoryRange]) -> list[Load]:
    """List what a kernel with this RAM lists: text, vmalloc, modules, and whole pages of memory behind 1 MiB."""
    found = [
        Load(TEXT, ram[-1].start + 16 * PAGE, 8 * PAGE, 64 << 20),
        Load(0xFFFFA64F00000000, NOWHERE, 1 << 45, 1 << 46),
        Load(0xFFFFFFFFC0000000, NOWHERE, 0x3F000000, 1 << 47),
    ]
    for one in ram:
        start, end = -(-one.start // PAGE) * PAGE, (one.end + 1) // PAGE * PAGE
        found.append(Load(DIRECT_MAP + start, start, end - start, (1 << 20) + 5 * PAGE + start))
    return found


def write(path: Path, ram: Sequence[MemoryRange], seed: int = 1, banner: bytes = b"") -> dict[MemoryRange, bytes]:
    """Write a file like /proc/kcore of a machine with this RAM; give what it holds, by range of whole pages."""
    dice = random.Random(seed)
    loads = whole(ram)
    held = {}
    with path.open("xb") as file:
        file.write(head(loads, note(b"CORE", bytes(336)) + note(b"VMCOREINFO", VMCOREINFO)))
        for one in loads[3:]:
            content = banner + dice.randbytes(one.size - len(banner))
            file.seek(one.offset)
            file.write(content)
            held[MemoryRange(one.physical, one.physical + one.size - 1)] = content
        file.truncate(1 << 30)
    return held
