"""LiME's own compression (`compress=1`, since 1.9): the whole LiME image as one zlib stream (lime, src/deflate.c)."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from forensics.imports.spans import PHYSICAL, Converted, LimeWriter
from forensics.lime import format as lime_format
from forensics.progress import Progress

_PIECE = 1 << 20
_MAGIC = lime_format.MAGIC.to_bytes(4, "little")


class _Broken(ValueError):
    """Nothing after this point can be read, and why."""


def begins(head: bytes) -> bool:
    """Tell whether a file that begins so is a zlib stream of a LiME image."""
    if len(head) < 3 or head[0] & 15 != zlib.DEFLATED or int.from_bytes(head[:2], "big") % 31:
        return False
    try:
        return zlib.decompressobj().decompress(head, len(_MAGIC)) == _MAGIC
    except zlib.error:
        return False


class _Stream:
    """What the stream holds, with no more of it in memory than is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._open = zlib.decompressobj()
        self.problem = ""

    def read(self, size: int = -1) -> bytes:
        """Give some bytes, at most `size`; b"" at the end, or where it cannot be read on, which `problem` says."""
        while not (self.problem or self._open.eof):
            packed = self._open.unconsumed_tail or self._file.read(_PIECE)
            try:
                data = self._open.decompress(packed, size) if packed else self._open.flush()
            except zlib.error as error:
                data, self.problem = b"", f"the compressed stream is damaged: {error}"
            if not packed and not data and not self._open.eof:
                self.problem = "the compressed stream ends before its end"
            if data:
                return data
        return b""

    def exactly(self, size: int) -> bytes:
        """Give so many bytes, fewer at the end."""
        parts = b""
        while len(parts) < size and (data := self.read(size - len(parts))):
            parts += data
        return parts

    @property
    def over(self) -> str:
        """Say what is left in the file behind the stream; "" when nothing is."""
        rest = len(self._open.unused_data) + len(self._file.read(_PIECE))
        return "bytes stand behind the compressed stream" if rest and self._open.eof else ""


def read(file: BinaryIO, writer: LimeWriter, progress: Progress) -> Converted:
    """Write the memory of a LiME image that LiME compressed."""
    size = file.seek(0, 2)
    file.seek(0)
    stream, lacking, last = _Stream(file), [], -1
    with progress.task("converting", size) as advance:
        at = 0
        try:
            while head := stream.exactly(lime_format.HEADER.size):
                last = _range(stream, writer, head, last)
                advance(file.tell() - at)
                at = file.tell()
        except _Broken as problem:
            lacking.append(str(problem))
    lacking += [said for said in (stream.problem, "" if lacking else stream.over) if said]
    return writer.told(shortfalls=tuple(lacking))


def _range(stream: _Stream, writer: LimeWriter, head: bytes, last: int) -> int:
    """Write one range; gives its last address."""
    whole = len(head) == lime_format.HEADER.size
    magic, version, start, end, _ = lime_format.HEADER.unpack(head) if whole else (0, 0, 0, 0, b"")
    if magic != lime_format.MAGIC or version != 1 or end < start or end >= PHYSICAL:
        raise _Broken(f"what should be a LiME header behind address {max(last, 0):#x} is none")
    if start <= last:
        raise _Broken(f"a header names a range that overlaps or goes back: {start:#x} to {end:#x}")
    done = 0
    while done < end - start + 1 and (data := stream.read(min(_PIECE, end - start + 1 - done))):
        writer.write(start + done, data)
        done += len(data)
    if done < end - start + 1:
        raise _Broken(f"it ends {end - start + 1 - done} bytes before the end of range {start:#x}-{end:#x}")
    return int(end)
