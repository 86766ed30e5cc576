"""The external programs that the lab runs, and the Debian packages that give them."""

from __future__ import annotations

import shutil
import subprocess

from forensics.errors import LabFailed, ToolMissing
from forensics.text import show

PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "qemu-system-x86_64": "qemu-system-x86",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "openssl": "openssl",
    "setpriv": "util-linux",
    "cp": "coreutils",
}

_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(name: str) -> str:
    """Tell where a program is; ToolMissing names the package that gives it."""
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM_FOLDERS)
    if found is None:
        package = PACKAGES[name]
        raise ToolMissing(f"{name} is not installed", why="the lab needs it", remedy=f"apt-get install {package}")
    return found


def run(name: str, *arguments: str, what: str, stdin: bytes = b"") -> bytes:
    """Run a program of the list and give its stdout; LabFailed says `what` was tried and the program's last words."""
    done = subprocess.run([find(name), *arguments], input=stdin, capture_output=True, check=False)
    if done.returncode:
        why = f"it ended with {done.returncode}: {_complaints(done.stderr or done.stdout)}"
        raise LabFailed(f"could not {what}", where=name, why=why)
    return done.stdout


def _complaints(said: bytes) -> str:
    lines = [line for line in said.strip().splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith((b"E:", b"Err"))]
    return " / ".join(show(line, 300) for line in (errors or lines)[-6:])
