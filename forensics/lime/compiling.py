"""LiME's source, and the module that is made of it. LiME is GPL: it is fetched when wanted and never part of this."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import StageFailed
from forensics.lime.headers import Headers
from forensics.lime.packages import Package, PackageSource, PackageUnavailable, newest_first, unpack
from forensics.lime.room import Room

PACKAGE = "lime-forensics-dkms"
_LIBRARY = re.compile(r"version `(\S+)' not found")


@dataclass(frozen=True, slots=True)
class LimeSource:
    """A folder with LiME's C files and Makefile."""

    folder: Path
    version: str
    package: Package | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """How one build went."""

    module: Path | None
    command: tuple[str, ...]
    compiler: str  # its first words about itself
    output: str
    why: str = ""  # why there is no module


def given(folder: Path) -> LimeSource:
    """Take the source that the analyst names: the folder itself, its src/, or an unpacked package."""
    for place in (folder, folder / "src", *sorted(folder.glob("usr/src/lime-forensics-*"))):
        if (place / "main.c").is_file() and (place / "lime.h").is_file():
            return LimeSource(place, _version(place) or "unknown")
    raise StageFailed(
        "there is no LiME source in this folder",
        where=str(folder),
        why="neither it nor its src/ has main.c and lime.h",
        remedy="give the folder that has them: --lime-source DIR",
    )


def packaged(sources: Sequence[PackageSource], work: Path) -> Iterator[LimeSource]:
    """Give the source of each version of Debian's package, the newest first."""
    offers = {package: source for source in reversed(sources) for package in source.versions(PACKAGE)}
    for number, package in enumerate(newest_first(offers)):
        root = work / f"lime-{number}"
        root.mkdir()
        unpack(offers[package].fetch(package, root), root)
        found = next(iter(sorted(root.glob("usr/src/lime-forensics-*"))), None)
        if found is None:
            raise PackageUnavailable(f"{PACKAGE} {package.version} holds no source", where=package.source)
        yield LimeSource(found, package.version.rpartition("-")[0] or package.version, package)


def compile_module(source: LimeSource, headers: Headers, release: str, room: Room, work: Path) -> Compiled:
    """Build LiME with its own Makefile, in a copy; what make said is kept, and the module is left in that copy.

    The kernel's build system takes no blank or colon in a path, so the copy is made where there is none.
    """
    place = Path(tempfile.mkdtemp(prefix="lime-", dir=_plain(work)))
    copy = place / "lime"
    shutil.copytree(source.folder, copy)
    compiler = _compiler(headers, room)
    command = ("make", f"KVER={release}", f"KDIR={headers.tree}", f"CC={compiler}")
    done = room.run(command, copy, headers.places)
    made = next((path for path in (copy / f"lime-{release}.ko", copy / "lime.ko") if _plain_file(path)), None)
    said = room.run((compiler, "--version"), copy).stdout.partition("\n")[0]
    if done.returncode != 0 or made is None:
        return Compiled(None, command, said, done.stdout, _why(done.stdout, headers, room))
    return Compiled(made, command, said, done.stdout)


def _compiler(headers: Headers, room: Room) -> str:
    """Choose the compiler that the kernel was built with where the room has it, else the room's usual one."""
    return headers.compiler if headers.compiler and room.has(headers.compiler) else "gcc"


def _plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _why(output: str, headers: Headers, room: Room) -> str:
    library = _LIBRARY.search(output)
    if library:
        return (
            f"the kernel's build programs (linux-kbuild) need {library[1]}; the C library of {room.origin} has it not"
        )
    told = [line.strip() for line in output.splitlines() if "error" in line.lower() or "not found" in line.lower()]
    asked = f" (the kernel asks for {headers.compiler})" if headers.compiler else ""
    return f"make failed{asked}: {told[0] if told else output.strip()[-300:] or 'it said nothing'}"


def _version(folder: Path) -> str:
    for name, pattern in (("dkms.conf", r'PACKAGE_VERSION="([^"]+)"'), ("lime.h", r'LIME_VERSION\s+"([^"]+)"')):
        path = folder / name
        found = re.search(pattern, path.read_text("utf-8", "replace")) if path.is_file() else None
        if found:
            return found[1]
    return ""


def _plain(folder: Path) -> Path:
    return folder if re.fullmatch(r"[\w./+~-]+", str(folder)) else Path(tempfile.gettempdir())
