"""A release's own userland with its own compiler, unpacked below the cache, for modules of that release's kernels.

mmdebstrap (variant `extract`, mode `chrootless`) downloads and unpacks; no package's script is run and no root is
needed. apt verifies what it downloads against the archive's signed Release file. Names are Debian's and Ubuntu's;
`bootstrap` is the seam for another family of packages: what it gives is a `Room`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from forensics.lime.apt import Archive, cache_folder
from forensics.lime.packages import FolderSource, Package, PackageUnavailable, call
from forensics.lime.room import Room, confined

_PROGRAMS = (
    "bash", "binutils", "coreutils", "dash", "findutils", "grep", "libc-bin", "make", "mawk", "perl-base", "sed",
    "xz-utils", "zstd",
)  # fmt: skip
_LINKED = ("libelf-dev", "libssl-dev")
"""What the kernel's build programs are linked with, where their package does not say it."""

_LIST = "packages.json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a tree is made of; the same wish gives the same tree of the cache."""

    distribution: str
    suite: str
    architecture: str
    compiler: str  # a package that has a program of its own name: gcc-14
    libraries: tuple[str, ...] = ()  # packages that the kernel's build programs need; (): the usual ones

    @property
    def packages(self) -> tuple[str, ...]:
        """Name the packages, without what they need themselves."""
        return tuple(sorted({*_PROGRAMS, self.compiler, *(self.libraries or _LINKED)}))


FAMILY = ("debian", "ubuntu")
"""Distributions, by their ID of os-release, whose packages are known here."""


def bootstrap(wanted: Wanted, archives: Sequence[Archive]) -> Room:
    """Give the tree, from the cache or made now: a minute and 300 MB of disk.

    Without archives mmdebstrap takes those it knows for the suite. Raises PackageUnavailable with what it said,
    ToolMissing where it is not installed.
    """
    if wanted.distribution not in FAMILY:
        raise PackageUnavailable(
            f"no tree of {wanted.distribution} {wanted.suite} can be made",
            why=f"the packages of {' and '.join(FAMILY)} are known, no others",
            remedy="give headers for this kernel (--headers), or take an engine that needs no module (--engine kcore)",
        )
    if not confined():
        raise PackageUnavailable(
            f"a tree of {wanted.suite} cannot be compiled in",
            why="bubblewrap is not here, or this machine lets nobody make user namespaces",
            remedy="install bubblewrap, or allow user namespaces, or work as root",
        )
    sources = "\n".join(archive.deb822() for archive in archives)
    told = json.dumps([asdict(wanted), wanted.packages, sources])
    folder = cache_folder() / "trees" / f"{wanted.suite}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    with _locked(folder):
        if not (folder / _LIST).is_file():
            _make(wanted, archives, folder)
    origin = f"{wanted.distribution} {wanted.suite}, its own programs"
    packages = json.loads((folder / _LIST).read_text(encoding="utf-8"))
    return Room(folder / "tree", origin, tuple(Package(**{**one, "depends": ()}) for one in packages))


def _make(wanted: Wanted, archives: Sequence[Archive], folder: Path) -> None:
    for debris in folder.parent.glob(f"{folder.name}.making-*"):
        shutil.rmtree(debris, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.making-", dir=folder.parent))
    try:
        _bootstrap(wanted, archives, work)
        (work / _LIST).write_text(json.dumps(_packages(work / "tree")), encoding="utf-8")
        _finish(work / "tree", wanted.compiler)
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _bootstrap(wanted: Wanted, archives: Sequence[Archive], work: Path) -> None:
    """Bootstrap with updates, and without where the archive lacks these.

    The security archive of a suite that is no longer served loses files that its lists still name.
    """
    pockets = ("", "-updates", "-security")
    problems: list[str] = []
    for taken in (pockets, pockets[:1]):
        suites = [f"{wanted.suite}{pocket}" for pocket in taken]
        left = [one for one in (archive.only(suites) for archive in archives) if one.suites]
        try:
            _mmdebstrap(wanted, left, work)
        except PackageUnavailable as error:
            shutil.rmtree(work / "tree", ignore_errors=True)
            problems.append(error.why)
        else:
            return
    raise PackageUnavailable(
        f"no tree of {wanted.suite} could be made",
        why="; without updates: ".join(problems),
        remedy="name an archive that has this release: --package-source URL",
    )


def _mmdebstrap(wanted: Wanted, archives: Sequence[Archive], work: Path) -> None:
    options = ["--mode=chrootless", "--variant=extract", "--format=directory"]
    options += [f"--architectures={wanted.architecture}", f"--include={','.join(wanted.packages)}"]
    options += ["--skip=cleanup/apt,check/empty", '--aptopt=Acquire::Check-Valid-Until "false"']
    mirror = []
    if archives:
        sources = work / "forensics.sources"
        told = "\n".join(one.deb822() for one in archives)
        sources.write_text(told.replace("URIs: file:", "URIs: copy:"), encoding="utf-8")  # packages are unpacked there
        mirror = [str(sources)]
    done = call(["mmdebstrap", *options, wanted.suite, str(work / "tree"), *mirror], None)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith(("E:", "Err:"))]
        raise PackageUnavailable(f"no tree of {wanted.suite} could be made", why=" ".join(said)[:500])


def _packages(tree: Path) -> list[dict[str, object]]:
    """List what the tree was made of, by the package files that are still in it."""
    return [asdict(one) for one in FolderSource(tree / "var/cache/apt/archives").all()]


def _finish(tree: Path, compiler: str) -> None:
    """Drop the package files, and make the names that packages' scripts would have made."""
    for name in ("var/cache/apt", "var/lib/apt", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(tree / name, ignore_errors=True)
    for name, program in (("awk", "mawk"), ("gcc", compiler), ("cc", compiler)):
        link = tree / "usr/bin" / name
        if not link.exists() and not link.is_symlink():
            link.symlink_to(program)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_suffix(".lock")
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
