"""What a module is made of and where it can be had: sources of packages, and headers in the order they are tried."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import ForensicsError
from forensics.lime import apt, target_headers
from forensics.lime import headers as kernel_headers
from forensics.lime.apt import AptSource
from forensics.lime.headers import Headers
from forensics.lime.packages import FolderSource, PackageSource
from forensics.model import Facts

LATEST = "sid"
"""Where Debian has the newest LiME."""

SUITE = re.compile(r"[a-z][a-z0-9]{0,31}")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture(facts: Facts) -> str:
    """Name the target's architecture as packages do."""
    return _ARCHITECTURES.get(facts.machine, facts.machine)


def sources(facts: Facts, given: str | None) -> list[PackageSource]:
    """List where packages of the target may be: what was given (a URL, a folder), then this machine's own."""
    suites = (facts.distribution_codename, LATEST)
    found: list[PackageSource] = []
    if given and Path(given).is_dir():
        found.append(FolderSource(Path(given)))
    elif given:
        archive = apt.given_archive(given, facts.distribution, suites[:1])
        found.append(AptSource((archive,), architecture(facts)))
    if SUITE.fullmatch(facts.distribution_codename):
        archives = apt.configured_archives(facts.distribution, suites)
        found.append(AptSource(archives, architecture(facts)))
    return found


@dataclass(frozen=True, slots=True)
class Copied:
    """The headers of the target, where to unpack, and where it is told."""

    archive: Path | None
    work: Path
    say: Callable[[str], None]

    def folder(self, name: str) -> Path:
        """Make a folder to unpack in."""
        place = self.work / name
        place.mkdir()
        return place


def headers(facts: Facts, given: Path | None, places: Sequence[PackageSource], copied: Copied) -> Iterator[Headers]:
    """Give headers in the order in which they are tried: given, installed here, the target's own, packages."""
    if given:
        yield kernel_headers.given(given, facts.release, copied.folder("given"))
        return
    here = kernel_headers.installed(facts.release)
    if here:
        yield here
        return
    if copied.archive:
        try:
            yield target_headers.taken(copied.archive, facts.release, copied.folder("copied"))
        except ForensicsError as problem:
            copied.say(f"the headers copied from the target are not used: {problem}")
    version = re.search(r"\b(?:Debian|Ubuntu) (\d\S*)", facts.version)
    packages = copied.folder("packaged")
    for source in places:
        found = kernel_headers.packaged(source, facts.release, version[1] if version else "", packages)
        if found:
            yield found
            return


def no_headers(facts: Facts, places: Sequence[PackageSource]) -> ForensicsError:
    """Say that there are no headers, and which packages were wanted."""
    said = " ".join(line for source in places if isinstance(source, AptSource) for line in source.said)
    return not_built(
        f"no headers of {facts.release} here, nor in any source of packages" + (f" ({said[-300:]})" if said else ""),
        f"give {kernel_headers.wanted(facts.release)}: --headers DIR, or --package-source URL|DIR "
        "(a snapshot archive, or a folder with the packages)",
    )


def not_built(why: str, remedy: str) -> ForensicsError:
    """Say that there is no module, why, and what to do."""
    return ForensicsError("no LiME module could be built for the target's kernel", why=why, remedy=remedy)
