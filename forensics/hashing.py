"""One read, every digest: SHA-256 of whole files, and of their pieces so that damage can be placed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from forensics.errors import IntegrityError
from forensics.model import Digest

ALGORITHM = "sha256"
SECOND = ("blake2b", "sha3_256", "sha512")
"""What may stand beside it: two that share nothing with SHA-256, and its larger brother; named as in hashlib."""
PIECE = 64 << 20
"""Bytes of a piece; doubled until a file has at most `PIECES` of them."""
PIECES = 1024
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Hashed:
    """What a file held when it was read from end to end."""

    digest: Digest
    size: int
    piece: int  # bytes of a piece
    pieces: tuple[str, ...] = ()  # hex SHA-256 of each piece, in order; () when the file is not larger than one
    second: Digest | None = None  # by another algorithm, where one was asked for


def hash_bytes(content: bytes) -> Digest:
    """Hash bytes."""
    return Digest(ALGORITHM, hashlib.sha256(content).hexdigest())


def open_regular(path: Path) -> int:
    """Open a regular file for reading and give its descriptor; IntegrityError for a symlink or anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        why = "it is a symlink" if path.is_symlink() else error.strerror or str(error)
        raise IntegrityError("a file of the case cannot be read", where=str(path), why=why) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IntegrityError("a file of the case is no regular file", where=str(path))
    return descriptor


def hash_whole(path: Path) -> Hashed:
    """Read a regular file once, as `hash_file` does, and hash it as a whole alone: half the work."""
    return _hashed(path, lambda _count: None, "", pieces=False)


def hash_file(path: Path, progress: Callable[[int], object] = lambda _count: None, *, second: str = "") -> Hashed:
    """Read a regular file once; `progress` is called with each further count of bytes, `second` is one of `SECOND`.

    Raises IntegrityError for a symlink, or for what is no regular file or cannot be read.
    """
    return _hashed(path, progress, second, pieces=True)


def _hashed(path: Path, progress: Callable[[int], object], second: str, *, pieces: bool) -> Hashed:
    descriptor = open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        piece = _piece_for(size)
        return _hash(descriptor, piece, progress, second, pieces=pieces and size > piece)
    except OSError as error:
        raise IntegrityError("a file of the case cannot be read", where=str(path), why=str(error)) from error
    finally:
        os.close(descriptor)


def _piece_for(size: int) -> int:
    piece = PIECE
    while size > piece * PIECES:
        piece *= 2
    return piece


def _hash(descriptor: int, piece: int, progress: Callable[[int], object], second: str, *, pieces: bool) -> Hashed:
    whole = hashlib.sha256()
    other = hashlib.new(second) if second else None
    part = hashlib.sha256()
    made: list[str] = []
    size = 0
    while chunk := os.read(descriptor, _BUFFER):
        whole.update(chunk)
        if other:
            other.update(chunk)
        for begin, end in _cuts(size, len(chunk), piece) if pieces else ():
            part.update(chunk[begin:end])
            if (size + end) % piece == 0:
                made.append(part.hexdigest())
                part = hashlib.sha256()
        size += len(chunk)
        progress(len(chunk))
    if pieces and size % piece:
        made.append(part.hexdigest())
    beside = Digest(second, other.hexdigest()) if other else None
    return Hashed(Digest(ALGORITHM, whole.hexdigest()), size, piece, tuple(made) if len(made) > 1 else (), beside)


def _cuts(offset: int, length: int, piece: int) -> list[tuple[int, int]]:
    """Cut the next `length` bytes after `offset` where pieces end."""
    first = piece - offset % piece
    edges = [0, *range(first, length, piece), length]
    return list(pairwise(edges))


def hash_tree(folder: Path, patterns: Sequence[str]) -> Digest:
    """Hash what `sha256sum` would print for the files below a folder whose names match, sorted.

    One figure for an installed package: it changes when any file is changed, added, removed or renamed.
    """
    lines = (
        f"{hash_file(path).digest.value}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted({path for pattern in patterns for path in folder.rglob(pattern)})
        if path.is_file() and not path.is_symlink()
    )
    return hash_bytes("".join(lines).encode())
