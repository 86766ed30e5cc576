"""How busy the target is: load, memory, pressure, counters since boot."""

from __future__ import annotations

from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.tables import Cell, Column, Table
from forensics.text import decode

_COLUMNS = (Column("name"), Column("value"))
_FILES = ("/proc/loadavg", "/proc/uptime", "/proc/meminfo", "/proc/vmstat", "/proc/swaps")
_PRESSURE = ("/proc/pressure/cpu", "/proc/pressure/io", "/proc/pressure/memory")


class Load(Collector[Bounds]):
    """Load, memory and pressure."""

    name = "load"
    title = "Load and memory"
    volatility = 12
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Read the files of /proc line by line; kernels without pressure files have grep end with 2."""
        argv = ("grep", "-sH", "", *_FILES, *_PRESSURE)
        return (Command("load", argv, settings.limits, accepts=(0, 2)),)

    def read(self, output: Output) -> Reading:
        """Make the table `load`."""
        rows: list[tuple[Cell, ...]] = []
        bad = 0
        for line in output.part("load").splitlines():
            path, colon, words = decode(line).partition(":")
            read = _named(path.removeprefix("/proc/"), words) if colon and path.startswith("/proc/") else []
            rows.extend(read)
            bad += not read
        return Reading((Table("load", "Load and memory", _COLUMNS, tuple(rows)),), {"load": bad})


def _named(file: str, words: str) -> list[tuple[Cell, ...]]:
    fields = words.split()
    if file == "loadavg" and len(fields) >= 4:
        names = ("load over 1 minute", "load over 5 minutes", "load over 15 minutes", "running/all tasks")
        return list(zip(names, fields, strict=False))
    if file == "uptime" and fields:
        return [("uptime in seconds", fields[0])]
    if file == "meminfo" and ":" in words:
        name, _, value = words.partition(":")
        return [(name, value.strip())]
    if file == "vmstat" and len(fields) == 2:
        return [(f"vmstat {fields[0]}", fields[1])]
    return [(f"{file} {' '.join(fields[:1])}", " ".join(fields[1:]))] if fields else []


COLLECTOR = Load()
