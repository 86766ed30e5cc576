"""Debian packages fetched and unpacked into private folders, without root and without touching this machine's own.

Where packages come from: a folder of .deb files, or apt with its own state below the cache folder. apt verifies what
it downloads against the archive's signed Release file; a package that is taken from our cache is hashed again.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from forensics.errors import ForensicsError, ToolMissing

SECONDS = 600
_CLEAN = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}


class PackageUnavailable(ForensicsError):
    """A package could not be had."""


@dataclass(frozen=True, slots=True)
class Package:
    """One version of a binary package."""

    name: str
    version: str
    architecture: str
    depends: tuple[str, ...]  # names, the first of each alternative
    sha256: str
    source: str  # where it comes from, in words

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.architecture}), sha256:{self.sha256}, from {self.source}"


class PackageSource(Protocol):
    """Where packages come from."""

    def versions(self, name: str) -> tuple[Package, ...]:
        """Give every version it has, the newest first; () when it has none."""

    def fetch(self, package: Package, into: Path) -> Path:
        """Put the .deb of a package that it gave into a folder; PackageUnavailable when that fails."""


def unpack(deb: Path, into: Path) -> None:
    """Unpack a package's files into a folder; none of its scripts is run."""
    run(["dpkg-deb", "-x", str(deb), str(into)])


def newest_first(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Sort by version as dpkg compares versions."""
    return tuple(sorted(packages, key=functools.cmp_to_key(_compare), reverse=True))


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Read paragraphs of `Field: value` lines; folded lines are dropped, only one-line fields are of use here."""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = (line.partition(":") for line in paragraph.splitlines() if not line.startswith((" ", "\t")))
        found = {name: value.strip() for name, separator, value in lines if separator}
        if found:
            yield found


@dataclass(frozen=True)
class FolderSource:
    """A folder of .deb files that somebody brought."""

    folder: Path

    def versions(self, name: str) -> tuple[Package, ...]:
        """Give every version it has, the newest first."""
        return newest_first(package for package in self._index if package.name == name)

    def all(self) -> tuple[Package, ...]:
        """Give every package in the folder, by file name."""
        return tuple(self._index)

    def fetch(self, package: Package, into: Path) -> Path:
        """Copy the package's file."""
        found = self._index.get(package)
        if found is None:
            raise PackageUnavailable(f"{package.name} is not in this folder", where=str(self.folder))
        copy = into / f"{package.sha256}.deb"
        shutil.copyfile(found, copy)
        return copy

    @functools.cached_property
    def _index(self) -> dict[Package, Path]:
        found = {}
        for path in sorted(self.folder.glob("*.deb")):
            fields = next(stanzas(run(["dpkg-deb", "-f", str(path)])), {})
            found[package_of(fields, sha256(path), str(path))] = path
        return found


def package_of(fields: dict[str, str], sha256: str, source: str) -> Package:
    """Make a package of the fields that its list or its control file has."""
    wanted = fields.get("Depends", "").split(",")
    names = (one.split("|")[0].strip().partition(" ")[0].partition(":")[0] for one in wanted)
    return Package(
        name=fields.get("Package", ""),
        version=fields.get("Version", ""),
        architecture=fields.get("Architecture", ""),
        depends=tuple(name for name in names if name),
        sha256=sha256,
        source=source,
    )


def _compare(one: Package, other: Package) -> int:
    if one.version == other.version:
        return 0
    older = call(["dpkg", "--compare-versions", one.version, "lt", other.version], None).returncode == 0
    return -1 if older else 1


def sha256(path: Path) -> str:
    """Hash a file; hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(argv: Sequence[str]) -> str:
    """Run one of Debian's tools and give what it printed; PackageUnavailable when it fails."""
    done = call(argv, None)
    if done.returncode != 0:
        raise PackageUnavailable(f"{argv[0]} failed on {argv[-1]}", why=" ".join(done.stderr.split())[-500:])
    return done.stdout


def call(argv: Sequence[str], folder: Path | None) -> subprocess.CompletedProcess[str]:
    """Run one of Debian's tools in a clean environment; ToolMissing when it is not there."""
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    environment = {**kept, **_CLEAN, "HOME": os.environ.get("HOME", "/nonexistent")}
    try:
        return subprocess.run(
            argv,
            cwd=folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise ToolMissing(
            f"{argv[0]} is not on this machine",
            why="packages are read with the tools of Debian",
            remedy="work on Debian, or give the headers and LiME unpacked: --headers DIR --lime-source DIR",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise PackageUnavailable(f"{argv[0]} did not end within {SECONDS} seconds") from error
