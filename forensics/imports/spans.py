"""What every reader gives to: pieces of physical memory in ascending order, written in LiME format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from forensics.errors import StageFailed
from forensics.lime import format as lime_format
from forensics.model import JSON, MemoryRange

PAGE = 4096
PHYSICAL = 1 << 52
"""No x86-64 or arm64 machine has an address from here on."""

PIECE = 1 << 20


class Unreadable(StageFailed):
    """A file is no image, or nothing of it can be read."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What was read of a file, and what is known of what it lacks."""

    ranges: int
    size: int  # bytes of memory
    shortfalls: tuple[str, ...] = ()  # damage, and what was cut off
    left_out: str = ""  # what was not dumped on purpose
    tells_ram: bool = False  # whether the file itself says which RAM there was
    facts: Mapping[str, JSON] = field(default_factory=dict)
    vmcoreinfo: bytes = b""


class LimeWriter:
    """Writes pieces with ascending addresses to a new file; pieces that touch become one range.

    Zeros become holes of the file. Unreadable when pieces go back, or more than `room` bytes would be taken.
    """

    def __init__(self, path: Path, room: int) -> None:
        self._file = path.open("xb")
        self._path = path
        self._room = room
        self._header = -1  # where the open range's header stands
        self._start = 0
        self._next = -1
        self.ranges = 0
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_range()
        self._file.truncate()
        self._file.close()

    def write(self, address: int, data: bytes | memoryview) -> None:
        """Write the bytes that stand at a physical address."""
        if not data:
            return
        if address != self._next:
            self._open_range(address)
        if address + len(data) > PHYSICAL:
            raise Unreadable("the file names an impossible address", where=str(self._path), why=f"{address:#x}")
        zeros = not any(data) if len(data) < 64 else bytes(data).count(0) == len(data)
        if zeros:
            self._file.seek(len(data), os.SEEK_CUR)
        else:
            self._file.write(data)
            self._take(len(data))
        self._next = address + len(data)
        self.size += len(data)

    def copy(self, address: int, source: BinaryIO, count: int) -> int:
        """Copy as many bytes from where a file stands; gives how many there were."""
        done = 0
        while done < count and (piece := source.read(min(PIECE, count - done))):
            self.write(address + done, piece)
            done += len(piece)
        return done

    def told(
        self,
        *,
        shortfalls: tuple[str, ...] = (),
        left_out: str = "",
        tells_ram: bool = False,
        facts: Mapping[str, JSON] | None = None,
        vmcoreinfo: bytes = b"",
    ) -> Converted:
        """Say what was written, with what the reader knows beside it."""
        if not self.size:
            why = "; ".join(shortfalls[:5]) or "it names no memory"
            raise Unreadable("nothing of the image can be read", why=why)
        return Converted(self.ranges, self.size, shortfalls, left_out, tells_ram, facts or {}, vmcoreinfo)

    def _take(self, count: int) -> None:
        self._room -= count
        if self._room < 0:
            raise Unreadable(
                "there is not enough room for the converted image",
                where=str(self._path),
                why=f"{self.size} bytes are written, and there is more",
                remedy="make room there, or open the case on another volume with --root",
            )

    def _open_range(self, address: int) -> None:
        if address < self._next:
            why = f"{address:#x} comes after {self._next:#x}"
            raise Unreadable("the file's ranges are out of order", where=str(self._path), why=why)
        self._close_range()
        self._header, self._start = self._file.tell(), address
        self._file.write(bytes(lime_format.HEADER.size))
        self._take(lime_format.HEADER.size)
        self.ranges += 1

    def _close_range(self) -> None:
        """Write the open range's header, now that its end is known."""
        if self._header < 0:
            return
        end = self._file.tell()
        self._file.seek(self._header)
        self._file.write(lime_format.header(MemoryRange(self._start, self._next - 1)))
        self._file.seek(end)
        self._header = -1
