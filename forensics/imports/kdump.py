"""Compressed vmcores of makedumpfile and of QEMU (makedumpfile's IMPLEMENTATION document; diskdump_mod.h).

Blocks: header, sub header, bitmaps, page descriptors, pages. The first bitmap says which pages there were, the second
which of them were dumped; each dumped page has a descriptor, in order: offset, size, flags, page flags (24 bytes).
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import cramjam
import lzokay
import numpy as np

from forensics.imports.notes import LARGEST
from forensics.imports.spans import PHYSICAL, Converted, LimeWriter, Unreadable
from forensics.model import JSON
from forensics.progress import Progress

MAGIC = b"KDUMP   "
_HEAD = struct.Struct("<8si390s6x16sIiiIIIIIIi")
_SUB = struct.Struct("<QiiQQQQQQQQQQQ")
_PAGE = struct.Struct("<QIIQ")
_INCOMPLETE, _NO_VMEMMAP = 0x8, 0x10
_ZERO = 1  # of the dump level: pages of zeros are left out
_LEVELS = {1: "zero", 2: "page cache", 4: "private page cache", 8: "user", 16: "free"}
_STEP = 1 << 16  # bytes of a bitmap that are looked at together
_TOLD = 5


def _inflate(data: bytes, size: int) -> bytes:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(data, size)
    if not unpacker.eof and unpacker.decompress(unpacker.unconsumed_tail, 1):
        raise ValueError("a page is larger than a page")
    return content


def _zstd(data: bytes, size: int) -> bytes:
    content = bytearray(size)
    return bytes(content[: cramjam.zstd.decompress_into(data, content)])


def _snappy(data: bytes, size: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(data) > size:
        raise ValueError("a page is larger than a page")
    return bytes(cramjam.snappy.decompress_raw(data))


_PACKED: Mapping[int, tuple[str, Callable[[bytes, int], bytes]]] = {
    0x1: ("zlib", _inflate),
    0x2: ("lzo", lzokay.decompress),
    0x4: ("snappy", _snappy),
    0x20: ("zstd", _zstd),
}
_ANY = 0x27
_BAD_PAGE = (ValueError, zlib.error, lzokay.LzokayError, cramjam.DecompressionError)


@dataclass(frozen=True, slots=True)
class _Header:
    block: int  # bytes of a page
    pages: int  # highest page frame number + 1
    present: int  # offset of the first bitmap, -1 when there is none
    dumped: int  # offset of the second one
    descriptors: int  # offset of the first
    level: int
    status: int
    first: int  # of the pages that this file has
    last: int  # one behind
    split: bool
    info: tuple[int, int]  # offset and size of VMCOREINFO
    names: tuple[str, ...]  # sysname, nodename, release, version, machine, domainname


@dataclass(slots=True)
class _Count:
    """What was found on the way."""

    excluded: int = 0
    zeros: int = 0
    damaged: int = 0
    first: list[str] = field(default_factory=list)  # the first damaged pages, with why
    packed: dict[str, int] = field(default_factory=dict)

    def bad(self, address: int, why: str) -> None:
        self.damaged += 1
        if len(self.first) < _TOLD:
            self.first.append(f"{address:#x} ({why})")


def read(file: BinaryIO, writer: LimeWriter, progress: Progress) -> Converted:
    """Write the memory of a compressed vmcore; Unreadable when its headers do not hold together."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        header = _header(content)
        count = _Count()
        _pages(content, header, writer, count, progress)
        offset, size = header.info
        info = content[offset : offset + min(size, LARGEST)] if offset else b""
        return writer.told(
            shortfalls=tuple(_shortfalls(header, count)),
            left_out=_left_out(header, count),
            tells_ram=header.present >= 0,
            facts=_facts(header, count),
            vmcoreinfo=info.rstrip(b"\0"),
        )


def _header(content: mmap.mmap) -> _Header:
    if len(content) < _HEAD.size:
        raise Unreadable("the vmcore is cut off in its header")
    _, version, names, _, status, block, sub, bitmaps, pages, *_ = _HEAD.unpack_from(content)
    if block not in {4096, 16384, 65536} or not 0 < sub < 1 << 16 or not bitmaps:
        why = f"block size {block}, {sub} blocks of sub header, {bitmaps} of bitmaps"
        raise Unreadable("the vmcore's header cannot be", why=why)
    if len(content) < block + _SUB.size:
        raise Unreadable("the vmcore is cut off in its sub header")
    told = _SUB.unpack_from(content, block)
    _, level, split, start, end, info_at, info_size, *_, start64, end64, pages64 = told
    if version >= 6:
        pages, start, end = pages64, start64, end64
    half = (pages + 8 * block - 1) // (8 * block)  # blocks of one bitmap
    if not 0 < pages <= PHYSICAL // block or bitmaps < half or (1 + sub + bitmaps) * block > len(content):
        why = f"{pages} pages, {bitmaps} blocks of bitmaps, {len(content)} bytes of file"
        raise Unreadable("the vmcore's bitmaps are not there", why=why)
    at = (1 + sub) * block
    both = bitmaps >= 2 * half
    taken = (start, min(end, pages)) if version >= 2 and split else (0, pages)
    return _Header(
        block=block, pages=pages, present=at if both else -1,
        dumped=at + bitmaps // 2 * block if both else at, descriptors=(1 + sub + bitmaps) * block,
        level=level if version >= 1 else 0, status=status, first=taken[0], last=taken[1],
        split=version >= 2 and bool(split), info=(info_at, info_size) if version >= 3 else (0, 0),
        names=tuple(names[at : at + 65].partition(b"\0")[0].decode("utf-8", "backslashreplace")
                    for at in range(0, 390, 65)),
    )  # fmt: skip


