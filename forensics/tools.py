"""External programs on the analyst's machine: where they are, which version, and which Debian package gives them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from forensics import text
from forensics.errors import ToolMissing
from forensics.model import Digest

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_PATIENCE = 20.0  # seconds for a program to tell its version


@dataclass(frozen=True, slots=True)
class Needed:
    """An external program that something here calls."""

    program: str
    package: str  # of Debian
    purpose: str
    ask: tuple[str, ...] = ("--version",)  # arguments that make it tell its version; () when it tells none
    optional: bool = False  # a case can be worked without it


NEEDED: Mapping[str, Needed] = {
    needed.program: needed
    for needed in (
        Needed("ssh-keygen", "openssh-client", "sign the ledger and check signatures", ()),
        Needed("ssh-add", "openssh-client", "find a signing key in the agent", ()),
        Needed("age", "age", "encrypt memory at rest, where a case asks for it", optional=True),
        Needed("openssl", "openssl", "ask for time stamps and check time stamps", ("version",)),
        Needed("gcc", "gcc", "build the LiME module"),
        Needed("make", "make", "build the LiME module"),
        Needed("ld", "binutils", "build the LiME module"),
        Needed("modinfo", "kmod", "read a module's vermagic"),
        Needed("xz", "xz-utils", "unpack packages and symbol tables"),
        Needed("zstd", "zstd", "unpack packages and modules"),
        Needed("dpkg-deb", "dpkg", "unpack kernel headers"),
        Needed("apt-get", "apt", "fetch kernel headers"),
        Needed("bwrap", "bubblewrap", "build the LiME module in a closed room"),
        Needed("qemu-system-x86_64", "qemu-system-x86", "run the practice target", optional=True),
        Needed("mmdebstrap", "mmdebstrap", "compile for other releases; make the practice target", optional=True),
        Needed("mke2fs", "e2fsprogs", "make the practice target's disk", ("-V",), optional=True),
        Needed("pdfsig", "poppler-utils", "check a signed report by another hand", ("-v",), optional=True),
    )
}
"""Every program that is called, by name."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that is here."""

    program: str
    path: Path
    version: str  # the line in which it tells it, "" when it tells none


def find(program: str) -> Path | None:
    """Tell where a program is: on PATH or in a system folder, as an ordinary user has no sbin on PATH."""
    folders = os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_FOLDERS])
    found = shutil.which(program, path=folders)
    return Path(found) if found else None


def require(program: str) -> Path:
    """Tell where a program is; ToolMissing names the package that gives it."""
    found = find(program)
    if found is None:
        needed = NEEDED.get(program)
        raise ToolMissing(
            f"{program} is not installed",
            where="this machine",
            why=f"it is needed to {needed.purpose}" if needed else "",
            remedy=f"apt-get install {needed.package}" if needed else f"install the package that has {program}",
        )
    return found


@cache
def tool(program: str) -> Tool:
    """Give a program with the version that it tells; ToolMissing when it is absent."""
    path = require(program)
    needed = NEEDED.get(program)
    return Tool(program, path, _version(path, needed.ask if needed else ("--version",)))


def digest(path: Path) -> Digest:
    """Hash a program's file, so that the record tells exactly what was run."""
    with path.open("rb") as file:
        return Digest("sha256", hashlib.file_digest(file, "sha256").hexdigest())


def _version(path: Path, ask: tuple[str, ...]) -> str:
    if not ask:
        return ""
    clean = {"PATH": ":".join(_SYSTEM_FOLDERS), "LC_ALL": "C"}
    try:
        said = subprocess.run(
            [path, *ask], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, env=clean, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (said.stdout + b"\n" + said.stderr).splitlines()
    return next((text.show(line.strip(), 120) for line in lines if re.search(rb"\d+\.\d+", line)), "")
