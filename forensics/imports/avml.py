"""AVML's compressed format, version 2: LiME's header with another magic, then snappy's framing format, then a count.

After the frames of a range stand 8 bytes: how many bytes the frames take (avml, src/image.rs). Chunks of the framing
format have 65,536 bytes of content at most (snappy, framing_format.txt); cramjam compares their checksums.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

import cramjam

from forensics.imports.spans import PHYSICAL, Converted, LimeWriter
from forensics.lime import format as lime_format
from forensics.progress import Progress

MAGIC = b"AVML\x02\0\0\0"
_HEADER = struct.Struct("<8sQQ8s")
_LIME = struct.pack("<II", lime_format.MAGIC, 1)
_BEGIN = b"\xff\x06\x00\x00sNaPpY"
_CONTENT = 65536
_LARGEST = 4 + 76490  # of a chunk: checksum, and what 65,536 bytes can grow to
_SKIPPED = range(0x80, 0xFF)


class _Broken(ValueError):
    """Nothing after this point can be read, and why."""


@dataclass(slots=True)
class _Reader:
    file: BinaryIO
    writer: LimeWriter
    lacking: list[str] = field(default_factory=list)

    def range(self) -> bool:
        """Read one range; False at the end."""
        at = self.file.tell()
        head = self.file.read(_HEADER.size)
        if not head:
            return False
        magic, start, end, _ = _HEADER.unpack(head) if len(head) == _HEADER.size else (b"", 0, 0, b"")
        if magic not in {MAGIC, _LIME} or end < start or end >= PHYSICAL:
            raise _Broken(f"what should be a header at byte {at} is none")
        size = end - start + 1
        if magic == _LIME:
            if self.writer.copy(start, self.file, size) < size:
                raise _Broken(f"the file ends within range {start:#x}-{end:#x}")
            return True
        begin = self.file.tell()
        self._frames(start, size)
        taken = self.file.tell() - begin
        count = self.file.read(8)
        if len(count) < 8:
            raise _Broken(f"the file ends behind range {start:#x}-{end:#x}")
        if int.from_bytes(count, "little") != taken:
            self.lacking.append(f"range {start:#x}-{end:#x} says another number of compressed bytes than it has")
        return True

    def _frames(self, start: int, size: int) -> None:
        done = 0
        while done < size:
            head = self.file.read(4)
            if len(head) < 4:
                raise _Broken(f"the file ends {size - done} bytes before the end of the range at {start:#x}")
            kind, length = head[0], int.from_bytes(head[1:], "little")
            body = self.file.read(length)
            if len(body) < length:
                raise _Broken(f"the file ends {size - done} bytes before the end of the range at {start:#x}")
            if kind == 0xFF or kind in _SKIPPED:
                continue
            if kind > 1 or length > _LARGEST:
                raise _Broken(f"a chunk of the range at {start:#x} is none of snappy's")
            done += self._chunk(start + done, head + body, size - done)

    def _chunk(self, address: int, chunk: bytes, room: int) -> int:
        """Write a chunk's content; one that is damaged is left out, and counted with the size that it says it has."""
        try:
            content = bytes(cramjam.snappy.decompress(_BEGIN + chunk))
        except cramjam.DecompressionError:
            self.lacking.append(f"the piece at {address:#x} is damaged: it does not agree with its checksum")
            return min(_promised(chunk), room)
        if not content:
            raise _Broken(f"a chunk without content at {address:#x}")
        if len(content) > room:
            self.lacking.append(f"the range around {address:#x} has more bytes than its header says")
        self.writer.write(address, content[:room])
        return min(len(content), room)


def _promised(chunk: bytes) -> int:
    """Tell how much content a damaged chunk says it has."""
    try:
        said = cramjam.snappy.decompress_raw_len(chunk[8:]) if chunk[0] == 0 else len(chunk) - 8
    except cramjam.DecompressionError:
        return _CONTENT
    return int(said) if 0 < said <= _CONTENT else _CONTENT


def read(file: BinaryIO, writer: LimeWriter, progress: Progress) -> Converted:
    """Write the memory of an AVML file."""
    end = file.seek(0, 2)
    file.seek(0)
    reader = _Reader(file, writer)
    with progress.task("converting", end) as advance:
        at = 0
        try:
            while reader.range():
                advance(file.tell() - at)
                at = file.tell()
        except _Broken as problem:
            reader.lacking.append(str(problem))
    return writer.told(shortfalls=_short(reader.lacking))


def _short(lacking: list[str]) -> tuple[str, ...]:
    more = (f"and {len(lacking) - 20} more",) if len(lacking) > 20 else ()
    return (*lacking[:20], *more)
