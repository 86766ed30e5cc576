"""Tar archives that somebody else made, unpacked within limits: a folder of files or a refusal, nothing outside of it.

Only plain archives are read: what is compressed is unpacked by whoever knows how large it gets. Files are new, links
are made when all files are there, so that none is written through, and only where they lead inside; devices, pipes,
hard links, sparse files, names that are absolute, climb or stand twice are refused. A header is read by tarfile.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forensics.errors import Refused
from forensics.model import Digest

Read = Callable[[int], bytes]
"""Gives at most so many bytes, b"" at the end."""

BLOCK = 512
_PIECE = 1 << 20
_LONGEST = 1024  # bytes of a name
_LONG = {tarfile.GNUTYPE_LONGNAME: "name", tarfile.GNUTYPE_LONGLINK: "linkname"}
_FILES = {tarfile.REGTYPE, tarfile.AREGTYPE}
_NAME = re.compile(r"[^\x00-\x1f\x7f\\]+")


class ArchiveRefused(Refused):
    """An archive holds what is not taken, or more than was allowed; nothing of it is used."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What an archive may hold at most."""

    members: int
    bytes: int  # in all
    each: int  # bytes of one file
    links: bool = False  # whether links that lead inside are taken; others are left out and named


@dataclass(slots=True)
class Unpacked:
    """What came out."""

    files: dict[str, Digest] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)  # name, and where it leads inside
    left_out: list[str] = field(default_factory=list)  # links that lead out, or nowhere that could be
    bytes: int = 0


def unpack(read: Read, into: Path, caps: Caps) -> Unpacked:
    """Unpack into an empty folder; ArchiveRefused, and what was unpacked before it is not to be used."""
    return _Reader(read, into, caps).all()


@dataclass(slots=True)
class _Reader:
    read: Read
    into: Path
    caps: Caps
    done: Unpacked = field(default_factory=Unpacked)
    seen: set[str] = field(default_factory=set)
    wanted: dict[str, str] = field(default_factory=dict)  # links, made at the end
    long: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def all(self) -> Unpacked:
        while (block := self._exactly(BLOCK)).strip(b"\0"):
            self.count += 1
            if self.count > self.caps.members:
                raise _refused(f"it has more than {self.caps.members} members")
            self._member(self._header(block))
        for name, target in self.wanted.items():
            self._link(name, target)
        return self.done

    def _header(self, block: bytes) -> tarfile.TarInfo:
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise _refused(f"it is no plain tar archive, or damaged: member {self.count}: {error}") from None

    def _member(self, told: tarfile.TarInfo) -> None:
        if told.type in _LONG:
            self.long[_LONG[told.type]] = self._text(told.size)
            return
        name, linked = self.long.pop("name", told.name), self.long.pop("linkname", told.linkname)
        place = _inside(name)
        if told.type == tarfile.DIRTYPE:
            self._folder(place)
            return
        if place in self.seen or not place:
            raise _refused(f"{name!r} stands twice in it")
        self.seen.add(place)
        if told.type in _FILES:
            self._file(place, told.size, executable=bool(told.mode & 0o100))
        elif told.type == tarfile.SYMTYPE and self.caps.links:
            self.wanted[place] = linked
        else:
            raise _refused(f"{name!r} is neither a file nor a folder (tar type {told.type!r})")

    def _text(self, size: int) -> str:
        if not 0 < size <= _LONGEST:
            raise _refused(f"a name of {size} bytes")
        return self._padded(size).rstrip(b"\0").decode("utf-8", "surrogateescape")

    def _padded(self, size: int) -> bytes:
        return self._exactly(-(-size // BLOCK) * BLOCK)[:size]

    def _folder(self, place: str) -> None:
        try:
            (self.into / place).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(f"{place!r} cannot be a folder: {error.strerror}") from None

    def _file(self, place: str, size: int, *, executable: bool) -> None:
        self.done.bytes += size
        if not 0 <= size <= self.caps.each or self.done.bytes > self.caps.bytes:
            raise _refused(f"{place!r} has {size} bytes; {self.caps.each} are allowed, {self.caps.bytes} in all")
        self._folder(posixpath.dirname(place))
        digest = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self.into / place, flags, 0o700 if executable else 0o600)
        except OSError as error:
            raise _refused(f"{place!r} cannot be a file: {error.strerror}") from None
        with os.fdopen(descriptor, "wb") as file:
            left = size
            while left:
                piece = self._exactly(min(left, _PIECE))
                digest.update(piece)
                file.write(piece)
                left -= len(piece)
        self._exactly(-size % BLOCK)
        self.done.files[place] = Digest("sha256", digest.hexdigest())

    def _link(self, place: str, target: str) -> None:
        """Make a link that leads inside, written so that it cannot climb out; leave others out."""
        base = "" if target.startswith("/") else posixpath.dirname(place)
        leads = posixpath.normpath(posixpath.join(base, target.lstrip("/")))
        path = self.into / place
        plain = _NAME.fullmatch(target) and leads != ".." and not leads.startswith("../")
        if not plain or path.parent.resolve() != self.into.resolve() / posixpath.dirname(place):
            self.done.left_out.append(place)
            return
        self._folder(posixpath.dirname(place))
        try:
            path.symlink_to(posixpath.relpath(leads, posixpath.dirname(place) or "."))
        except OSError:
            self.done.left_out.append(place)
            return
        self.done.links[place] = leads

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            piece = self.read(size)
            if not piece:
                raise _refused("it ends before its end")
            parts.append(piece)
            size -= len(piece)
        return b"".join(parts)


def _inside(name: str) -> str:
    """Give a member's name as a path that stays inside; "" for the folder itself."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    long = len(name.encode("utf-8", "surrogateescape")) > _LONGEST or any(len(part) > 255 for part in parts)
    if name.startswith("/") or ".." in parts or long or not _NAME.fullmatch(name):
        raise _refused(f"{name[:80]!r} is a name that leads elsewhere, or is none")
    return "/".join(parts)


def _refused(why: str) -> ArchiveRefused:
    return ArchiveRefused(
        "an archive is refused, and nothing of it is used", why=why, remedy="look who made it, and have it made anew"
    )


def pack(files: Mapping[str, Path], write: Callable[[bytes], object]) -> None:
    """Write a plain archive of these files by name, the same for the same bytes."""
    for name, path in files.items():
        told = tarfile.TarInfo(name)
        told.size = path.stat().st_size
        write(told.tobuf(tarfile.GNU_FORMAT))
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                write(piece)
        write(bytes(-told.size % BLOCK))
    write(bytes(2 * BLOCK))
