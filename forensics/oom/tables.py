"""Tables of what one or several logs say of the OOM killer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from forensics.oom.lines import Line
from forensics.oom.reports import Reader, Report
from forensics.tables import Absent, Cell, Column, Table

KILLS = (
    Column("kill", "integer"),
    Column("time", "number"),
    Column("at", "time"),
    Column("logged"),
    Column("constraint"),
    Column("invoker"),
    Column("invoker_pid", "integer"),
    Column("order", "integer"),
    Column("gfp_mask"),
    Column("victim"),
    Column("victim_pid", "integer"),
    Column("victim_uid", "integer"),
    Column("victim_adj", "integer"),
    Column("score", "integer"),
    Column("total_vm", "bytes"),
    Column("anon_rss", "bytes"),
    Column("file_rss", "bytes"),
    Column("shmem_rss", "bytes"),
    Column("manual", "yes/no"),
    Column("outcome"),
    Column("memcg"),
    Column("usage", "bytes"),
    Column("limit", "bytes"),
    Column("victim_memcg"),
    Column("cpuset"),
    Column("mems_allowed"),
    Column("swap_free", "bytes"),
    Column("swap_total", "bytes"),
    Column("ram", "bytes"),
    Column("kernel"),
    Column("tasks", "integer"),
    Column("source"),
)
TASKS = (
    Column("kill", "integer"),
    Column("pid", "integer"),
    Column("uid", "integer"),
    Column("tgid", "integer"),
    Column("total_vm", "bytes"),
    Column("rss", "bytes"),
    Column("swapents", "bytes"),
    Column("pgtables", "bytes"),
    Column("oom_score_adj", "integer"),
    Column("name"),
)
ZONES = (
    Column("kill", "integer"),
    Column("node", "integer"),
    Column("zone"),
    Column("free", "bytes"),
    Column("min", "bytes"),
    Column("low", "bytes"),
    Column("high", "bytes"),
)
OTHERS = (Column("at", "time"), Column("logged"), Column("program"), Column("text"), Column("source"))
_UNSAID = Absent("the log does not say it")
_NO_VICTIM = "no victim is named: the log is cut, or nothing was killed"
_OTHER_KILLERS = re.compile(r"systemd-oomd|earlyoom|nohang|oomd|psi-monitor")
_KILLING = re.compile(r"\bkill|SIGTERM|SIGKILL", re.IGNORECASE)


def made(
    logs: Mapping[str, Reader], names: tuple[str, str, str] = ("oom_kills", "oom_tasks", "oom_zones")
) -> tuple[Table, ...]:
    """Make the three tables of logs by where each was found; kills are numbered through."""
    numbered = list(enumerate((source, report) for source, reader in logs.items() for report in reader.reports))
    kills = tuple(_kill(number, source, report) for number, (source, report) in numbered)
    tasks = tuple(row for number, (_, report) in numbered for row in _tasks(number, report))
    zones = tuple(row for number, (_, report) in numbered for row in _zones(number, report))
    return (
        Table(names[0], "Kills by the OOM killer", KILLS, kills),
        Table(names[1], "Processes as each report of the OOM killer lists them", TASKS, tasks),
        Table(names[2], "Free memory by zone as each report of the OOM killer tells it", ZONES, zones),
    )


def others(logs: Mapping[str, Iterable[Line]], name: str = "oom_other_killers") -> Table:
    """Make the table of what killers outside of the kernel wrote down."""
    rows = tuple(
        (line.at or _UNSAID, line.logged or _UNSAID, line.program, line.text, source)
        for source, lines in logs.items()
        for line in lines
        if _OTHER_KILLERS.match(line.program) and _KILLING.search(line.text)
    )
    return Table(name, "Kills for want of memory by programs other than the kernel", OTHERS, rows)


def _kill(number: int, source: str, report: Report) -> tuple[Cell, ...]:
    line = report.line
    known: dict[str, Cell] = {
        "kill": number,
        "manual": report.manual,
        "outcome": report.outcome or _NO_VICTIM,
        "tasks": len(report.tasks),
        "source": source,
        **report.words,
        **report.figures,
    }
    known |= {"time": line.time} if line.time is not None else {}
    known |= {name: value for name, value in (("at", line.at), ("logged", line.logged)) if value}
    return tuple(known.get(column.name, _UNSAID) for column in KILLS)


def _tasks(number: int, report: Report) -> Iterator[tuple[Cell, ...]]:
    for figures, name in report.tasks:
        known: dict[str, Cell] = {"kill": number, **figures, "name": name}
        yield tuple(known.get(column.name, _UNSAID) for column in TASKS)


def _zones(number: int, report: Report) -> Iterator[tuple[Cell, ...]]:
    for node, zone, marks in report.zones:
        known: dict[str, Cell] = {"kill": number, "node": node, "zone": zone, **marks}
        yield tuple(known.get(column.name, _UNSAID) for column in ZONES)
