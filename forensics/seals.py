"""Seals: the ledger's head at a moment when every exhibit had its recorded digest, as a file that can be signed.

`seals/0001.json` names case, sequence number and digest of the last entry before the seal, and the digest of every
exhibit entered until then. A signature (`0001.sig`) and an outside time (`0001.tsr`) are made over the bytes of this
file; without one of them, or a copy of the head elsewhere, a seal shows nothing against its holder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from forensics.hashing import open_regular
from forensics.ledger import sync_folder
from forensics.model import JSON, Digest, Exhibit

FORMAT = "forensics-seal-1"


def write(folder: Path, case: str, sequence: int, head: Digest, exhibits: tuple[Exhibit, ...]) -> Path:
    """Write the next seal; durable when this returns. Nothing is ever replaced."""
    listed: list[JSON] = [
        {"exhibit": one.number, "path": str(one.path), "size": one.size, "digest": str(one.digest)} for one in exhibits
    ]
    body: dict[str, JSON] = {
        "format": FORMAT,
        "case": case,
        "sequence": sequence,
        "head": str(head),
        "exhibits": listed,
    }
    number = 1 + max((int(path.stem) for path in folder.glob("[0-9]*.json")), default=0)
    path = folder / f"{number:04d}.json"
    keep(path, f"{json.dumps(body, indent=1)}\n".encode("ascii"))
    return path


def keep(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, unless it is there: another content is the verifier's to find."""
    if path.exists():
        return
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o400)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_folder(path.parent)


def read_bytes(path: Path) -> bytes:
    """Give a seal's bytes as they were written: what is signed and stamped."""
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read()


def last(folder: Path) -> Path | None:
    """Give the newest seal; None when there is none."""
    return max(folder.glob("[0-9]*.json"), default=None, key=lambda path: int(path.stem))
