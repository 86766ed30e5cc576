"""Kernel headers as the target itself keeps them: found, streamed as one tar, and unpacked here as a stranger's.

Reading is all that happens there, and GNU tar is asked to leave the times of access alone. What they are on the target
is known by name only: /lib/modules/RELEASE/build, and the folders beside it that its links and its Makefile name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from forensics import text, unpacking
from forensics.errors import ForensicsError
from forensics.host import MIB, Host, Limits
from forensics.lime import headers
from forensics.lime.headers import Headers, HeadersMismatch
from forensics.lime.room import confined
from forensics.model import Digest, Exhibit
from forensics.unpacking import Caps

CAPS = Caps(members=250_000, bytes=1 << 30, each=256 << 20, links=True)
_LIMITS = Limits(seconds=1800, bytes=CAPS.bytes + (1 << 28), idle=60)
_WORD = r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,100}"
_ROOT = re.compile(
    rf"/(?:usr/src/(?:kernels/)?{_WORD}|usr/lib/linux-kbuild-{_WORD}|(?:usr/)?lib/modules/{_WORD}/build)"
)
_MOST_ROOTS = 8


@dataclass(frozen=True, slots=True)
class TargetHeaders:
    """The kernel headers that a target keeps, as one tar; or why there are none."""

    exhibits: tuple[Exhibit, ...]
    archive: Exhibit | None
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """Folders on the target that make up its headers, the first the one to build in; or why there are none."""

    roots: tuple[str, ...]
    why_not: str = ""


def find(host: Host, release: str) -> Found:
    """Ask a target where the headers of its kernel are."""
    if not re.fullmatch(_WORD, release):
        return Found((), "the release is no name that can stand in a path")
    told = host.run("readlink", "-f", f"/lib/modules/{release}/build", root=True)
    tree = text.decode(told.stdout).strip()
    if not told.ok or not host.run("test", "-f", f"{tree}/Makefile", root=True).ok:
        return Found((), f"the target keeps none (/lib/modules/{release}/build)")
    if not _root(tree):
        return Found((), f"they are where no headers are looked for: {text.show(tree, 100)}")
    roots = dict.fromkeys([_root(tree)])
    for known in list(roots):
        roots |= dict.fromkeys(_named(host, known))
    for known in list(roots)[1:]:
        roots |= dict.fromkeys(_named(host, known))
    return Found(tuple(roots)[:_MOST_ROOTS])


def copy(host: Host, found: Found, output: Path) -> Digest:
    """Stream the folders as one tar to a new file; ForensicsError when it did not come whole."""
    words = ["-c", "-f", "-", "-C", "/"]
    if b"GNU tar" in host.run("tar", "--version").stdout:
        words += ["--format=gnu", "--hard-dereference", "--atime-preserve=system"]
    names = [one.lstrip("/") for one in found.roots]
    digest = hashlib.sha256()
    with output.open("xb") as file, host.stream("tar", *words, *names, root=True, limits=_LIMITS) as stream:
        while piece := stream.read(MIB):
            digest.update(piece)
            file.write(piece)
        ended = stream.ended()
    if not ended.ok:
        said = f"our limit ({ended.cut})" if ended.cut else text.show(ended.stderr.strip(), 300)
        raise ForensicsError("the target's kernel headers did not come whole", where=host.label, why=said)
    return Digest("sha256", digest.hexdigest())


def taken(archive: Path, release: str, work: Path) -> Headers:
    """Unpack what was copied into an empty folder, ready to be compiled with; ForensicsError when it is not that.

    Its build programs are the target's: they run in a closed room or not at all.
    """
    if not confined():
        raise ForensicsError(
            "the target's own headers are not used",
            why="their build programs would run in the open: bubblewrap is not here, or may not make namespaces",
            remedy="install bubblewrap, or allow user namespaces, or work as root",
        )
    root = work / "target"
    root.mkdir()
    with archive.open("rb") as file:
        unpacked = unpacking.unpack(file.read, root, CAPS)
    trees = {PurePosixPath(name).parent for name in unpacked.files if PurePosixPath(name).name == "Makefile"}
    fitting = [root / tree for tree in sorted(trees, key=str) if _tree(str(tree)) and _fits(root / tree, release)]
    if not fitting:
        raise HeadersMismatch(
            "the headers that the target keeps are not for its running kernel",
            why=f"none of its folders says to be for {release}",
        )
    left_out = f", {len(unpacked.left_out)} links that lead out of them left out" if unpacked.left_out else ""
    origin = f"copied from the target: {len(unpacked.files)} files, {unpacked.bytes} bytes{left_out}"
    return Headers(headers.relocated(fitting[0], root, work), origin, places=(work,), of_target=True)


def _tree(name: str) -> bool:
    return _ROOT.fullmatch(f"/{name}") is not None


def _fits(tree: Path, release: str) -> bool:
    return headers.release_of(tree) == release


def _named(host: Host, folder: str) -> Iterator[str]:
    """Give the folders beside this one that its links and its Makefile name."""
    links = host.run("find", folder, "-maxdepth", "2", "-type", "l", "-exec", "readlink", "-f", "{}", ";", root=True)
    makefile = host.run("head", "-c", "65536", "--", f"{folder}/Makefile", root=True)
    named = [*text.decode(links.stdout).splitlines(), *headers.included(text.decode(makefile.stdout))]
    yield from _roots(named)


def _roots(paths: Iterable[str]) -> Iterator[str]:
    return (root for root in map(_root, paths) if root)


def _root(path: str) -> str:
    """Give the folder of headers that a path on the target is in, "" when it is in none."""
    found = _ROOT.match(path)
    inside = found is not None and path[found.end() : found.end() + 1] in {"", "/"}
    return found[0] if found and inside and ".." not in PurePosixPath(path).parts else ""
