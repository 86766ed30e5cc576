"""The papers that an image came with: digest files and logs of acquisitions, old algorithms included.

Read are lines of md5sum and its like (`DIGEST  NAME`), BSD's (`MD5 (NAME) = DIGEST`), and any line with an algorithm by
name and a digest of its length. A line that names another file than the image says nothing of the image.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from forensics.imports.spans import Unreadable
from forensics.model import Digest

LARGEST = 4 << 20
"""Bytes of a paper."""

_LENGTHS = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
_SUM = re.compile(r"\\?([0-9A-Fa-f]{32,128})(?: [ *](.+))?")
_BSD = re.compile(r"([A-Za-z0-9-]+) ?\((.+)\) ?= ?([0-9A-Fa-f]{32,128})")
_HEX = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32,128}(?![0-9A-Za-z])")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a paper says of the image."""

    digest: Digest
    paper: str  # the paper's name, or "--digest"


@dataclass(frozen=True, slots=True)
class Compared:
    """A claim beside what was computed."""

    claim: Claim
    computed: Digest

    @property
    def agrees(self) -> bool:
        """Whether they are the same."""
        return self.claim.digest == self.computed


def read(path: Path, image: str) -> tuple[Claim, ...]:
    """Read what a paper says of the image of this name; Unreadable when it is too large to be one."""
    if path.stat().st_size > LARGEST:
        raise Unreadable(
            "this is no paper of an image", where=str(path), why=f"it is larger than {LARGEST} bytes",
            remedy="name the image first, and then its digest files and logs",
        )  # fmt: skip
    text = path.read_bytes().decode("utf-8", "replace").replace("\0", "")
    found = dict.fromkeys(Claim(digest, path.name) for line in text.splitlines() for digest in _line(line, image))
    return tuple(found)


def given(text: str) -> Claim:
    """Read a digest that the analyst says; Unreadable when it is none."""
    try:
        told = Digest.parse(text.lower())
    except ValueError:
        told = Digest("", "")
    if _LENGTHS.get(len(told.value)) != told.algorithm or not _HEX.fullmatch(told.value):
        raise Unreadable("this is no digest", where=text[:200], remedy="write it as ALGORITHM:HEX, such as md5:…")
    return Claim(told, "--digest")


def algorithms(claims: Iterable[Claim]) -> frozenset[str]:
    """Name the algorithms that have to be computed; SHA-256 is always one of them."""
    return frozenset({"sha256", *(one.digest.algorithm for one in claims)})


def compare(claims: Iterable[Claim], computed: Iterable[Digest]) -> tuple[Compared, ...]:
    """Put each claim beside what was computed."""
    by_name = {one.algorithm: one for one in computed}
    return tuple(Compared(one, by_name[one.digest.algorithm]) for one in claims)


def hashers(names: Iterable[str]) -> dict[str, hashlib._Hash]:
    """Make what computes these digests; MD5 and SHA-1 are compared with old papers and rest on nothing else."""
    return {name: hashlib.new(name, usedforsecurity=False) for name in sorted(names)}


def _line(line: str, image: str) -> Iterator[Digest]:
    line = line.strip()
    bsd, plain = _BSD.fullmatch(line), _SUM.fullmatch(line)
    if bsd:
        if _same(bsd[2], image):
            yield from _digest(bsd[3])
    elif plain:
        if plain[2] is None or _same(plain[2], image):
            yield from _digest(plain[1])
    else:
        words = line.lower().replace("-", "")
        yield from (one for hexed in _HEX.findall(line) for one in _digest(hexed) if one.algorithm in words)


def _same(named: str, image: str) -> bool:
    return PurePosixPath(named.strip().replace("\\", "/")).name == image


def _digest(hexed: str) -> Iterator[Digest]:
    algorithm = _LENGTHS.get(len(hexed))
    if algorithm:
        yield Digest(algorithm, hexed.lower())
