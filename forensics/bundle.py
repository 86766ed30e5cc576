"""What a folder of the analyst held when it was read: one thing that can be put on record, and used as it stands."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import UsageError
from forensics.model import JSON
from forensics.text import show

_MOST_FILES = 10_000
_MOST_BYTES = 64 << 20
_NAMED = 200
"""Files that are named with their digests in the ledger; the archive has them all."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of a folder, by their path below it, sorted."""

    folder: Path
    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """Name them as a whole: SHA-256, in hex, of their archive."""
        return hashlib.sha256(self.archive()).hexdigest()

    def archive(self) -> bytes:
        """Give them as a tar file; the same files give the same bytes."""
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in self.files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o444
                archive.addfile(entry, io.BytesIO(content))
        return held.getvalue()

    def told(self) -> dict[str, JSON]:
        """Give what the ledger keeps of them: how many files, and the digest of each."""
        digests: dict[str, JSON] = {
            show(name, 200): f"sha256:{hashlib.sha256(content).hexdigest()}"
            for name, content in list(self.files.items())[:_NAMED]
        }
        return {"files": len(self.files), "digests": digests}

    def write(self, folder: Path) -> None:
        """Put the files below a new folder."""
        for name, content in self.files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)


def read(folder: Path, wanted: Callable[[Path], bool], what: str) -> Bundle:
    """Read the wanted files of a folder and below it; UsageError, which names `what` they are, when that cannot be."""
    found: dict[str, bytes] = {}
    size = 0
    for path in sorted(one for one in folder.rglob("*") if wanted(one) and one.is_file()):
        content = _content(path, what)
        size += len(content)
        if len(found) >= _MOST_FILES or size > _MOST_BYTES:
            why = f"more than {_MOST_FILES} files or {_MOST_BYTES >> 20} MiB"
            raise UsageError(f"too many {what} for one run", where=show(str(folder)), why=why)
        found[str(path.relative_to(folder))] = content
    return Bundle(folder, found)


def _content(path: Path, what: str) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            return file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{what} cannot be read", where=show(str(path)), why=error.strerror or str(error)) from None
