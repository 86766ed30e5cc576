"""Kernel profiles: what was made once for one kernel, one folder a release, verified at each use.

profile.json: {"release", "version", "machine",
               "lime": {"file", "digest", "lime_version", "vermagic", "made", "origin": […]}}.
"""

from __future__ import annotations

import json
import os
import re
import shutil
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
    path = folder / _MODULE
    try:
        digest = str(hashing.hash_file(path).digest)
    except ForensicsError as error:
        return f"the kernel profile's module cannot be read: {error}"
    if digest != lime.get("digest"):
        return f"the kernel profile's module is {digest}, recorded was {lime.get('digest')}: it is not used"
    origin = lime.get("origin")
    return KeptModule(path, str(lime.get("lime_version")), tuple(map(str, origin)) if isinstance(origin, list) else ())


def keep(profiles: Path, facts: Facts, made: KeptModule, vermagic: str) -> None:
    """Keep a module for the next case with this kernel. Nothing happens when the release is no name for a folder."""
    folder = _folder(profiles, facts.release)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{_MODULE}.{os.getpid()}"
    shutil.copyfile(made.path, copy)
    digest = hashing.hash_file(copy).digest
    copy.replace(folder / _MODULE)
    told = _read(folder / _FILE)
    told |= {"release": facts.release, "version": facts.version, "machine": facts.machine}
    told["lime"] = {
        "file": _MODULE,
        "digest": str(digest),
        "lime_version": made.lime_version,
        "vermagic": vermagic,
        "made": utc(datetime.now(UTC)),
        "origin": list(made.origin),
    }
    new = folder / f"{_FILE}.{os.getpid()}"
    new.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(folder / _FILE)


def _folder(profiles: Path, release: str) -> Path | None:
    return profiles / release if _NAME.fullmatch(release) else None


def _read(path: Path) -> dict[str, JSON]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
