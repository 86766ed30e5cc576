"""LiME compiled on the target itself, with its headers and its compiler: only because the analyst asked for it.

It starts dozens of processes there, reads thousands of files and takes memory, all of which the later image shows. So
it is on record as a deviation, in a private folder on tmpfs (of the disk only where there is no tmpfs with room), the
temporary files of the compiler too, at the lowest priority and with a limit of time; then it is removed and looked for.
"""

from __future__ import annotations

import hashlib
import io
import re
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from forensics import text
from forensics.errors import CommandFailed, ForensicsError, TargetError
from forensics.host import Change, Completed, Host, Limits
from forensics.lime import target_headers
from forensics.lime.compiling import LimeSource

SECONDS = 600.0
"""How long make may take there."""

DEVIATION = "a module is compiled on the target, with its own compiler and headers, because the analyst asked for it"

_ON_DISK = "/var/tmp"  # noqa: S108 - only a private folder in it is used
_MOST_SOURCE, _MOST_MODULE = 4 << 20, 64 << 20  # bytes
_TAR = Limits(seconds=60)
# The compiler writes its temporary files where TMPDIR says. A module that make makes is LiME's own file name.
_MAKE = """cd "$0" && umask 077 && TMPDIR="$0" && export TMPDIR && exec nice -n 19 make -j1 "KVER=$1" "KDIR=$2" 2>&1"""
_FIND = 'cd "$0" && for f in "lime-$1.ko" lime.ko; do [ -f "$f" ] && [ ! -L "$f" ] && exec cat -- "$f"; done; exit 9'
_CHANGED = """find "$@" -newer "$0" -print | head -n 20"""


@dataclass(frozen=True, slots=True)
class MadeThere:
    """What a build on the target gave."""

    module: bytes
    said: str  # by make
    seconds: float
    origin: tuple[str, ...]
    changed: tuple[str, ...]  # files in the folders of headers that are newer than the build


def build(host: Host, source: LimeSource, release: str) -> MadeThere:
    """Compile LiME on the target and bring the module here; nothing of it is left there, and it was looked for.

    ForensicsError, with what make said, when no module came of it.
    """
    found = target_headers.find(host, release)
    if found.why_not:
        raise _not_made(host, f"no headers: {found.why_not}")
    for program in ("make", "cc", "ld"):
        if not host.run("/bin/sh", "-c", 'command -v "$0"', program).ok:
            raise _not_made(host, f"{program} is not on it")
    packed, names = _packed(source)
    with _private(host) as place:
        work = place / "lime"
        with host.change(_change(work, release)):
            _send(host, work, packed, names)
            made = host.run(
                "/bin/sh", "-c", _MAKE, str(work), release, found.roots[0], root=True, limits=Limits(seconds=SECONDS)
            )
            said = text.decode(made.stdout)
            if not made.ok:
                raise _not_made(host, f"make {_end(made)}: {_told(said)}")
            module = host.run(
                "/bin/sh", "-c", _FIND, str(work), release, root=True, limits=Limits(seconds=60, bytes=_MOST_MODULE)
            )
            if not module.ok:
                raise _not_made(host, f"make ended well, and there is no module ({_end(module)})")
            changed = host.run("/bin/sh", "-c", _CHANGED, str(work / next(iter(names))), *found.roots, root=True)
    origin = (f"compiled on the target with {found.roots[0]}", f"LiME {source.version}: {source.package or 'given'}")
    lines = tuple(text.show(one, 200) for one in changed.stdout.splitlines())
    return MadeThere(module.stdout, said, made.seconds, origin, lines)


@contextmanager
def _private(host: Host) -> Iterator[Path]:
    """Give a new private folder: on tmpfs; where there is none with room, on the disk, which is on record."""
    with ExitStack() as around:
        try:
            place = around.enter_context(host.workplace())
        except CommandFailed:
            raise
        except TargetError as none:
            place = Path(_ON_DISK) / f"forensics-{secrets.token_hex(16)}"
            change = Change(
                kind="folder on disk",
                subject=str(place),
                undo=("rm", "-rf", "--", str(place)),
                gone=("test", "!", "-e", str(place)),
                details=f"root's, mode 0700; {none}",
                deviation="files are written to the target's disk: there is no tmpfs to compile on",
            )
            around.enter_context(host.change(change))
            host.run("mkdir", "-m", "700", "--", str(place), root=True, expect=True)
        yield place


def _change(work: Path, release: str) -> Change:
    return Change(
        kind="build",
        subject=str(work),
        undo=("rm", "-rf", "--", str(work)),
        gone=("test", "!", "-e", str(work)),
        details=f"LiME's source is put there and compiled for {release}; the module is copied here and removed",
        deviation=DEVIATION,
    )


def _packed(source: LimeSource) -> tuple[bytes, dict[str, str]]:
    """Pack the files of LiME's folder as one tar, root's; also give their digests by name."""
    digests: dict[str, str] = {}
    held, size = io.BytesIO(), 0
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(source.folder.iterdir()):
            if (
                path.is_symlink()
                or not path.is_file()
                or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,90}", path.name)
            ):
                continue
            content = path.read_bytes()
            size += len(content)
            if size > _MOST_SOURCE:
                raise ForensicsError("LiME's source is too large to be taken to a target", where=str(source.folder))
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, io.BytesIO(content))
            digests[path.name] = hashlib.sha256(content).hexdigest()
    return held.getvalue(), digests


def _send(host: Host, work: Path, packed: bytes, digests: dict[str, str]) -> None:
    """Stream the source into a new folder, and have each file's digest told there."""
    host.run("mkdir", "-m", "700", "--", str(work), root=True, expect=True)
    words = ("tar", "-x", "-o", "-f", "-", "-C", str(work))
    host.run(*words, root=True, stdin=packed, limits=_TAR, expect=True)
    files = [str(work / name) for name in digests]
    told = text.decode(host.run("sha256sum", "--", *files, root=True, limits=_TAR, expect=True).stdout)
    if re.findall(r"^\\?([0-9a-f]{64}) ", told, re.MULTILINE) != list(digests.values()):
        raise _not_made(host, "LiME's source did not arrive as it was sent")


def _told(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if "error" in line.lower() or "not found" in line.lower()]
    return text.show(lines[0] if lines else said.strip()[-300:] or "it said nothing", 400)


def _end(ended: Completed) -> str:
    return f"was ended by our limit ({ended.cut})" if ended.cut else f"ended with {ended.status}"


def _not_made(host: Host, why: str) -> ForensicsError:
    return ForensicsError(
        "no LiME module could be built on the target", where=host.label, why=why, remedy="take an engine without one"
    )
