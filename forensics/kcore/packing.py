"""What a target packs its bytes with before they travel, and how they are unpacked here, never more than asked for.

A few bytes can stand for gigabytes, and they come from a target: so unpacking is by reading, a piece at a time, as much
as there is room for.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Mapping
from typing import BinaryIO, Protocol

import lz4.frame
import zstandard

from forensics.errors import StageFailed
from forensics.host import MIB

WORDS: Mapping[str, tuple[str, ...]] = {
    "zstd": ("-1", "-q", "-c"),
    "lz4": ("-1", "-q", "-B5", "-c"),  # blocks of 256 KiB: with its own, of 4 MiB, each reader here needs 12 MiB
    "gzip": ("-1", "-c"),
}
"""What packs on the target, the best first, each with its options: the fastest level, from stdin to stdout."""

_WINDOW = 1 << 23  # bytes that zstd may look back on; level 1 needs half a MiB
_BROKEN = (OSError, EOFError, zlib.error, zstandard.ZstdError, RuntimeError)

Read = Callable[[int], bytes]
"""Give at least one byte and at most this many; b"" at the end."""


class _Source(io.RawIOBase):
    """A stream as a file that can only be read; what its reading raised is kept, for others' code turns it around."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.problem: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        try:
            data = self._read(len(view))
        except Exception as problem:
            self.problem = problem
            raise
        view[: len(data)] = data
        return len(data)


class _Unpacked(Protocol):
    def read1(self, size: int = ..., /) -> bytes: ...


def unpacking(read: Read, packed: str) -> Read:
    """Give a way to read what was packed like this ("" is not at all); StageFailed when it is not what it should be."""
    if not packed:
        return read
    source = _Source(read)
    unpacked = _open(io.BufferedReader(source, MIB), packed)

    def take(size: int) -> bytes:
        try:
            return unpacked.read1(size)
        except _BROKEN as problem:
            if source.problem:
                raise source.problem from None
            raise StageFailed(
                f"what the target packed with {packed} cannot be unpacked", why=f"{type(problem).__name__}: {problem}"
            ) from None

    return take


def _open(file: BinaryIO, packed: str) -> _Unpacked:
    if packed == "zstd":
        return zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(file, read_size=MIB // 4)
    if packed == "lz4":
        opened: _Unpacked = lz4.frame.open(file, "rb")
        return opened
    return gzip.GzipFile(fileobj=file)
