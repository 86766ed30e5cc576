"""Kernel profiles on their way to another workstation: one plain tar with a list of digests before everything else.

manifest.json {"format", "files": {"RELEASE/NAME": {"digest", "size"}}}, then these files and no others.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from forensics import unpacking
from forensics.errors import Refused, UsageError
from forensics.model import Digest
from forensics.profiles import keeping
from forensics.profiles import record as records
from forensics.profiles.record import MODULE, TABLES, ProfileDamaged, Record
from forensics.unpacking import ArchiveRefused, Caps

FORMAT = "forensics profiles 1"
MANIFEST = "manifest.json"
CAPS = Caps(members=4096, bytes=8 << 30, each=512 << 20)
_NAMES = {records.FILE, MODULE, *TABLES}


def pack(profiles: Path, releases: Sequence[str], output: Path) -> Digest:
    """Write profiles to a new archive, each verified before; gives its digest. Refused when one is not what it was."""
    chosen = list(releases) or sorted(one.parent.name for one in profiles.glob(f"*/{records.FILE}"))
    if not chosen:
        raise UsageError("there are no kernel profiles to carry", where=str(profiles))
    files: dict[str, Path] = {}
    for release in chosen:
        record = _sound(profiles, release)
        names = [records.FILE, *(one.file for one in record.parts)]
        files |= {f"{release}/{name}": profiles / release / name for name in names}
    told = {name: {"digest": _digest(path), "size": path.stat().st_size} for name, path in files.items()}
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(prefix="forensics-") as name, output.open("xb") as file:
        manifest = Path(name) / MANIFEST
        manifest.write_text(json.dumps({"format": FORMAT, "files": told}, indent=1) + "\n", encoding="ascii")

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        unpacking.pack({MANIFEST: manifest, **files}, write)
        file.flush()
        os.fsync(file.fileno())
    return Digest("sha256", digest.hexdigest())


def take(profiles: Path, archive: Path, expected: str = "") -> tuple[str, ...]:
    """Take profiles out of an archive: all of them, or none; gives their releases.

    ArchiveRefused when it is not what `pack` writes, or its digest is not the expected one; Refused when a profile of
    the same kernel is there already and is another.
    """
    with archive.open("rb") as file:
        found = str(Digest("sha256", hashlib.file_digest(file, "sha256").hexdigest()))
        if expected and found != expected:
            raise ArchiveRefused("the archive is not the one that was meant", why=f"it is {found}, not {expected}")
        profiles.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=profiles) as name:
            place = Path(name)
            file.seek(0)
            releases = _unpack(file.read, place)
            for release in releases:
                _refuse_other(profiles, release, _sound(place, release))
            for release in releases:
                _place(profiles, place, release)
    return releases


def _unpack(read: unpacking.Read, place: Path) -> tuple[str, ...]:
    files = unpacking.unpack(read, place, CAPS).files
    first = next(iter(files), "")
    if first != MANIFEST or (place / MANIFEST).stat().st_size > records.LARGEST:
        raise ArchiveRefused("this is no archive of kernel profiles", why=f"it does not begin with a {MANIFEST}")
    try:
        told = json.loads((place / MANIFEST).read_bytes())
        listed = {str(name): str(one["digest"]) for name, one in told["files"].items()}
        known = told["format"] == FORMAT
    except (ValueError, KeyError, TypeError, AttributeError):
        listed, known = {}, False
    held = {name: str(digest) for name, digest in files.items() if name != MANIFEST}
    if not known or held != listed:
        wrong = sorted(name for name in {*held, *listed} if held.get(name) != listed.get(name))
        raise ArchiveRefused("the archive is not what its list says", why=f"differs: {', '.join(wrong[:5])}")
    for name in held:
        release, _, rest = name.partition("/")
        if rest not in _NAMES or records.folder_of(place, release) is None:
            raise ArchiveRefused("the archive holds what is no kernel profile", why=repr(name[:200]))
    return tuple(sorted({name.partition("/")[0] for name in held}))


def _sound(profiles: Path, release: str) -> Record:
    """Give a profile's record when all of it is as it was recorded; Refused when not."""
    folder = records.folder_of(profiles, release)
    record = records.read(folder) if folder else None
    if folder is None or record is None:
        raise UsageError("there is no kernel profile of this release", where=release, remedy="forensics profiles list")
    wrong = [f"{one.part}: {one.problem}" for one in keeping.verify(profiles, release) if one.problem and one.words]
    if wrong:
        why = "; ".join(wrong)
        raise ProfileDamaged("a kernel profile is not what was recorded, and is not carried", where=release, why=why)
    return record


def _refuse_other(profiles: Path, release: str, new: Record) -> None:
    folder = profiles / release
    old = records.read(folder)
    if old is not None and old != new:
        raise Refused(
            "there is another kernel profile of this release here; nothing is taken",
            where=str(folder),
            why="it is not the one of the archive",
            remedy="look which of them you trust; take the folder away to have the other",
        )


def _place(profiles: Path, place: Path, release: str) -> None:
    """Put the files of a profile there, its record last."""
    folder = profiles / release
    with records.locked(folder):
        for path in sorted((place / release).iterdir(), key=lambda one: one.name == records.FILE):
            path.chmod(0o644)
            shutil.move(path, folder / path.name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return str(Digest("sha256", hashlib.file_digest(file, "sha256").hexdigest()))
