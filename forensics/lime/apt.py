"""apt with private sources, state and cache, without root; this machine's own lists are not touched.

apt verifies what it downloads against the archive's signed Release file; what is taken from our cache is hashed again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from forensics.lime.packages import (
    Package,
    PackageUnavailable,
    call,
    newest_first,
    package_of,
    sha256,
    stanzas,
)

_DISTRIBUTION = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_KEYRINGS = Path("/usr/share/keyrings")


def cache_folder() -> Path:
    """Tell where downloads are kept between runs: below XDG_CACHE_HOME, or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "forensics"


@dataclass(frozen=True)
class Archive:
    """An apt archive: where it is, and the suites that may hold what we want."""

    uri: str
    suites: tuple[str, ...]
    keyring: Path | None = None

    def only(self, suites: Sequence[str]) -> Archive:
        """Give the same archive with those of its suites alone that are named."""
        return replace(self, suites=tuple(one for one in self.suites if one in suites))

    def deb822(self) -> str:
        """Write it as apt reads it (sources.list(5))."""
        signed = f"Signed-By: {self.keyring}\n" if self.keyring else ""
        return f"Types: deb\nURIs: {self.uri}\nSuites: {' '.join(self.suites)}\nComponents: main\n{signed}"


@dataclass
class AptSource:
    """apt with private sources, state and cache; this machine's own lists are not touched."""

    archives: tuple[Archive, ...]
    architecture: str
    said: list[str] = field(default_factory=list)  # apt's warnings and errors
    _ready: bool = False

    def versions(self, name: str) -> tuple[Package, ...]:
        """Give every version the archives have, the newest first."""
        if not self.archives:
            return ()
        self._update()
        shown = self._apt("apt-cache", "show", name, check=False)
        found = (package_of(one, one.get("SHA256", ""), self._where(one)) for one in stanzas(shown))
        return newest_first(package for package in found if package.name == name and package.sha256)

    def fetch(self, package: Package, into: Path) -> Path:
        """Download the package, or take it from the cache when its digest is the archive's."""
        kept = cache_folder() / "packages" / f"{package.sha256}.deb"
        if not kept.is_file() or sha256(kept) != package.sha256:
            self._download(package, into, kept)
        copy = into / kept.name
        shutil.copyfile(kept, copy)
        return copy

    def _download(self, package: Package, into: Path, kept: Path) -> None:
        before = set(into.iterdir())
        wanted = f"{package.name}:{package.architecture}={package.version}"
        if package.architecture == "all":
            wanted = f"{package.name}={package.version}"
        self._apt("apt-get", "download", wanted, folder=into)
        new = [path for path in into.iterdir() if path not in before]
        if len(new) != 1 or sha256(new[0]) != package.sha256:
            raise PackageUnavailable(
                f"{package.name} {package.version} came with another digest than the archive's list has",
                where=package.source,
                remedy="give the packages in a folder: --package-source DIR",
            )
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        shutil.copyfile(new[0], partial)
        partial.replace(kept)
        new[0].unlink()

    def _update(self) -> None:
        if self._ready:
            return
        state = self._state()
        for folder in ("state/lists/partial", "cache/archives/partial", "sources"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        text = "\n".join(archive.deb822() for archive in self.archives)
        (state / "sources" / "forensics.sources").write_text(text, encoding="utf-8")
        with _locked(state / "lock"):
            self._apt("apt-get", "update", check=False)
        self._ready = True

    def _state(self) -> Path:
        told = "\n".join([self.architecture, *(archive.deb822() for archive in self.archives)])
        return cache_folder() / "apt" / hashlib.sha256(told.encode()).hexdigest()[:16]

    def _apt(self, tool: str, *words: str, check: bool = True, folder: Path | None = None) -> str:
        state = self._state()
        options = {
            "Dir::State": state / "state",
            "Dir::State::status": state / "status",
            "Dir::Cache": state / "cache",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": state / "sources",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Architecture": self.architecture,
            "APT::Architectures::": self.architecture,
            "APT::Sandbox::User": "",
            "Acquire::Check-Valid-Until": "false",  # a snapshot's list is as old as the snapshot
            "Acquire::Retries": "2",
        }
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        done = call([tool, *given, *words], folder)
        self.said += [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
        if check and done.returncode != 0:
            raise PackageUnavailable(f"{tool} {' '.join(words)} failed", why=" ".join(done.stderr.split())[-500:])
        return done.stdout

    def _where(self, fields: dict[str, str]) -> str:
        pool = fields.get("Filename", "")
        return next((f"{one.uri}{pool}" for one in self.archives if len(self.archives) == 1), pool)


def configured_archives(distribution: str, suites: Sequence[str]) -> tuple[Archive, ...]:
    """Give the archives of this distribution that this machine's own apt is configured with, but for other suites.

    A security archive gets `SUITE-security`, the others SUITE, `-updates` and `-backports`, and the rolling suite as
    it is named. apt says of each of its lists which archive and origin it came from (apt-get indextargets).
    """
    shown = call(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"], None
    )
    keyring = _keyring(distribution)
    found: dict[str, Archive] = {}
    for line in shown.stdout.splitlines():
        origin, label, uri = [*line.split("|"), "", ""][:3]
        if origin.lower() == distribution and uri not in found:
            found[uri] = Archive(uri, _suites(label, suites), keyring)
    return tuple(found.values())


def given_archive(uri: str, distribution: str, suites: Sequence[str]) -> Archive:
    """Make an archive of a URL that the analyst gave."""
    return Archive(uri, _suites("security" if "security" in uri else "", suites), _keyring(distribution))


def _suites(label: str, suites: Sequence[str]) -> tuple[str, ...]:
    released = [suite for suite in suites if suite and suite != "sid"]
    if "security" in label.lower():
        return tuple(f"{suite}-security" for suite in released)
    pockets = tuple(f"{suite}{pocket}" for suite in released for pocket in ("", "-updates", "-backports"))
    return pockets + (("sid",) if "sid" in suites else ())


def _keyring(distribution: str) -> Path | None:
    names = f"{distribution}-archive-keyring.*" if _DISTRIBUTION.fullmatch(distribution) else ""
    return next((path for path in sorted(_KEYRINGS.glob(names))), None) if names else None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
