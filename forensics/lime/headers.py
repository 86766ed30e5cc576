"""Kernel headers for exactly one release, wherever they can be had, ready for an out-of-tree module.

Names are Debian's and Ubuntu's: linux-headers-RELEASE depends on the headers that flavours share and on linux-kbuild.
Its Makefile names the shared part by an absolute path, the one thing that ties an unpacked package to its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import ForensicsError
from forensics.lime.packages import Package, PackageSource, PackageUnavailable, unpack

_INCLUDE = re.compile(r"^(-?include\s+)(/\S+)$", re.MULTILINE)
_MOST_PACKAGES = 16


class HeadersMismatch(ForensicsError):
    """Headers were given, and they are for another kernel."""


@dataclass(frozen=True, slots=True)
class Headers:
    """A folder that `make -C` builds modules in."""

    tree: Path
    origin: str  # in words
    packages: tuple[Package, ...] = ()
    places: tuple[Path, ...] = ()  # what has to be seen to build in it
    of_target: bool = False  # they are the machine's under investigation: what is made with them is for it alone

    @property
    def needs(self) -> tuple[str, ...]:
        """Name the packages that its build programs need beside the kernel's own; () when nothing tells."""
        return tuple(sorted({name for one in self.packages for name in one.depends if not name.startswith("linux-")}))

    @property
    def compiler(self) -> str:
        """Name the compiler that they ask for ("gcc-12"), "" when they name none."""
        named = re.search(r"^CC\s*=.*?\b(gcc-\d+)\b", _text(self.tree / ".kernelvariables"), re.MULTILINE)
        told = re.search(r'^CONFIG_CC_VERSION_TEXT=".*?gcc.*? (\d+)\.\d+\.\d+"$', self._config, re.MULTILINE)
        return named[1] if named else f"gcc-{told[1]}" if told else ""

    @property
    def _config(self) -> str:
        return _text(self.tree / "include/config/auto.conf") or _text(self.tree / ".config")


def release_of(tree: Path) -> str:
    """Read the release that headers are for; "" when they do not say."""
    named = re.search(r"^override KERNELRELEASE\s*=\s*(\S+)", _text(tree / ".kernelvariables"), re.MULTILINE)
    used = re.search(r'UTS_RELEASE "([^"]*)"', _text(tree / "include/generated/utsrelease.h"))
    found = named or used
    return found[1] if found else _text(tree / "include/config/kernel.release").strip()


def given(folder: Path, release: str, work: Path) -> Headers:
    """Take headers that the analyst names: a build tree, or the root of unpacked packages.

    Raises HeadersMismatch, with both releases, when they are not for this one.
    """
    inside = folder / "usr/src" / f"linux-headers-{release}"
    tree = inside if inside.is_dir() else folder
    found = release_of(tree)
    if found != release:
        raise HeadersMismatch(
            "the headers are not for the target's kernel",
            where=str(folder),
            why=f"they are for {found or 'no release that they name'}, the target runs {release}",
            remedy="give headers of exactly that release, or leave --headers out",
        )
    return Headers(relocated(tree, folder, work), f"given: {folder}", places=(folder.resolve(), work))


def installed(release: str) -> Headers | None:
    """Take headers that are installed on this machine."""
    for path in (Path("/lib/modules") / release / "build", Path("/usr/src") / f"linux-headers-{release}"):
        if path.is_dir() and release_of(path) == release:
            return Headers(path.resolve(), f"installed on this machine: {path}", places=(path.resolve(),))
    return None


def packaged(source: PackageSource, release: str, built: str, work: Path) -> Headers | None:
    """Take the distribution's own packages for exactly this release, unpacked below `work`; None when it has none.

    `built` is the version of the kernel package ("6.1.192-2"), "" when it is not known: a release keeps its name over
    several package versions, and the same version is taken where there is one.
    """
    chosen = tuple(_closure(source, f"linux-headers-{release}", built))
    if not chosen:
        return None
    root, downloads = work / "headers", work / "headers-packages"
    root.mkdir()
    downloads.mkdir()
    for package in chosen:
        unpack(source.fetch(package, downloads), root)
    tree = root / "usr/src" / f"linux-headers-{release}"
    return Headers(relocated(tree, root, work), "the distribution's packages", chosen, (work,))


def included(makefile: str) -> tuple[str, ...]:
    """Name the files that a Makefile includes by absolute paths."""
    return tuple(found[1] for found in _INCLUDE.findall(makefile))


def wanted(release: str) -> str:
    """Name the packages that were looked for."""
    common = re.sub(r"^(\d[\d.]*(?:\+deb\d+)?(?:-\d+)?)-.*$", r"\1-common", release)
    return f"linux-headers-{release} with what it depends on (linux-headers-{common}, linux-kbuild-*)"


def relocated(tree: Path, root: Path, work: Path) -> Path:
    """Give a tree whose Makefile finds the shared headers below `root`; `tree` itself stays as it is.

    The new tree is a folder of links with a Makefile of its own; none is made when the tree is usable as it is.
    """
    makefile = _text(tree / "Makefile")
    named = _INCLUDE.search(makefile)
    if named is None or Path(named[2]).is_file():
        return tree.resolve()
    below = root / named[2].lstrip("/")
    moved = below if below.is_file() else tree.parent / Path(named[2]).parent.name / Path(named[2]).name
    if not moved.is_file():
        raise PackageUnavailable(
            "the headers are not whole",
            where=str(tree),
            why=f"their Makefile includes {named[2]}, and that file is not there",
            remedy="unpack the package that holds it beside them (linux-headers-*-common)",
        )
    place = work / "tree"
    place.mkdir()
    for path in tree.iterdir():
        if path.name != "Makefile":
            (place / path.name).symlink_to(path.resolve())
    (place / "Makefile").write_text(makefile.replace(named[2], str(moved.resolve())), encoding="utf-8")
    return place.resolve()


def _closure(source: PackageSource, name: str, built: str) -> Iterator[Package]:
    """Give a package and what it depends on of the kernel's own packages; the compiler is not among them."""
    waiting = [name]
    seen: set[str] = set()
    while waiting and len(seen) < _MOST_PACKAGES:
        one = waiting.pop()
        package = _choose(source.versions(one), built)
        seen.add(one)
        if package is None and one == name:
            return
        if package is None:
            raise PackageUnavailable(f"{one} is not there, and {name} needs it")
        yield package
        waiting += [other for other in package.depends if _ours(other) and other not in seen]


def _ours(name: str) -> bool:
    return name.startswith("linux-") and not name.startswith(("linux-compiler-", "linux-image-", "linux-libc-"))


def _choose(versions: Sequence[Package], built: str) -> Package | None:
    exact = next((package for package in versions if package.version == built), None)
    return exact or next(iter(versions), None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
