"""The clock of the target when the last evidence was taken: its offset from ours, and what keeps it right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics import clock, records
from forensics.collectors import MIB, Collector, Command, Output, Reading
from forensics.host import Limits
from forensics.model import JSON, utc
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_SOURCE = "/sys/devices/system/clocksource/clocksource0"
_FILES = (
    *("/proc/uptime", f"{_SOURCE}/current_clocksource", f"{_SOURCE}/available_clocksource"),
    *("/sys/class/rtc/rtc0/since_epoch", "/etc/adjtime", "/etc/timezone"),
)
_SIGNS = (
    *("/etc/localtime", "/run/systemd/timesync/synchronized", "/var/lib/systemd/timesync/clock"),
    *("/run/chrony/chronyd.pid", "/run/chronyd.pid", "/run/ntpd.pid", "/run/openntpd.pid"),
)
"""What services that keep the time leave while they run; systemd-timesyncd touches its two files at each agreement."""
_READING = re.compile(r"reading-[0-9]{1,3}")
_STATE = (Column("name"), Column("value"))
_READINGS = (
    Column("measured", "time"),
    Column("target_time", "time"),
    Column("offset_seconds", "number"),
    Column("uncertainty_seconds", "number"),
)
_UNKNOWN = Absent("when we asked is not on record")
_ROUNDED = 0.0005
"""Seconds by which a round trip may be longer than its record says: it is kept in thousandths."""


@dataclass(frozen=True, slots=True)
class Readings:
    """How often the clock is read; of the readings that with the shortest way there and back says most."""

    seconds: float = 20.0
    times: int = 5


class Clock(Collector[Readings]):
    """Offset, source, zone and keeper of the target's clock; D-Bus is not asked, for it could start a service."""

    name = "clock"
    title = "Clock at the end"
    volatility = 99
    settings = Readings

    def command(self, settings: Readings) -> tuple[Command, ...]:
        """Read the clock some times without waiting for sudo, then the files, and chrony's words where there is one."""
        limits = Limits(seconds=settings.seconds, bytes=MIB)
        dates = [
            Command(f"reading-{number}", ("date", "+%s.%N"), limits, root=False)
            for number in range(1, max(1, min(settings.times, 99)) + 1)
        ]
        found = ("find", *_SIGNS, "-maxdepth", "0", "-printf", r"%p\t%T@\t%l\0")
        return (
            *dates,
            Command("zone", ("date", "+%z %Z"), limits, root=False, optional=True),
            Command("files", ("grep", "-sH", "", *_FILES), limits, accepts=(0, 2), optional=True),
            Command("signs", found, limits, accepts=(0, 1), optional=True),
            Command(
                "chrony",
                ("sh", "-c", "if command -v chronyc >/dev/null; then chronyc -n tracking; fi"),
                limits,
                accepts=(0, 1),
                optional=True,
            ),
        )

    def read(self, output: Output) -> Reading:
        """Make the tables `clock` (by name) and `clock_readings` (by reading)."""
        readings, bad_readings = _readings(output)
        state, bad_files = records.named(output.part("files"))
        signs, bad_signs = records.fields(output.part("signs"), 3)
        chrony = [decode(line).partition(":") for line in output.part("chrony").splitlines()]
        rows: list[tuple[Cell, ...]] = [(path.removeprefix(f"{_SOURCE}/"), value.strip()) for path, value in state]
        rows += [("zone", decode(output.part("zone")).strip())] if output.part("zone").strip() else []
        rows += [(path, link or _moment(modified) or modified) for path, modified, link in signs]
        rows += [(f"chrony: {name.strip()}", value.strip()) for name, colon, value in chrony if colon]
        made = (
            Table("clock", "Clock of the target at the end: source, zone, keeper", _STATE, tuple(rows)),
            Table("clock_readings", "Clock of the target at the end, against ours", _READINGS, tuple(readings)),
        )
        silent = sum(not colon for _, colon, _ in chrony)
        return Reading(made, {"reading": bad_readings, "files": bad_files, "signs": bad_signs, "chrony": silent})


def _readings(output: Output) -> tuple[list[tuple[Cell, ...]], int]:
    rows: list[tuple[Cell, ...]] = []
    bad = 0
    for part, said in output.parts.items():
        if not _READING.fullmatch(part):
            continue
        began, seconds = _asked(output.facts.get(part, {}))
        told = clock.offset([(said, began or "1970-01-01T00:00:00Z", seconds)])
        when = _moment(decode(said).strip())
        if told is None or not when:
            bad += 1
        elif began:
            rows.append((began, when, told.seconds, round(told.uncertainty + _ROUNDED, 6)))
        else:
            rows.append((_UNKNOWN, when, _UNKNOWN, _UNKNOWN))
    return rows, bad


def _asked(facts: JSON | object) -> tuple[str, float]:
    """Tell when we asked, and how long the way there and back took; "" where no record says so."""
    known = facts if isinstance(facts, dict) else {}
    began, seconds = known.get("started"), known.get("seconds")
    try:
        moment = datetime.fromisoformat(began) if isinstance(began, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not isinstance(seconds, int | float):
        return "", 0.0
    return utc(moment), float(seconds)


def _moment(stamp: str) -> str:
    try:
        return utc(datetime.fromtimestamp(float(stamp), UTC))
    except (ValueError, OverflowError, OSError):
        return ""


COLLECTOR = Clock()
