"""Modules and symbol tables kept for the next case with exactly the same kernel, and found again.

Exactly the same is: release, version, machine and build id are those of the record, a module's own vermagic and every
digest, too. A rebuilt kernel keeps its release, and is another kernel.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from forensics import hashing
from forensics.errors import ForensicsError
from forensics.lime import kmod
from forensics.model import Facts, utc
from forensics.profiles import record as records
from forensics.profiles.record import MODULE, TABLES, Kernel, LimeFile, ProfileDamaged, Record, TableFile
from forensics.text import show


@dataclass(frozen=True, slots=True)
class KeptModule:
    """A LiME module, and what it was made from."""

    path: Path
    lime_version: str
    origin: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptTable:
    """A symbol table, and what it was made from."""

    path: Path
    origin: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """One part of a profile, looked at."""

    release: str
    part: str  # "profile", "lime", "symbols", or the name of a file that nothing speaks of
    problem: str  # "" when it is as it was recorded
    words: str = ""  # what it is


def find(profiles: Path, facts: Facts) -> KeptModule | str:
    """Give the module kept for exactly this kernel, or say why there is none."""
    folder = records.folder_of(profiles, facts.release)
    if folder is None:
        return "no kernel profile: the release is no name"
    try:
        record = records.read(folder)
    except ProfileDamaged as problem:
        return str(problem)
    if record is None or record.lime is None:
        return "no kernel profile" if record is None else "the kernel profile has no LiME module"
    other = Kernel.of(facts).differs(record)
    if other:
        return f"the kernel profile has {other}"
    wrong = _module_problem(folder, record.lime)
    if wrong:
        return f"the kernel profile's module {wrong}"
    return KeptModule(folder / MODULE, record.lime.lime_version, record.lime.origin)


def find_table(profiles: Path, banner: bytes, build_id: str = "") -> KeptTable | str:
    """Give the symbol table kept for the kernel of this banner, or say why there is none.

    An image does not always tell its kernel's build id: where it does, it has to be the record's.
    """
    wanted = Kernel("", "", "", build_id, banner)
    damaged = []
    for path in sorted(profiles.glob(f"*/{records.FILE}")):
        try:
            record = records.read(path.parent)
        except ProfileDamaged as problem:
            damaged.append(str(problem))
            continue
        if record is None or record.symbols is None or record.symbols.banner != wanted.shown:
            continue
        if build_id and record.build_id != build_id:
            return f"the kernel profile has build id {record.build_id or 'unknown'}, and the kernel {build_id}"
        wrong = records.changed(path.parent, record.symbols)
        if wrong:
            return f"the kernel profile's symbol table {wrong}"
        return KeptTable(path.parent / record.symbols.file, record.symbols.origin)
    return "; ".join(["no kernel profile has a symbol table of this kernel", *damaged])


def keep(profiles: Path, kernel: Kernel, made: KeptModule, vermagic: str) -> None:
    """Keep a module. Nothing happens when the release is no name for a folder."""
    folder = records.folder_of(profiles, kernel.release)
    if folder is None:
        return
    with records.locked(folder):
        digest, size = _take(made.path, folder, MODULE)
        lime = LimeFile(
            digest=digest, size=size, made=utc(datetime.now(UTC)), origin=made.origin,
            lime_version=made.lime_version, vermagic=vermagic,
        )  # fmt: skip
        records.write(folder, _beside(folder, kernel).model_copy(update={"lime": lime}))


def keep_table(profiles: Path, kernel: Kernel, made: KeptTable) -> None:
    """Keep a symbol table beside the module; one that is there and whole already stays, for it was there first."""
    folder = records.folder_of(profiles, kernel.release)
    if folder is None:
        return
    with records.locked(folder):
        record = _beside(folder, kernel)
        if record.symbols and not records.changed(folder, record.symbols):
            return
        name = next((one for one in TABLES[1:] if made.path.name.endswith(one[len(TABLES[0]) :])), TABLES[0])
        digest, size = _take(made.path, folder, name)
        table = TableFile(
            file=name, digest=digest, size=size, made=utc(datetime.now(UTC)), origin=made.origin, banner=kernel.shown
        )
        records.write(folder, record.model_copy(update={"symbols": table}))


def verify(profiles: Path, release: str = "") -> tuple[Checked, ...]:
    """Hash everything in the profiles again; all of them, or the one of a release."""
    folders = [profiles / release] if release else sorted(one for one in profiles.glob("*") if one.is_dir())
    return tuple(checked for folder in folders for checked in _verified(folder))


def _verified(folder: Path) -> Iterator[Checked]:
    try:
        record = records.read(folder)
    except ProfileDamaged as problem:
        yield Checked(folder.name, "profile", problem.why)
        return
    if record is None:
        yield Checked(folder.name, "profile", f"there is no {records.FILE}")
        return
    yield Checked(folder.name, "profile", "", f"{record.version}, build id {record.build_id or 'unknown'}")
    if record.lime:
        words = f"LiME {record.lime.lime_version}, {record.lime.vermagic}"
        yield Checked(folder.name, "lime", _module_problem(folder, record.lime), words)
    if record.symbols:
        yield Checked(folder.name, "symbols", records.changed(folder, record.symbols), record.symbols.banner)
    known = {records.FILE, ".lock", *(one.file for one in record.parts)}
    for path in sorted(one for one in folder.iterdir() if one.name not in known):
        yield Checked(folder.name, show(path.name, 100), "nothing in the record speaks of it; it is never used")


def _module_problem(folder: Path, lime: LimeFile) -> str:
    problem = records.changed(folder, lime)
    if problem:
        return problem
    try:
        found = kmod.read(folder / MODULE).vermagic
    except (ValueError, OSError) as error:
        return f"is no module: {error}"
    release = folder.name
    if found != lime.vermagic or found.partition(" ")[0] != release:
        return f"has vermagic {show(found, 120)!r}, recorded was {show(lime.vermagic, 120)!r}, for {release}"
    return ""


def _beside(folder: Path, kernel: Kernel) -> Record:
    """Give the record to write beside what is known already; of another kernel, or of a damaged one, nothing stays."""
    try:
        record = records.read(folder)
    except ProfileDamaged:
        record = None
    if record is not None and not kernel.differs(record):
        return record
    return Record(release=kernel.release, version=kernel.version, machine=kernel.machine, build_id=kernel.build_id)


def _take(source: Path, folder: Path, name: str) -> tuple[str, int]:
    """Copy a file into a profile under its name; gives digest and size of what is there."""
    copy = folder / f"{name}.{os.getpid()}"
    try:
        shutil.copyfile(source, copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        digest, size = str(hashing.hash_file(copy).digest), copy.stat().st_size
        copy.replace(folder / name)
    except OSError as error:
        raise ForensicsError("a kernel profile cannot be written", where=str(folder), why=str(error.strerror)) from None
    finally:
        copy.unlink(missing_ok=True)
    return digest, size
