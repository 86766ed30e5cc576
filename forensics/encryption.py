"""Memory at rest, encrypted to age recipients by the program `age`; read again through a private copy that is removed.

An image that is entered is piped into `age` and hashed on the way, so that what was encrypted is what was recorded. Its
plain bytes are on disk from their arrival until then, and again while a stage reads them, in a folder of the case's
`work/` that is for its owner alone. Unlinked files are not wiped: blocks of them may stay on the disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
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


def opened(path: Path, plain: Digest, place: Path, identity: bytes) -> Path:
    """Give a private plain copy of an encrypted file, made once; `remove` takes all of a place away.

    Raises CaseError when the identity does not open it, IntegrityError when another plain text comes out.
    """
    copy = place / path.name.removesuffix(SUFFIX)
    if copy.exists():
        return copy
    place.mkdir(mode=0o700, exist_ok=True)
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


def remove(place: Path) -> tuple[str, ...]:
    """Remove every plain copy of a place, and give their names."""
    names = tuple(sorted(one.name for one in place.iterdir())) if place.is_dir() else ()
    shutil.rmtree(place, ignore_errors=not place.exists())
    return names


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
