"""What a kernel profile says of itself: profile.json, beside the files it speaks of.

{"format", "release", "version", "machine", "build_id",
 "lime": {"file", "digest", "size", "made", "origin": […], "lime_version", "vermagic"} or null,
 "symbols": {"file", "digest", "size", "made", "origin": […], "banner"} or null}.

A damaged profile is told from an absent one: nothing of it is used, and nothing is written over it unseen.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from forensics import hashing
from forensics.errors import ForensicsError
from forensics.model import Facts
from forensics.text import show

FILE = "profile.json"
MODULE = "lime.ko"
TABLES = ("symbols.json", "symbols.json.xz", "symbols.json.gz", "symbols.json.bz2")
LARGEST = 1 << 20
"""Bytes of profile.json."""

_RELEASE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,100}")


class ProfileDamaged(ForensicsError):
    """A kernel profile is not what was recorded; it is not used."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeptFile(_Strict):
    """A file of a profile, and where it came from."""

    file: str
    digest: str  # sha256:…
    size: int
    made: str  # UTC
    origin: tuple[str, ...]


class LimeFile(KeptFile):
    """A LiME module."""

    file: Literal["lime.ko"] = "lime.ko"
    lime_version: str
    vermagic: str


class TableFile(KeptFile):
    """A symbol table."""

    banner: str  # that the kernel has in its memory, without its line end


class Record(_Strict):
    """One kernel's profile."""

    format: Literal["forensics profile 1"] = "forensics profile 1"
    release: str
    version: str  # uname -v
    machine: str
    build_id: str  # hex, "" when the kernel told none
    lime: LimeFile | None = None
    symbols: TableFile | None = None

    @property
    def parts(self) -> tuple[KeptFile, ...]:
        """The files that it speaks of."""
        return tuple(one for one in (self.lime, self.symbols) if one)


@dataclass(frozen=True, slots=True)
class Kernel:
    """Which kernel something is for."""

    release: str
    version: str
    machine: str
    build_id: str
    banner: bytes = b""

    @classmethod
    def of(cls, facts: Facts) -> Kernel:
        """Take a target's kernel from its facts."""
        return cls(facts.release, facts.version, facts.machine, facts.build_id, facts.proc_version)

    @property
    def shown(self) -> str:
        """The banner as a record has it."""
        return self.banner.rstrip(b"\0\n").decode("utf-8", "backslashreplace")

    def differs(self, record: Record) -> str:
        """Say in what a record is of another kernel, "" when it is of this one."""
        for name in ("release", "version", "machine", "build_id"):
            theirs, ours = getattr(record, name), getattr(self, name)
            if theirs != ours:
                told = name.replace("_", " ")
                return f"{told} {show(theirs, 120) or 'unknown'}, the target {show(ours, 120) or 'unknown'}"
        return ""


def folder_of(profiles: Path, release: str) -> Path | None:
    """Tell where the profile of a release is; None when the release is no name for a folder."""
    return profiles / release if _RELEASE.fullmatch(release) else None


def read(folder: Path) -> Record | None:
    """Read a profile; None when there is none, ProfileDamaged when what is there is no record of this release."""
    path = folder / FILE
    try:
        size = path.lstat().st_size
        if path.is_symlink() or not path.is_file() or size > LARGEST:
            raise _damaged(path, f"{FILE} is no plain file of at most {LARGEST} bytes")
        record = Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _damaged(path, f"{place}: {first['msg']}" if place else first["msg"]) from None
    if record.release != folder.name:
        raise _damaged(path, f"it is of {show(record.release, 100)}")
    if record.symbols and record.symbols.file not in TABLES:
        raise _damaged(path, f"it names a file {show(record.symbols.file, 100)}")
    return record


def changed(folder: Path, kept: KeptFile) -> str:
    """Say in what a kept file is not what was recorded, "" when it is."""
    path = folder / kept.file
    if path.is_symlink():
        return "is a link, and not used"
    try:
        digest = str(hashing.hash_file(path).digest)
    except ForensicsError as error:
        return f"cannot be read: {error}"
    return "" if digest == kept.digest else f"is {digest}, recorded was {kept.digest}: it is not used"


def write(folder: Path, record: Record) -> None:
    """Put a record in its place, whole or not at all; one that is damaged is kept beside it."""
    try:
        read(folder)
    except ProfileDamaged:
        (folder / FILE).replace(folder / f"{FILE}.damaged")
    new = folder / f"{FILE}.{os.getpid()}"
    with new.open("w", encoding="utf-8") as file:
        file.write(record.model_dump_json(indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / FILE)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let nobody else change a profile meanwhile; makes its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _damaged(path: Path, why: str) -> ProfileDamaged:
    return ProfileDamaged(
        "a kernel profile is damaged, and is not used",
        where=str(path),
        why=why,
        remedy="take the folder away: what is in it is made again, or import it anew",
    )
