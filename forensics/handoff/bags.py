"""Write a bag (BagIt 1.0, RFC 8493) so that it can be killed anywhere.

The payload is put together in a private folder with a name that no bag has. What is copied is hashed by both algorithms
as it passes, so that nothing is read again for the manifests. Everything is fsynced, read once more by the independent
verifier, and only then given its name, where nothing is ever replaced. Killed before that, no bag is there; what is
left of the private folder is named in the ledger.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from forensics import signing, verify
from forensics.errors import CaseError, IntegrityError
from forensics.hashing import PIECE, Hashed, open_regular
from forensics.ledger import sync_folder
from forensics.model import Digest
from forensics.signing import Signer

DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
ALGORITHMS = ("sha256", "sha512")
PAYLOAD = "data"
MANIFEST, TAG_MANIFEST = "manifest-sha256.txt", "tagmanifest-sha256.txt"
_BLOCK = 1 << 20
_MARGIN = 16 << 20  # bytes that a volume keeps free besides the payload

Sums = dict[str, tuple[str, str]]
"""SHA-256 and SHA-512, in hex, of files of a folder, by name below it."""


def require_room(folder: Path, size: int) -> None:
    """Raise CaseError when a volume has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < size + _MARGIN:
        why = f"{size} bytes go into it, {free} are free"
        raise CaseError(
            "there is no room for the bag", where=str(folder), why=why, remedy="make room, or use --without"
        )


def copy(source: Path, folder: Path, name: str, sums: Sums, advance: Callable[[int], object]) -> Hashed:
    """Copy a file to a name below a folder, read-only, and give what was read; its digests are added to `sums`."""
    short, long = hashlib.sha256(), hashlib.sha512()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with os.fdopen(open_regular(source), "rb", buffering=0) as origin, fresh(folder / name) as file:
        while chunk := origin.read(_BLOCK):
            short.update(chunk)
            long.update(chunk)
            file.write(chunk)
            size += len(chunk)
            advance(len(chunk))
    sums[name] = (short.hexdigest(), long.hexdigest())
    return Hashed(Digest("sha256", sums[name][0]), size, PIECE)


def put(target: Path, content: bytes) -> None:
    """Write a small file, read-only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with fresh(target) as file:
        file.write(content)


def fresh(target: Path) -> IO[bytes]:
    """Open a new file of a bag, read-only for all others and later for us; FileExistsError when the name is taken."""
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o400), "wb")


def make(
    folder: Path, info: Mapping[str, str], beside: Mapping[str, bytes], sums: Sums, key: Signer | None, *, ask: bool
) -> None:
    """Make a bag of a folder whose `data/` is the payload, `sums` of it being known; `beside` stands at its root.

    All of it is durable when this returns. With a key the payload's manifest is signed; CaseError when the key does not
    sign.
    """
    payload = {
        f"{PAYLOAD}/{name}": sums.get(name) or _sums(folder / PAYLOAD / name) for name in _names(folder / PAYLOAD)
    }
    size = sum((folder / name).stat().st_size for name in payload)
    lines = {**info, "Payload-Oxum": f"{size}.{len(payload)}"}
    put(folder / "bagit.txt", DECLARATION.encode("ascii"))
    put(folder / "bag-info.txt", "".join(f"{name}: {value}\n" for name, value in lines.items()).encode("utf-8"))
    for name, content in beside.items():
        put(folder / name, content)
    _list(folder, "manifest", payload)
    if key is not None:
        armoured = signing.sign(key, (folder / MANIFEST).read_bytes(), signing.BAG, ask=ask)
        put(folder / f"{MANIFEST}.sig", armoured.encode("ascii"))
    _list(folder, "tagmanifest", {one.name: _sums(one) for one in sorted(folder.iterdir()) if one.is_file()})
    for path in _everything(folder):
        _sync(path)


def _names(folder: Path) -> list[str]:
    return sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())


def _sums(path: Path) -> tuple[str, str]:
    content = path.read_bytes()
    return hashlib.sha256(content).hexdigest(), hashlib.sha512(content).hexdigest()


def _list(folder: Path, name: str, sums: Sums) -> None:
    for at, algorithm in enumerate(ALGORITHMS):
        lines = "".join(f"{digests[at]}  {path}\n" for path, digests in sums.items())
        put(folder / f"{name}-{algorithm}.txt", lines.encode("ascii"))


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
