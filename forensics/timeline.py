"""One table of all that has a time: what memory knows, and what the collectors know, by the examiner's clock.

Times come by the target's clock; the offset that the survey measured is taken off, and both stand in each row. Where no
offset was measured the two are the same, and the title says so. The exports are those that Timesketch imports (message,
datetime and timestamp_desc are what it asks for; timestamp is the moment in microseconds), as JSON Lines and as CSV.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from forensics.findings.presence import booted
from forensics.findings.rule import number_of, text_of
from forensics.model import ClockOffset, Facts, utc
from forensics.tables import Absent, Cell, Column, Row, Table
from forensics.text import harmless, show

NAME = "timeline"
_COLUMNS = (
    Column("time", "time"),
    Column("target_time", "time"),
    Column("kind"),
    Column("message"),
    Column("pid", "integer"),
    Column("source"),
    Column("exhibits"),
)
_NO_PID = Absent("no process is told")
_FILE_TIMES = {"ModificationTime": "modified", "ChangeTime": "inode changed", "AccessTime": "accessed"}


@dataclass(frozen=True, slots=True)
class _Event:
    """One thing that happened, by the target's clock."""

    when: datetime
    kind: str
    message: str
    source: str
    pid: int | None = None


def timeline(tables: Mapping[str, Table], facts: Facts | None) -> Table | None:
    """Make the timeline, the oldest first; None when no table tells a time."""
    found = [*_shells(tables), *_boots(tables), *_processes(tables), *_logins(tables), *_files(tables)]
    found += [*_dumps(tables), *_log(tables, facts)]
    if not found:
        return None
    clock = facts.clock if facts is not None and facts.clock.measured else None
    off = timedelta(seconds=clock.seconds if clock else 0.0)
    rows = [
        (
            *(_moment(one.when - off), _moment(one.when), one.kind, one.message),
            *(_NO_PID if one.pid is None else one.pid, one.source, ", ".join(tables[one.source].sources)),
        )
        for one in sorted(found, key=lambda one: one.when)
    ]
    used = dict.fromkeys(number for one in found for number in tables[one.source].sources)
    return Table(NAME, f"Timeline, {_clock_words(clock)}", _COLUMNS, tuple(rows), tuple(used))


def _clock_words(clock: ClockOffset | None) -> str:
    if clock is None:
        return "by the target's own clock: its offset was not measured"
    offset = f"{clock.seconds:+.3f} s ± {clock.uncertainty:.3f} s"
    return f"by the examiner's clock: the target's, measured at {offset} against it, was corrected"


def _moment(when: datetime) -> str:
    return utc(when)


def _when(cell: Cell | None) -> datetime | None:
    try:
        told = datetime.fromisoformat(text_of(cell))
    except ValueError:
        return None
    return told if told.tzinfo and told.year > 1970 else None


def _shells(tables: Mapping[str, Table]) -> Iterator[_Event]:
    name = "linux.bash.Bash"
    for row in tables.get(name, ()):
        if when := _when(row.get("CommandTime")):
            shell = f"{text_of(row.get('Process'), 64)} (pid {text_of(row.get('PID'))})"
            words = f"{shell}: {text_of(row.get('Command'), 2000)}"
            yield _Event(when, "command typed", words, name, number_of(row.get("PID")))


def _boots(tables: Mapping[str, Table]) -> Iterator[_Event]:
    name = "linux.boottime.Boottime"
    for row in tables.get(name, ()):
        if when := _when(row.get("Boot Time")):
            yield _Event(when, "booted", f"the system was booted (time namespace {text_of(row.get('TIME NS'))})", name)


def _processes(tables: Mapping[str, Table]) -> Iterator[_Event]:
    """Take the view of all lists where it was made, else the list of memory, else the live one."""
    for name, pid, word, started in (
        ("process_views", "pid", "name", "started"),
        ("linux.pslist.PsList", "PID", "COMM", "CREATION TIME"),
        ("processes", "pid", "comm", "started"),
    ):
        if name in tables:
            for row in tables[name]:
                if when := _when(row.get(started)):
                    words = f"{text_of(row.get(word), 64)} (pid {text_of(row.get(pid))}) was started"
                    yield _Event(when, "process started", words, name, number_of(row.get(pid)))
            return


def _logins(tables: Mapping[str, Table]) -> Iterator[_Event]:
    for name, kind in (("logins", "logged in"), ("users", "logged in"), ("failed_logins", "login failed")):
        for row in tables.get(name, ()):
            if when := _when(row.get("since")):
                where = " ".join(filter(None, (text_of(row.get("terminal")), text_of(row.get("from")))))
                yield _Event(when, kind, f"{text_of(row.get('user'), 64)} {where}".strip(), name)


def _files(tables: Mapping[str, Table]) -> Iterator[_Event]:
    name = "linux.pagecache.Files"
    for row in tables.get(name, ()):
        for column, word in _FILE_TIMES.items():
            if when := _when(row.get(column)):
                yield _Event(when, f"file {word}", text_of(row.get("FilePath"), 1000), name)


def _dumps(tables: Mapping[str, Table]) -> Iterator[_Event]:
    name = "crash_files"
    for row in tables.get(name, ()):
        if when := _when(row.get("modified")):
            yield _Event(
                when, "crash dump written", f"{text_of(row.get('path'), 1000)} ({text_of(row.get('kind'))})", name
            )


def _log(tables: Mapping[str, Table], facts: Facts | None) -> Iterator[_Event]:
    """Give the kernel's log, which counts from boot: the log in memory, and what the live one had after its end."""
    boot = booted(facts) if facts is not None else None
    if boot is None:
        return
    last = -1.0
    for name, column, word in (("linux.kmsg.Kmsg", "timestamp", "line"), ("kernel_log", "time", "text")):
        lines = [(seconds, row) for row in tables.get(name, ()) if (seconds := _seconds(row, column)) is not None]
        for seconds, row in lines:
            if seconds > last:
                when = datetime.fromtimestamp(boot + seconds, UTC)
                yield _Event(when, "kernel log", text_of(row.get(word), 1000), name)
        last = max((seconds for seconds, _ in lines), default=last)


def _seconds(row: Row, column: str) -> float | None:
    try:
        seconds = float(text_of(row.get(column)))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e10 else None


def export_jsonl(path: Path, table: Table, host: str) -> None:
    """Write the timeline as Timesketch's JSON Lines."""
    with path.open("x", encoding="ascii") as file:
        for row in table:
            file.write(json.dumps(_exported(row, host), ensure_ascii=True) + "\n")


def export_csv(path: Path, table: Table, host: str) -> None:
    """Write the timeline as Timesketch's CSV; a cell that a spreadsheet would run begins with an apostrophe."""
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for number, row in enumerate(table):
            cells = _exported(row, host)
            if number == 0:
                writer.writerow(cells)
            writer.writerow([harmless(show(str(value))) for value in cells.values()])


def _exported(row: Row, host: str) -> dict[str, Any]:
    told = {name: "" if isinstance(cell, Absent) else cell for name, cell in row.items()}
    return {
        "message": told["message"] or told["kind"],  # Timesketch takes no event without one
        "timestamp": _microseconds(str(told["time"])),
        "datetime": told["time"],
        "timestamp_desc": told["kind"],
        "target_time": told["target_time"],
        "hostname": host,
        "pid": told["pid"],
        "source": told["source"],
        "exhibits": told["exhibits"],
    }


def _microseconds(moment: str) -> int:
    since = datetime.fromisoformat(moment) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1)
