"""Environments that processes were started with. They hold secrets: the report shows none of them."""

from __future__ import annotations

from forensics import records
from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.tables import Cell, Column, Table
from forensics.text import decode

_COLUMNS = (Column("pid", "integer"), Column("key"), Column("value"))


class Environments(Collector[Bounds]):
    """Variables of every process, from /proc."""

    name = "environments"
    title = "Environments of processes"
    volatility = 14
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Read /proc/*/environ; processes that end meanwhile make grep end with 2."""
        argv = ("sh", "-c", "exec grep -saHzZ '' /proc/[0-9]*/environ")
        return (Command("environ", argv, settings.limits, accepts=(0, 2)),)

    def read(self, output: Output) -> Reading:
        """Make the table `environments`; what a process wrote over its environment is given as it stands."""
        rows: list[tuple[Cell, ...]] = []
        bad = 0
        for path, text in records.alternating(output.part("environ")):
            pid = records.pid_of(path)
            key, _, value = text.partition(b"=")
            if pid is None or not path.endswith("/environ"):
                bad += 1
            elif text:
                rows.append((pid, decode(key), decode(value)))
        return Reading((Table("environments", "Environments of processes", _COLUMNS, tuple(rows)),), {"environ": bad})


COLLECTOR = Environments()
