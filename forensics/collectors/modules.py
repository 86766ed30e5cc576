"""Kernel modules as /proc/modules tells them."""

from __future__ import annotations

from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.tables import Cell, Column, Table
from forensics.text import decode

_COLUMNS = (Column("name"), Column("size", "bytes"), Column("users", "integer"), Column("state"))


class Modules(Collector[Bounds]):
    """Kernel modules that are loaded and do not hide."""

    name = "modules"
    title = "Kernel modules"
    volatility = 20
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Read /proc/modules."""
        return (Command("modules", ("cat", "/proc/modules"), settings.limits),)

    def read(self, output: Output) -> Reading:
        """Make the table `modules`."""
        rows: list[tuple[Cell, ...]] = []
        bad = 0
        for line in output.part("modules").splitlines():
            try:
                name, size, users, _, state, *_ = decode(line).split()
                rows.append((name, int(size), int(users), state))
            except ValueError:
                bad += 1
        return Reading((Table("modules", "Loaded kernel modules", _COLUMNS, tuple(rows)),), {"modules": bad})


COLLECTOR = Modules()
