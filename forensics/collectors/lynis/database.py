"""The database of Lynis's tests (db/tests.db): what each of them is about."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forensics.text import decode

PLACE = "db/tests.db"
_FIELDS = 6
_MOST = 4 << 20
"""Bytes of a database that are read; that of Lynis 3.1 has 40,000."""


@dataclass(frozen=True, slots=True)
class KnownTest:
    """One test by Lynis's own words; `system` is "" when it is for every system."""

    test: str
    type: str
    category: str
    group: str
    system: str
    description: str


def read(raw: bytes) -> Mapping[str, KnownTest]:
    """Read lines `ID:type:category:group:OS:description:`; others are no tests."""
    found: dict[str, KnownTest] = {}
    for line in decode(raw[:_MOST]).split("\n"):
        parts = line.split(":", _FIELDS - 1)
        if len(parts) == _FIELDS and not line.startswith("#"):
            test, type_, category, group, system, description = parts
            found[test] = KnownTest(test, type_, category, group, system, description.removesuffix(":"))
    return found


def of_archive(archive: Path) -> Mapping[str, KnownTest]:
    """Read the database out of the copy of Lynis that a target was audited with; empty when there is none in it."""
    try:
        with tarfile.open(archive) as tar:
            file = tar.extractfile(PLACE)
            return read(file.read(_MOST)) if file else {}
    except (OSError, KeyError, EOFError, tarfile.TarError, zlib.error):
        return {}
