"""Mounts as the first process sees them."""

from __future__ import annotations

import re

from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.tables import Cell, Column, Table
from forensics.text import decode

_COLUMNS = (Column("source"), Column("target"), Column("type"), Column("options"))
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mounts(Collector[Bounds]):
    """Mounted file systems of the first process's namespace."""

    name = "mounts"
    title = "Mounts"
    volatility = 30
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Read /proc/1/mountinfo."""
        return (Command("mountinfo", ("cat", "/proc/1/mountinfo"), settings.limits),)

    def read(self, output: Output) -> Reading:
        """Make the table `mounts` (proc(5), mountinfo: a lone hyphen ends the optional fields)."""
        rows: list[tuple[Cell, ...]] = []
        bad = 0
        for line in output.part("mountinfo").splitlines():
            left, hyphen, right = decode(line).partition(" - ")
            fields, after = left.split(" "), right.split(" ")
            if not hyphen or len(fields) < 6 or len(after) < 2:
                bad += 1
                continue
            options = ",".join([fields[5], *after[2:]])
            rows.append((_plain(after[1]), _plain(fields[4]), after[0], options))
        return Reading((Table("mounts", "Mounted file systems", _COLUMNS, tuple(rows)),), {"mountinfo": bad})


def _plain(word: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), word)


COLLECTOR = Mounts()
