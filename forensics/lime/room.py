"""Where a module is compiled: the programs of this machine, or of a release's own tree, and nothing else in sight.

Makefiles are programs, and headers may come from a machine under investigation. So `make` runs under bubblewrap where
it can: no network, no environment, no home, only the programs, the headers (read-only) and the folder it builds in.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.lime.packages import Package

SECONDS = 600
_LARGEST = 512 << 20  # bytes of any file that a build writes, its output included
_SHOWN = 1 << 20  # bytes of a build's output that are kept
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_CLEAN = {"LC_ALL": "C", "PATH": _PATH, "KBUILD_BUILD_USER": "forensics"}


@dataclass(frozen=True, slots=True)
class Room:
    """A root folder of programs to compile with."""

    root: Path = Path("/")
    origin: str = "this machine"
    packages: tuple[Package, ...] = ()  # that it was made of

    @property
    def own(self) -> bool:
        """Whether it is this machine."""
        return self.root == Path("/")

    def has(self, program: str) -> bool:
        """Tell whether it has a program of this name."""
        return any((self.root / folder / program).exists() for folder in ("usr/bin", "usr/sbin", "bin"))

    def run(self, argv: Sequence[str], folder: Path, seen: Sequence[Path] = ()) -> subprocess.CompletedProcess[str]:
        """Run a program in `folder`, the only place it can write to; `seen` are paths that it can read.

        Gives status 127 when the program is not there, 124 when it did not end in time; what it said is cut in length.
        """
        inside = (*self._walls(folder, seen), *argv) if confined() else tuple(argv)
        with tempfile.TemporaryFile() as said:
            try:
                done = subprocess.run(
                    ("prlimit", f"--fsize={_LARGEST}", "--core=0", "--", *inside),
                    cwd=folder,
                    env=_CLEAN,
                    check=False,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    timeout=SECONDS,
                    stdin=subprocess.DEVNULL,
                )
                status, more = done.returncode, ""
            except FileNotFoundError:
                status, more = 127, f"{argv[0]}: not found on this machine"
            except subprocess.TimeoutExpired:
                status, more = 124, f"{argv[0]} did not end within {SECONDS} seconds"
            said.seek(0)
            output = said.read(_SHOWN).decode("utf-8", "backslashreplace")
        return subprocess.CompletedProcess(argv, status, output + more, "")

    def _walls(self, folder: Path, seen: Sequence[Path]) -> tuple[str, ...]:
        words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - the room's own
        for name in _TOP:
            place = self.root / name
            if place.is_symlink():
                words += ["--symlink", str(place.readlink()), f"/{name}"]
            elif place.is_dir():
                words += ["--ro-bind", str(place), f"/{name}"]
        for name in ("etc/alternatives", "etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d"):
            words += ["--ro-bind-try", str(self.root / name), f"/{name}"]
        for path in seen:
            if not (self.own and path.resolve().is_relative_to("/usr")):
                words += ["--ro-bind", str(path), str(path)]
        return (*words, "--bind", str(folder), str(folder), "--chdir", str(folder), "--")


@functools.cache
def confined() -> bool:
    """Tell whether bubblewrap is here and may make a room of its own on this machine."""
    if not shutil.which("bwrap"):
        return False
    probe = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    return subprocess.run(probe, check=False, capture_output=True, timeout=60).returncode == 0
