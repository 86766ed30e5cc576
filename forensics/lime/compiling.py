"""LiME's source, and the module that is made of it. LiME is GPL: it is fetched when wanted and never part of this."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import StageFailed
from forensics.lime.headers import Headers
from forensics.lime.packages import Package, PackageSource, PackageUnavailable, newest_first, unpack

PACKAGE = "lime-forensics-dkms"
SECONDS = 600
_LIBRARY = re.compile(r"version `(\S+)' not found")
_CLEAN = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "KBUILD_BUILD_USER": "forensics"}


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


def compile_module(source: LimeSource, headers: Headers, release: str) -> Compiled:
    """Build LiME with its own Makefile, in a copy; what make said is kept, and the module is left in that copy.

    The kernel's build system takes no blank or colon in a path, so the copy is made where there is none.
    """
    place = Path(tempfile.mkdtemp(prefix="lime-", dir=_plain(headers.tree.parent)))
    copy = place / "lime"
    shutil.copytree(source.folder, copy)
    compiler = _compiler(headers)
    command = ("make", f"KVER={release}", f"KDIR={headers.tree}", f"CC={compiler}")
    done = _call(command, copy)
    output = done.stdout + done.stderr
    made = next((path for path in (copy / f"lime-{release}.ko", copy / "lime.ko") if path.is_file()), None)
    if done.returncode != 0 or made is None:
        return Compiled(None, command, _said(compiler), output, _why(output, headers))
    return Compiled(made, command, _said(compiler), output)


def _compiler(headers: Headers) -> str:
    """Choose the compiler that the kernel was built with where it is here, else this machine's own."""
    return headers.compiler if headers.compiler and shutil.which(headers.compiler, path=_CLEAN["PATH"]) else "gcc"


def _said(compiler: str) -> str:
    done = _call((compiler, "--version"), Path("/"))
    return (done.stdout or done.stderr).partition("\n")[0]


def _why(output: str, headers: Headers) -> str:
    library = _LIBRARY.search(output)
    if library:
        return f"the kernel's build programs (linux-kbuild) need {library[1]}; this machine's C library has it not"
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


def _call(argv: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            cwd=folder,
            env=_CLEAN,
            check=False,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(argv, 127, "", f"{argv[0]}: not found on this machine")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"{argv[0]} did not end within {SECONDS} seconds")
