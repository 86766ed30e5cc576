"""Images as other programs write them, made by hand from their formats' descriptions."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import cramjam
import lzokay

from forensics.lime import format as lime_format
from forensics.model import MemoryRange

PAGE = 4096
CODECS: Mapping[str, tuple[int, Callable[[bytes], bytes]]] = {
    "plain": (0, bytes),
    "zlib": (0x1, zlib.compress),
    "lzo": (0x2, lzokay.compress),
    "snappy": (0x4, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "zstd": (0x20, lambda data: bytes(cramjam.zstd.compress(data))),
}


def kdump(
    path: Path,
    pages: Mapping[int, bytes],
    *,
    present: int,
    codec: str = "zlib",
    level: int = 0,
    status: int = 0,
    info: bytes = b"",
) -> Path:
    """Write pages by frame number; `present` frames from 0 on are said to have been there."""
    half = 1
    bits = [bytearray(half * PAGE), bytearray(half * PAGE)]
    for frame in range(present):
        bits[0][frame // 8] |= 1 << frame % 8
    for frame in pages:
        bits[1][frame // 8] |= 1 << frame % 8
    names = b"".join(word.ljust(65, b"\0") for word in (b"Linux", b"web01", b"6.1", b"#1", b"x86_64", b""))
    head = b"KDUMP   " + struct.pack("<i", 6) + names
    head = head.ljust(424, b"\0") + struct.pack("<IiiIIIIIIi", status, PAGE, 1, 2 * half, present, 0, 0, 0, 0, 1)
    flags, pack = CODECS[codec]
    data_at = 4 * PAGE + 24 * len(pages)
    descriptors, body = b"", info
    info_at = data_at if info else 0
    for frame in sorted(pages):
        packed = pack(pages[frame])
        how, packed = (flags, packed) if len(packed) < PAGE else (0, pages[frame])
        descriptors += struct.pack("<QIIQ", data_at + len(body), len(packed), how, 0)
        body += packed
    sub = struct.pack("<QiiQQQQQQQQQQQ", 0, level, 0, 0, 0, info_at, len(info), 0, 0, 0, 0, 0, present, present)
    content = head.ljust(PAGE, b"\0") + sub.ljust(PAGE, b"\0") + bits[0] + bits[1] + descriptors + body
    path.write_bytes(content)
    return path


def flattened(path: Path, content: bytes, *, ended: bool = True) -> Path:
    """Write a vmcore as makedumpfile -F does: pieces, the first one again at the end."""
    head = (b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1)).ljust(PAGE, b"\0")
    pieces = [(0, bytes(64)), *((at, content[at : at + 10000]) for at in range(0, len(content), 10000))]
    pieces.append((0, content[:64]))
    records = b"".join(struct.pack(">qq", at, len(piece)) + piece for at, piece in pieces)
    path.write_bytes(head + records + (struct.pack(">qq", -1, -1) if ended else b""))
    return path


def avml(path: Path, ranges: Mapping[int, bytes]) -> Path:
    """Write ranges by their first address as AVML does with --compress."""
    content = b""
    for start, data in ranges.items():
        frames = bytes(cramjam.snappy.compress(data))
        content += struct.pack("<4sIQQQ", b"AVML", 2, start, start + len(data) - 1, 0)
        content += frames + struct.pack("<Q", len(frames))
    path.write_bytes(content)
    return path


def elf(path: Path, ranges: Mapping[int, bytes], notes: bytes = b"") -> Path:
    """Write ranges by their first address as an ELF core of a machine."""
    loads = len(ranges) + 1
    at = 64 + 56 * loads
    programs = [struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)]
    body = notes
    for start, data in ranges.items():
        base = 0xFFFF888000000000 + start
        programs.append(struct.pack("<IIQQQQQQ", 1, 7, at + len(body), base, start, len(data), len(data), 0))
        body += data
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, loads, 0, 0, 0)
    path.write_bytes(head + b"".join(programs) + body)
    return path


def note(text: bytes) -> bytes:
    """Write VMCOREINFO as an ELF note."""
    name = b"VMCOREINFO\0".ljust(12, b"\0")
    return struct.pack("<III", 11, len(text), 0) + name + text.ljust(-(-len(text) // 4) * 4, b"\0")


def lime(path: Path, ranges: Mapping[int, bytes]) -> Path:
    """Write ranges by their first address in LiME format."""
    parts = [lime_format.header(MemoryRange(at, at + len(data) - 1)) + data for at, data in ranges.items()]
    path.write_bytes(b"".join(parts))
    return path


def memory(path: Path) -> dict[int, bytes]:
    """Read a LiME image: bytes by first address."""
    content = path.read_bytes()
    walked = lime_format.walk(path)
    assert walked.ended_well, walked.shortfall
    return {one.range.start: content[one.offset : one.offset + one.range.size] for one in walked.segments}
