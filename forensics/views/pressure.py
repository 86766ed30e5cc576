"""Kills for want of memory, the memory that was left, and what the disks did: one table on one clock, the target's.

A kill of the kernel's log counts from boot, and is put on the calendar by the uptime that the survey took; the
journal's has its own time. What a report of a kill tells of free memory stands at the moment of that kill.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics.findings.presence import booted
from forensics.findings.rule import is_true, number_of, size_of, text_of
from forensics.model import Facts, utc
from forensics.tables import Cell, Column, Row, Table

NAME = "pressure"
KILL, MEMORY, DISK = "kill", "memory", "disk"
_COLUMNS = (
    Column("time", "time"),
    Column("sort"),
    Column("series"),
    Column("value", "number"),
    Column("unit"),
    Column("message"),
    Column("source"),
)
_WATCHED = {"available": "available memory", "free": "free memory", "swap_free": "free swap"}
_DISKS = {"read_kib_per_s": "read from", "written_kib_per_s": "written to"}
_LOGS = (("oom_kills_logged", "oom_zones_logged"), ("oom_kills", "oom_zones"))
"""The journal's reports first: they have a time of day of their own."""
_SAME = 2.0
"""Seconds within which two logs tell of the same kill of one process."""


@dataclass(frozen=True, slots=True)
class _Moment:
    when: float  # seconds since 1970
    sort: str
    series: str
    value: float
    unit: str
    message: str
    source: str

    def row(self) -> tuple[str | float, ...]:
        time = utc(datetime.fromtimestamp(self.when, UTC))
        return time, self.sort, self.series, self.value, self.unit, self.message, self.source


def view(tables: Mapping[str, Table], facts: Facts | None) -> Table | None:
    """Make the table `pressure`, the oldest first; None when none of its tables has a row with a time."""
    boot = booted(facts) if facts is not None else None
    found = [*_kills(tables, boot), *_watched(tables), *_disks(tables)]
    if not found:
        return None
    rows = tuple(one.row() for one in sorted(found, key=lambda one: one.when))
    sources = dict.fromkeys(number for name in sorted({one.source for one in found}) for number in tables[name].sources)
    title = "Kills, memory and disks on the target's clock"
    return Table(NAME, title, _COLUMNS, rows, tuple(sources))


def _kills(tables: Mapping[str, Table], boot: float | None) -> Iterator[_Moment]:
    known: list[tuple[Cell | None, Cell | None, float]] = []
    for name, zones in _LOGS:
        for row in tables.get(name, ()):
            when = _of_kill(row, boot)
            victim, stamp = row.get("victim_pid"), row.get("time")
            if when is None or any(
                pid == victim and (one == stamp or abs(at - when) < _SAME) for pid, one, at in known
            ):
                continue
            known.append((victim, stamp, when))
            yield _Moment(when, KILL, "kill", float(number_of(row.get("anon_rss")) or 0), "bytes", _told(row), name)
            yield from _left(row, tables.get(zones), when, zones)


def _of_kill(row: Row, boot: float | None) -> float | None:
    if (at := _seconds(row, "at")) is not None:
        return at
    time = row.get("time")
    return boot + time if boot is not None and isinstance(time, int | float) and not isinstance(time, bool) else None


def _told(row: Row) -> str:
    victim, held = text_of(row.get("victim"), 64), number_of(row.get("anon_rss"))
    asked = text_of(row.get("invoker"), 64)
    words = [
        f"killed {victim} (pid {text_of(row.get('victim_pid'))})" if victim else "a report that names no victim",
        f"which held {size_of(held)}" if held is not None else "",
        f"asked by {asked}" if asked else "",
        "by hand" if is_true(row.get("manual")) else "",
    ]
    return ", ".join(filter(None, words))


def _left(kill: Row, zones: Table | None, when: float, source: str) -> Iterator[_Moment]:
    """Give the free memory of all zones as a report tells it."""
    free = [number_of(row.get("free")) or 0 for row in zones or () if row.get("kill") == kill.get("kill")]
    if free:
        words = "as the report of the kill tells it"
        yield _Moment(when, MEMORY, _WATCHED["free"], float(sum(free)), "bytes", words, source)


def _watched(tables: Mapping[str, Table]) -> Iterator[_Moment]:
    name = "memory_watch"
    for row in tables.get(name, ()):
        when = _seconds(row, "time")
        for column, series in _WATCHED.items() if when is not None else ():
            value = number_of(row.get(column))
            if when is not None and value is not None:
                yield _Moment(when, MEMORY, series, float(value), "bytes", "", name)


def _disks(tables: Mapping[str, Table]) -> Iterator[_Moment]:
    name = "iostat"
    for row in tables.get(name, ()):
        when = _seconds(row, "time")
        for column, series in _DISKS.items() if when is not None else ():
            value = row.get(column)
            if when is not None and isinstance(value, int | float):
                said = f"{series} {text_of(row.get('device'), 32)}"
                yield _Moment(when, DISK, said, float(value) * 1024, "bytes a second", "", name)


def _seconds(row: Row, name: str) -> float | None:
    try:
        return datetime.fromisoformat(text_of(row.get(name))).timestamp()
    except (ValueError, OverflowError):
        return None
