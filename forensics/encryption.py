"""Memory at rest, encrypted to age recipients by the program `age`; read again through a private copy that is removed.

An image that is acquired goes through `age` on its way to the disk (`Sealing`). One that came otherwise is piped into
it when it is entered (`encrypt`). Both are hashed before they go in, so that what was encrypted is what was recorded. A
stage reads a plain copy in a folder that is for its owner alone: in memory (tmpfs) when there is room for it and all
else, otherwise in the case's `work/`. Unlinked files are not wiped: blocks of them may stay on a disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from forensics import tools
from forensics.errors import CaseError, IntegrityError, StageFailed, UsageError
from forensics.hashing import ALGORITHM, open_regular
from forensics.model import JSON, Digest

KINDS = frozenset({"memory-image", "memory-original", "partial-image"})
"""Kinds of exhibits that are encrypted: what holds a machine's memory."""
FORMAT = "age-encryption.org/v1"
SUFFIX = ".age"
_BLOCK = 1 << 20
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of ours in it, looked at before use


def recipients(words: Iterable[str]) -> tuple[str, ...]:
    """Read recipients, or files that list them (age(1), --recipients-file); UsageError when age does not take them."""
    found: list[str] = []
    for one in words:
        if one.startswith(("age1", "ssh-")):
            found.append(one)
            continue
        try:
            lines = Path(one).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("no age recipient, and no file of them", where=one, why=str(error)) from error
        found += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if found:
        done = subprocess.run(
            [str(tools.require("age")), *_to(found)], input=b"", capture_output=True, check=False, timeout=60
        )
        if done.returncode:
            raise UsageError("age does not take a recipient", where=", ".join(found), why=_reason(done.stderr))
    return tuple(found)


def chosen(facts: Mapping[str, JSON]) -> tuple[str, ...]:
    """Give the recipients that a case was opened with."""
    listed = facts.get("encrypt_to")
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def encrypt(source: Path, destination: Path, to: tuple[str, ...]) -> Digest:
    """Encrypt a file into a new one, and give the digest of the bytes that were handed to age.

    Raises StageFailed when age or the disk did not take them.
    """
    destination.unlink(missing_ok=True)
    made = hashlib.new(ALGORITHM)
    command = [str(tools.require("age")), *_to(to), "-o", str(destination)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None  # noqa: S101 - it is a pipe
        with os.fdopen(open_regular(source), "rb", buffering=0) as file:
            try:
                while chunk := file.read(_BLOCK):
                    made.update(chunk)
                    child.stdin.write(chunk)
                child.stdin.close()
            except BrokenPipeError:
                pass  # age has ended, and says why
        said = child.stderr.read() if child.stderr else b""
    if child.returncode:
        destination.unlink(missing_ok=True)
        raise StageFailed("a file could not be encrypted", where=str(destination), why=_reason(said))
    return Digest(ALGORITHM, made.hexdigest())


class Sealing:
    """A running age: what is written to `descriptor` stands encrypted in a new file, `out`, of mode 0600.

    It has a process group of its own, so that Ctrl-C ends us and not what it has still to write. When we are killed, it
    brings the file to its end by itself: `await_end` waits for that.
    """

    def __init__(self, path: Path, to: tuple[str, ...]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.out = os.open(path, flags, 0o600)
        fcntl.flock(self.out, fcntl.LOCK_EX)  # age holds it, too
        command = [str(tools.require("age")), *_to(to)]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self.out, stderr=subprocess.PIPE, process_group=0
        )
        assert self._child.stdin is not None  # noqa: S101 - it is a pipe
        self.descriptor = self._child.stdin.fileno()

    def finish(self) -> str:
        """Tell age that this was all, and wait for it; gives what went wrong, "" when the file is whole."""
        _, said = self._child.communicate()
        return f"age ended: {_reason(said)}" if self._child.returncode else ""


def await_end(path: Path) -> None:
    """Wait until nobody writes to an encrypted file any more."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)


def opened(path: Path, plain: Digest, places: Sequence[Path], identity: bytes) -> Path:
    """Give a private plain copy of an encrypted file, made once, in the first place that has room for it.

    `remove` takes all of a place away. Raises CaseError when the identity does not open the file, IntegrityError when
    another plain text comes out.
    """
    name = path.name.removesuffix(SUFFIX)
    if made := next((one / name for one in places if (one / name).exists()), None):
        return made
    copy = _roomy(places, path.stat().st_size) / name
    fresh = copy.with_name(f".{copy.name}")
    fresh.unlink(missing_ok=True)
    command = [str(tools.require("age")), "-d", "-i", "-", str(path)]
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
    with (
        os.fdopen(descriptor, "wb") as file,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child,
    ):
        assert child.stdin is not None  # noqa: S101 - it is a pipe
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        child.stdin.write(identity)
        child.stdin.close()
        found = _through(child.stdout, file)
        said = child.stderr.read() if child.stderr else b""
    if child.returncode:
        raise CaseError("the identity does not open an exhibit", where=str(path), why=_reason(said))
    if found != plain:
        why = f"{plain} was encrypted, {found} came out"
        raise IntegrityError("an encrypted exhibit holds something else", where=str(path), why=why)
    fresh.rename(copy)
    return copy


def places(case_folder: Path, target: str) -> tuple[Path, Path]:
    """Tell where plain copies are while a stage on a target reads them: in memory, or in the case."""
    label = re.sub(r"[^A-Za-z0-9.-]", "_", target)
    case = hashlib.sha256(os.fsencode(case_folder.resolve())).hexdigest()[:16]
    return _MEMORY / f"forensics-{os.getuid()}-{case}-{label}", case_folder / "work" / f"plain-{label}"


def remove(listed: Iterable[Path]) -> tuple[str, ...]:
    """Remove every plain copy of these places, and give their names; OSError when one cannot be removed."""
    names: list[str] = []
    for place in filter(_ours, listed):
        names += sorted(one.name for one in place.iterdir())
        shutil.rmtree(place)
    return tuple(names)


def _roomy(listed: Sequence[Path], size: int) -> Path:
    """Give the first place that is ours and, where it is in memory, leaves as much again free; else the last."""
    for place in listed[:-1]:
        with contextlib.suppress(OSError):
            if min(shutil.disk_usage(place.parent).free, _free_memory() // 2) > size:
                place.mkdir(mode=0o700, exist_ok=True)
                if _ours(place):
                    return place
    listed[-1].mkdir(mode=0o700, exist_ok=True)
    return listed[-1]


def _ours(place: Path) -> bool:
    """Tell whether this is a folder that we made: anybody may make names in a shared one."""
    try:
        status = place.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and status.st_mode & 0o7777 == 0o700


def _free_memory() -> int:
    """Count the bytes of memory that can be had without swapping (proc(5), MemAvailable); 0 where there is swap."""
    told = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    kib = {name: int(told[name].split()[0]) for name in ("MemAvailable", "SwapTotal")}
    return 0 if kib["SwapTotal"] else kib["MemAvailable"] * 1024


def _through(source: IO[bytes], file: IO[bytes]) -> Digest:
    made = hashlib.new(ALGORITHM)
    while chunk := source.read(_BLOCK):
        made.update(chunk)
        file.write(chunk)
    return Digest(ALGORITHM, made.hexdigest())


def _to(listed: Iterable[str]) -> list[str]:
    return [word for one in listed for word in ("-r", one)]


def _reason(stderr: bytes) -> str:
    lines = [one for one in stderr.decode("utf-8", "replace").splitlines() if one.strip()]
    told = [one for one in lines if "report unexpected" not in one]
    return told[0].removeprefix("age: ") if told else "age did not say why"
