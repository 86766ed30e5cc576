"""ELF cores of whole machines: /proc/vmcore, makedumpfile -E, QEMU's and VirtualBox' dumps (System V ABI)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from forensics.imports.notes import LARGEST, vmcoreinfo
from forensics.imports.spans import PHYSICAL, Converted, LimeWriter, Unreadable
from forensics.progress import Progress

MAGIC = b"\x7fELF"
_HEAD = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
_PROGRAM = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_CORE = 4
_LOAD, _NOTE = 1, 4
_MANY = 0xFFFF  # then the count stands in the first section header (PN_XNUM)
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class _Load:
    address: int  # physical
    offset: int  # in the file
    held: int  # bytes in the file
    size: int  # bytes of memory


def read(file: BinaryIO, writer: LimeWriter, progress: Progress) -> Converted:
    """Write the memory of an ELF core; Unreadable when it is none of a 64-bit machine's memory."""
    end = file.seek(0, 2)
    programs = tuple(_programs(file))
    loads = [
        _Load(one[4], one[2], min(one[5], one[6]), one[6])
        for one in programs
        if one[0] == _LOAD and one[6] and one[4] + one[6] <= PHYSICAL
    ]
    if not loads:
        raise Unreadable("the ELF file names no memory", why="it has no PT_LOAD header with a physical address")
    if len(loads) > 1 and not any(one.address for one in loads):
        raise Unreadable("this is the core of a program, not of a machine", why="it names no physical addresses")
    lacking: list[str] = []
    missing = 0
    with progress.task("converting", sum(one.held for one in loads)) as advance:
        for one in _apart(loads):
            file.seek(min(one.offset, end))
            copied = writer.copy(one.address, file, one.held)
            advance(copied)
            if copied < one.held:
                lacking.append(
                    f"the file ends {one.held - copied} bytes before the end of the range at {one.address:#x}"
                )
            missing += one.size - one.held
    left_out = f"{missing} bytes of the ranges it names are not in the file" if missing else ""
    content = b"".join(_notes(file, programs))
    return writer.told(
        shortfalls=tuple(lacking), left_out=left_out, tells_ram=True,
        facts={"loads": len(loads)}, vmcoreinfo=vmcoreinfo(content),
    )  # fmt: skip


def _programs(file: BinaryIO) -> Iterator[tuple[int, ...]]:
    file.seek(0)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise Unreadable("the ELF file is cut off in its header")
    ident, kind, *_, programs_at, sections_at, _flags, _size, each, count, _, _, _ = _HEAD.unpack(head)
    if ident[4:6] != b"\x02\x01":
        raise Unreadable("not the core of a 64-bit little-endian machine", why="ELF class or byte order are others")
    if kind != _CORE or each != _PROGRAM.size:
        raise Unreadable("an ELF file, but no core", why=f"its type is {kind}, its program headers have {each} bytes")
    if count == _MANY:
        section = _at(file, sections_at, _SECTION.size)
        count = _SECTION.unpack(section)[7] if len(section) == _SECTION.size else 0
    table = _at(file, programs_at, min(count, _MOST) * _PROGRAM.size)
    if len(table) < count * _PROGRAM.size:
        raise Unreadable("the ELF file is cut off in its program headers", why=f"{count} are promised")
    yield from _PROGRAM.iter_unpack(table)


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    """Read what there is at an offset that the file names."""
    file.seek(min(offset, file.seek(0, 2)))
    return file.read(size)


def _apart(loads: list[_Load]) -> Iterator[_Load]:
    """Give ranges in ascending order without what an earlier one has already: kernel text stands in two of them."""
    top = 0
    for one in sorted(loads, key=lambda each: (each.address, -each.held)):
        skip = max(0, top - one.address)
        if skip >= one.size:
            continue
        yield _Load(one.address + skip, one.offset + skip, max(0, one.held - skip), one.size - skip)
        top = one.address + one.size


def _notes(file: BinaryIO, programs: tuple[tuple[int, ...], ...]) -> Iterator[bytes]:
    left = LARGEST
    for one in programs:
        if one[0] == _NOTE and left > 0:
            content = _at(file, one[2], min(one[5], left))
            left -= len(content)
            yield content
