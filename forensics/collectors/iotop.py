"""Which processes read and wrote, second by second, as `iotop` tells it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from forensics.collectors import MIB, Collector, Command, Output, Reading
from forensics.host import Limits
from forensics.tables import Cell, Column, Table
from forensics.text import decode

_LINE = re.compile(
    r"\s*(?:b')?(\d\d:\d\d:\d\d)\s+(\d{1,10})\s+\S+\s+(\S{1,64})\s+(\d{1,12}\.\d+) K/s\s+(\d{1,12}\.\d+) K/s"
    r"\s+(?:\?unavailable\?|[\d.]+ %\s+[\d.]+ %)\s+(.*)",
    re.DOTALL,
)
"""SWAPIN and IO are one word, `?unavailable?`, where the kernel counts no delays (the default since 5.14)."""
_COLUMNS = (
    Column("time"),
    Column("pid", "integer"),
    Column("user"),
    Column("read_kib_per_s", "number"),
    Column("written_kib_per_s", "number"),
    Column("command"),
)


@dataclass(frozen=True, slots=True)
class Watched:
    """How long iotop watches."""

    seconds: int = 20
    bytes: int = 16 * MIB


class Iotop(Collector[Watched]):
    """Processes that read or wrote, once a second."""

    name = "iotop"
    title = "Disk activity by process"
    volatility = 52
    program = "iotop"
    package = "iotop"
    together = True
    settings = Watched

    def command(self, settings: Watched) -> tuple[Command, ...]:
        """Sample processes that do input or output, once a second; delay accounting is left as it is."""
        argv = ("iotop", "-b", "-o", "-P", "-t", "-k", "-qqq", "-d", "1", "-n", str(settings.seconds))
        return (Command("iotop", argv, Limits(seconds=settings.seconds * 2 + 30, bytes=settings.bytes)),)

    def read(self, output: Output) -> Reading:
        """Make the table `iotop`; its times are of the day, in UTC by the target's clock."""
        rows: list[tuple[Cell, ...]] = []
        bad = 0
        for line in output.part("iotop").splitlines():
            match = _LINE.fullmatch(decode(line))
            if match:
                time, pid, user, read, written, command = match.groups()
                rows.append((time, int(pid), user, float(read), float(written), command.strip()))
            else:
                bad += 1
        return Reading((Table("iotop", "Disk activity by process", _COLUMNS, tuple(rows)),), {"iotop": bad})


COLLECTOR = Iotop()
