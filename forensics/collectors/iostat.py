"""Disk activity, second by second, as `iostat` tells it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics.collectors import MIB, Collector, Command, Output, Reading
from forensics.host import Limits
from forensics.model import JSON, utc
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_COLUMNS = (
    Column("time", "time"),
    Column("device"),
    Column("reads_per_s", "number"),
    Column("writes_per_s", "number"),
    Column("read_kib_per_s", "number"),
    Column("written_kib_per_s", "number"),
    Column("utilisation", "number"),
)
_SAMPLE = re.compile(r'(?:\{\s*)?"timestamp"\s*:')
_KEYS = ("r/s", "w/s", "rkB/s", "wkB/s", "util")


@dataclass(frozen=True, slots=True)
class Sampled:
    """How long a sampler watches."""

    seconds: int = 20
    bytes: int = 16 * MIB

    @property
    def limits(self) -> Limits:
        """Its time, and some to start and to end."""
        return Limits(seconds=self.seconds + 30, bytes=self.bytes)


class Iostat(Collector[Sampled]):
    """Throughput and use of every disk, once a second."""

    name = "iostat"
    title = "Disk activity"
    volatility = 51
    program = "iostat"
    package = "sysstat"
    together = True
    settings = Sampled

    def command(self, settings: Sampled) -> tuple[Command, ...]:
        """Sample once a second; the first sample is the average since boot, so one more is taken."""
        count = str(settings.seconds + 1)
        argv = ("env", "S_TIME_FORMAT=ISO", "iostat", "-o", "JSON", "-x", "-t", "1", count)
        return (Command("iostat", argv, settings.limits, root=False),)

    def read(self, output: Output) -> Reading:
        """Make the table `iostat`, without the sample since boot; times are the target's, in UTC."""
        rows: list[tuple[Cell, ...]] = []
        words = decode(output.part("iostat"))
        samples = _samples(words)
        bad = 1 if words.strip() and not samples else samples[:1].count(None)
        for sample in samples[1:]:
            read, wrong = _rows(sample or {})
            rows.extend(read)
            bad += wrong
        table = Table("iostat", "Disk activity, once a second", _COLUMNS, tuple(rows))
        return Reading((table,), {"iostat": bad})


def _samples(words: str) -> list[dict[str, JSON] | None]:
    """Find the samples, also in a document that a killed run left open; None for one that cannot be read."""
    found: list[dict[str, JSON] | None] = []
    decoder = json.JSONDecoder()
    at = 0
    while match := _SAMPLE.search(words, at):
        try:
            value, at = decoder.raw_decode(words, match.start())
        except (ValueError, RecursionError):
            value, at = None, match.end()
        found.append(value if isinstance(value, dict) else None)
    return found


def _rows(sample: dict[str, JSON]) -> tuple[list[tuple[Cell, ...]], int]:
    disks = sample.get("disk")
    if not isinstance(disks, list):
        return [], 1
    when = _time(sample.get("timestamp"))
    rows = list(_disks(when, disks))
    return rows, len(disks) - len(rows)


def _disks(when: Cell, disks: list[JSON]) -> Iterator[tuple[Cell, ...]]:
    for disk in disks:
        if isinstance(disk, dict) and isinstance(disk.get("disk_device"), str):
            yield when, str(disk["disk_device"]), *(_number(disk.get(key)) for key in _KEYS)


def _number(value: JSON) -> Cell:
    return float(value) if isinstance(value, int | float) else Absent("this version does not tell it")


def _time(value: JSON) -> Cell:
    """Read what S_TIME_FORMAT=ISO prints; TZ was UTC, so that is what a time without zone means."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return Absent("not a time that can be read")
    return utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


COLLECTOR = Iostat()
