"""Kernel profiles: what was made once for one kernel, one folder a release, verified at each use.

profile.json: {"release", "version", "machine",
               "lime": {"file", "digest", "lime_version", "vermagic", "made", "origin": […]},
               "symbols": {"packed", "banner", "digest", "made", "origin": […]}}.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from forensics import hashing
from forensics.errors import ForensicsError
from forensics.model import JSON, Facts, utc

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,100}")
_FILE = "profile.json"
_MODULE = "lime.ko"


@dataclass(frozen=True, slots=True)
class KeptModule:
    """A LiME module, and what it was made from."""

    path: Path
    lime_version: str
    origin: tuple[str, ...]


def find(profiles: Path, facts: Facts) -> KeptModule | str:
    """Give the module kept for exactly this kernel, or say why there is none.

    The release is compared, the version banner and the architecture too: a rebuilt kernel keeps its release.
    """
    folder = _folder(profiles, facts.release)
    if folder is None or not (folder / _FILE).is_file():
        return "no kernel profile"
    told = _read(folder / _FILE)
    lime = told.get("lime")
    if not isinstance(lime, dict):
        return "the kernel profile has no LiME module"
    for name, here in (("release", facts.release), ("version", facts.version), ("machine", facts.machine)):
        if told.get(name) != here:
            return f"the kernel profile has {name} {told.get(name)!r}, the target {here!r}"
    problem = _changed(folder / _MODULE, lime)
    if problem:
        return f"the kernel profile's module {problem}"
    return KeptModule(folder / _MODULE, str(lime.get("lime_version")), _origin(lime))


@dataclass(frozen=True, slots=True)
class KeptTable:
    """A symbol table, and what it was made from."""

    path: Path
    origin: tuple[str, ...]


def find_table(profiles: Path, banner: bytes) -> KeptTable | str:
    """Give the symbol table kept for the kernel of this banner, or say why there is none."""
    wanted = banner.rstrip(b"\0\n").decode("utf-8", "backslashreplace")
    for path in sorted(profiles.glob(f"*/{_FILE}")):
        kept = _read(path).get("symbols")
        if isinstance(kept, dict) and kept.get("banner") == wanted:
            table = path.parent / f"symbols.json{kept.get('packed', '')}"
            problem = _changed(table, kept)
            return f"the kernel profile's symbol table {problem}" if problem else KeptTable(table, _origin(kept))
    return "no kernel profile has a symbol table of this kernel"


def keep_table(profiles: Path, release: str, table: Path, banner: bytes, origin: tuple[str, ...]) -> None:
    """Keep a symbol table for the next case with this kernel, beside its module."""
    folder = _folder(profiles, release)
    if folder is None:
        return
    packed = table.suffix if table.suffix in {".xz", ".gz", ".bz2"} else ""
    shown = banner.rstrip(b"\0\n").decode("utf-8", "backslashreplace")
    digest = _take(table, folder, f"symbols.json{packed}")
    made = utc(datetime.now(UTC))
    entry: dict[str, JSON] = {"packed": packed, "banner": shown, "digest": digest, "made": made, "origin": list(origin)}
    _write(folder, {"release": release, "symbols": entry})


def _changed(path: Path, kept: Mapping[str, JSON]) -> str:
    """Say in what a kept file is not what was recorded, "" when it is."""
    try:
        digest = str(hashing.hash_file(path).digest)
    except ForensicsError as error:
        return f"cannot be read: {error}"
    return "" if digest == kept.get("digest") else f"is {digest}, recorded was {kept.get('digest')}: it is not used"


def _origin(kept: Mapping[str, JSON]) -> tuple[str, ...]:
    origin = kept.get("origin")
    return tuple(map(str, origin)) if isinstance(origin, list) else ()


def _take(source: Path, folder: Path, name: str) -> str:
    """Copy a file into a profile under its name; gives the digest of what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{name}.{os.getpid()}"
    shutil.copyfile(source, copy)
    digest = hashing.hash_file(copy).digest
    copy.replace(folder / name)
    return str(digest)


def _write(folder: Path, more: dict[str, JSON]) -> None:
    """Put what was learned into profile.json, beside what it says already."""
    new = folder / f"{_FILE}.{os.getpid()}"
    new.write_text(json.dumps(_read(folder / _FILE) | more, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(folder / _FILE)


def keep(profiles: Path, facts: Facts, made: KeptModule, vermagic: str) -> None:
    """Keep a module for the next case with this kernel. Nothing happens when the release is no name for a folder."""
    folder = _folder(profiles, facts.release)
    if folder is None:
        return
    entry: dict[str, JSON] = {
        "file": _MODULE,
        "digest": _take(made.path, folder, _MODULE),
        "lime_version": made.lime_version,
        "vermagic": vermagic,
        "made": utc(datetime.now(UTC)),
        "origin": list(made.origin),
    }
    told: dict[str, JSON] = {"release": facts.release, "version": facts.version, "machine": facts.machine}
    _write(folder, {**told, "lime": entry})


def _folder(profiles: Path, release: str) -> Path | None:
    return profiles / release if _NAME.fullmatch(release) else None


def _read(path: Path) -> dict[str, JSON]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
