"""Write a bag (BagIt 1.0, RFC 8493) so that it can be killed anywhere.

The payload is put together in a private folder with a name that no bag has; the library `bagit` makes the manifests of
what is on disk; everything is fsynced, checked by the independent verifier, and only then given its name, where nothing
is ever replaced. Killed before that, no bag is there; what is left of the private folder is named in the ledger.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import bagit

from forensics import signing, verify
from forensics.errors import CaseError, IntegrityError
from forensics.hashing import open_regular
from forensics.ledger import sync_folder
from forensics.model import Digest
from forensics.signing import Signer

DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
ALGORITHMS = ("sha256", "sha512")
MANIFEST, TAG_MANIFEST = "manifest-sha256.txt", "tagmanifest-sha256.txt"
_MARGIN = 16 << 20  # bytes that a volume keeps free besides the payload

logging.getLogger("bagit").addHandler(logging.NullHandler())
logging.getLogger("bagit").propagate = False  # its errors reach the user as ours


def require_room(folder: Path, size: int) -> None:
    """Raise CaseError when a volume has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < size + _MARGIN:
        why = f"{size} bytes go into it, {free} are free"
        raise CaseError(
            "there is no room for the bag", where=str(folder), why=why, remedy="make room, or use --without"
        )


def copy(source: Path, target: Path, digest: Digest, advance: Callable[[int], object]) -> None:
    """Copy a file, read-only; IntegrityError when what was read has not this digest."""
    hashed = hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(open_regular(source), "rb", buffering=0) as origin, fresh(target) as file:
        while chunk := origin.read(1 << 20):
            hashed.update(chunk)
            file.write(chunk)
            advance(len(chunk))
    if hashed.hexdigest() != digest.value:
        why = f"expected {digest}, found sha256:{hashed.hexdigest()}"
        raise IntegrityError("a file is not what was recorded", where=str(source), why=why)


def put(target: Path, content: bytes) -> None:
    """Write a small file, read-only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with fresh(target) as file:
        file.write(content)


def fresh(target: Path) -> IO[bytes]:
    """Open a new file of a bag, read-only for all others and later for us; FileExistsError when the name is taken."""
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o400), "wb")


def make(folder: Path, info: Mapping[str, str], beside: Mapping[str, bytes], key: Signer | None, *, ask: bool) -> None:
    """Make a bag of a folder: what is in it becomes the payload, `beside` stands at its root; all of it durable.

    With a key the payload's manifest is signed; CaseError when the key does not sign.
    """
    bagit.make_bag(str(folder.absolute()), dict(info), checksums=list(ALGORITHMS))
    (folder / "bagit.txt").write_text(DECLARATION, encoding="ascii")  # the library still declares the draft before 1.0
    for name, content in beside.items():
        put(folder / name, content)
    if key is not None:
        armoured = signing.sign(key, (folder / MANIFEST).read_bytes(), signing.BAG, ask=ask)
        put(folder / f"{MANIFEST}.sig", armoured.encode("ascii"))
    bagit.Bag(str(folder.absolute())).save()
    for path in _everything(folder):
        _sync(path)


def publish(folder: Path, place: Path) -> verify.Result:
    """Have a bag checked by the independent verifier, and give it its name; IntegrityError when it does not pass."""
    result = verify.verify(folder)
    if result.code not in {verify.OK, verify.INCOMPLETE}:
        why = "; ".join(f"{one.where}: {one.what}" for one in result.problems[:5])
        raise IntegrityError("the bag is not what was to be written", where=str(folder), why=why)
    try:
        folder.rename(place)  # fails when anything but an empty folder has come to stand there
    except OSError as error:
        raise CaseError("the bag could not get its name", where=str(place), why=str(error.strerror)) from error
    sync_folder(place.parent)
    return result


def _everything(folder: Path) -> Iterator[Path]:
    """Give every file, and every folder behind what is in it."""
    for at, _, names in os.walk(folder, topdown=False):
        yield from (Path(at, name) for name in sorted(names))
        yield Path(at)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, 0o700 if path.is_dir() else 0o400)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