def _bits(content: mmap.mmap, offset: int, at: int, pages: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Give the bits of a step of a bitmap, the lowest bit of a byte first; those behind the last page are left out."""
    size = min(_STEP, -(-pages // 8) - at)
    piece = np.frombuffer(content[offset + at : offset + at + size], np.uint8)
    return np.unpackbits(piece, bitorder="little")[: pages - at * 8]


def _pages(content: mmap.mmap, header: _Header, writer: LimeWriter, count: _Count, progress: Progress) -> None:
    """Go through the pages in order; a page that was left out for being zeros is written as such."""
    only_zeros = header.level == _ZERO
    at_descriptor = header.descriptors
    zero = bytes(header.block)
    pages = _Pages(content, header, count)
    with progress.task("converting", header.pages, "pages") as advance:
        for at in range(0, -(-header.pages // 8), _STEP):
            dumped = _bits(content, header.dumped, at, header.pages)
            present = _bits(content, header.present, at, header.pages) if header.present >= 0 else dumped
            advance(len(dumped))
            if not present.any() and not dumped.any():
                continue
            for index in np.flatnonzero(present | dumped).tolist():
                number = at * 8 + index
                if not header.first <= number < header.last:
                    continue
                if dumped[index]:
                    data = pages.read(number, at_descriptor)
                    at_descriptor += _PAGE.size
                    if data is not None:
                        writer.write(number * header.block, data)
                elif only_zeros:
                    count.zeros += 1
                    writer.write(number * header.block, zero)
                else:
                    count.excluded += 1


@dataclass(slots=True)
class _Pages:
    """Reads a page by its descriptor; that of zeros stands once, and is unpacked once."""

    content: mmap.mmap
    header: _Header
    count: _Count
    last: tuple[int, bytes] = (0, b"")

    def read(self, number: int, at: int) -> bytes | None:
        address = number * self.header.block
        if at + _PAGE.size > len(self.content):
            self.count.bad(address, "the file ends before its descriptor")
            return None
        offset, size, flags, _ = _PAGE.unpack_from(self.content, at)
        if offset == self.last[0] and offset:
            return self.last[1]
        if not 0 < size <= 2 * self.header.block or offset + size > len(self.content):
            self.count.bad(address, "its bytes are not in the file")
            return None
        data, why = self._unpacked(self.content[offset : offset + size], flags)
        if why:
            self.count.bad(address, why)
            return None
        if not any(data[:64]) and data.count(0) == len(data):
            self.last = (offset, data)
        return data

    def _unpacked(self, data: bytes, flags: int) -> tuple[bytes, str]:
        block, how = self.header.block, flags & _ANY
        if how and how not in _PACKED:
            return b"", f"it is compressed in a way that is not known ({how:#x})"
        name, unpack = _PACKED.get(how, ("plain", lambda raw, _size: raw))
        try:
            data = unpack(data, block)
        except _BAD_PAGE:
            return b"", f"its {name} data is damaged"
        self.count.packed[name] = self.count.packed.get(name, 0) + 1
        return (data, "") if len(data) == block else (b"", f"it has {len(data)} bytes")


def _shortfalls(header: _Header, count: _Count) -> Iterator[str]:
    if count.damaged:
        named = ", ".join(count.first) + (" …" if count.damaged > len(count.first) else "")
        yield f"{count.damaged} pages cannot be read: {named}"
    if header.status & _INCOMPLETE:
        yield "the vmcore says itself that it is incomplete: the disk was full when it was written"
    if header.split:
        yield f"it is one part of a split vmcore: page frames {header.first} to {header.last - 1}"


def _left_out(header: _Header, count: _Count) -> str:
    if header.level & ~_ZERO == 0 and not header.status & _NO_VMEMMAP:
        return ""
    if header.level & 31 == 31:
        what = "kernel pages only"
    else:
        what = f"without {', '.join(name for bit, name in _LEVELS.items() if header.level & bit)} pages"
    return f"{what} (dump level {header.level}: {count.excluded} pages were left out)"


def _facts(header: _Header, count: _Count) -> dict[str, JSON]:
    named = zip(("sysname", "nodename", "release", "version", "machine"), header.names, strict=False)
    return {
        "dump_level": header.level,
        "page_size": header.block,
        "pages_left_out": count.excluded,
        "pages_of_zeros": count.zeros,
        "pages_damaged": count.damaged,
        "compression": dict(count.packed),
        "says_of_the_machine": dict(named),
    }
