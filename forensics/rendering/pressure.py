"""Memory that ran out: kills, scores, and who held it."""

from __future__ import annotations

from datetime import datetime

from forensics.rendering import charts, moments, watched
from forensics.rendering.blocks import Block, Fact, FactList, Figure, GridColumn, Words, grid
from forensics.rendering.missing import nothing
from forensics.rendering.record import TargetRecord
from forensics.rendering.words import rows, size
from forensics.tables import Row, Table

BASELINE = (
    "The kernel gives a small process with an adjustment of 0 a score of about 667 since Linux 5.9, and about 0 before: a "
    "score is no share of memory. −1000 as adjustment means that the kernel never chooses the process."
)


AXIS = (
    "Times are the target's clock, in UTC; the axis is cut where nothing was measured. At a kill, free memory is what the "
    "kernel's own report of it tells; else it was read once a second while the disks were watched."
)
_ADJUSTED = "oom_score_adj"
_LOGS = {
    "oom_kills": "Kills in the kernel log",
    "oom_kills_logged": "Kills in the logs on disk: the journal, /var/log",
    "oom_kills_crash": "Kills in the logs kept of crashes",
    "memory_oom_kills": "Kills in the kernel log that memory holds",
}
_SERIES = 5
"""Series in one lane, the highest."""


def blocks(target: TargetRecord) -> list[Block]:
    """Give the kills of every log, what was set, and whom the kernel would kill first."""
    made: list[Block] = []
    if target.tables.get("oom_kills") is None:
        made.append(nothing(target, "oom", "kernel_log"))
    made += [_kills(target, name, title) for name, title in _LOGS.items() if name in target.tables]
    return [
        *made,
        *_others(target),
        *_together(target),
        *_holders(target),
        *_settings(target),
        *_scores(target),
        *watched.blocks(target),
    ]


def _kills(target: TargetRecord, name: str, title: str) -> Block:
    columns = (
        GridColumn("At (s since boot, or time)", 20, align="right"),
        GridColumn("Victim", 22, mono=True),
        GridColumn("Its memory", 12, align="right"),
        GridColumn("Asked for by", 22, mono=True),
        GridColumn("Why", 24),
    )
    names = ("victim", "victim_pid", "anon_rss", "invoker", "invoker_pid", "constraint", "memcg", "cpuset", "manual")
    table = target.tables[name]
    found = [
        (at, f"{victim} ({pid})", memory, f"{invoker} ({by})", _why(why, group, cpuset) + (", by hand" if manual == "yes" else ""))
        for at, (victim, pid, memory, invoker, by, why, group, cpuset, manual) in zip(_when(table), rows(table, *names), strict=True)
    ]  # fmt: skip
    return grid(title, columns, found, limit=30, source=target.source(name), empty="It holds no out-of-memory kill.")


def _when(table: Table) -> list[str]:
    """Give when each kill was: by the log's own time of day where it has one, else since boot."""
    at, logged, time = (rows(table, name) for name in ("at", "logged", "time"))
    told = zip(at, logged, time, strict=True)
    return [next((one for (one,) in each if one and not one.startswith("–")), "not told") for each in told]


def _why(constraint: str, group: str, cpuset: str) -> str:
    """Say what ran out: of the machine, a memory group or a cpuset."""
    where = {"CONSTRAINT_MEMCG": group, "CONSTRAINT_CPUSET": cpuset}.get(constraint, "")
    return f"{constraint} of {where}" if where and not where.startswith("–") else constraint


def _others(target: TargetRecord) -> list[Block]:
    table = target.tables.get("oom_other_killers")
    if table is None or not len(table):
        return []
    columns = (GridColumn("Time", 22), GridColumn("Program", 18, mono=True), GridColumn("What it says", 60))
    lines = list(zip(_logged(table), *zip(*rows(table, "program", "text"), strict=True), strict=True))
    title, source = "Kills by programs other than the kernel", target.source("oom_other_killers")
    return [grid(title, columns, lines, limit=20, source=source)]


def _logged(table: Table) -> list[str]:
    told = zip(rows(table, "at"), rows(table, "logged"), strict=True)
    return [at if at and not at.startswith("–") else logged for (at,), (logged,) in told]


def _settings(target: TargetRecord) -> list[Block]:
    """Give what the kernel was told to do when memory runs out, and the groups that have a limit or had a kill."""
    made: list[Block] = []
    settings, groups = target.tables.get("oom_sysctls"), target.tables.get("oom_groups")
    if settings is not None and len(settings):
        made.append(FactList(tuple(Fact(name, value, mono=True) for name, value in rows(settings, "name", "value"))))
    if groups is not None and len(groups):
        columns = (
            GridColumn("Memory group", 50, mono=True),
            GridColumn("What", 30),
            GridColumn("Value", 20, align="right"),
        )
        lines = rows(groups, "group", "name", "value")
        made.append(grid("Limits and counters of memory groups", columns, lines, limit=20, source=target.source("oom_groups")))  # fmt: skip
    return made


def _together(target: TargetRecord) -> list[Block]:
    """Draw the kills beside memory and disks, when there is a kill and something was measured."""
    table = target.tables.get("pressure")
    kills = [] if table is None else [row for row in table if row["sort"] == "kill"]
    if table is None or not kills:
        return []
    lanes = [_lane(table, "memory", "Memory", ""), _lane(table, "disk", "Disks", " a second")]
    lanes = [lane for lane in lanes if lane.series]
    if not lanes:
        return []
    svg, early = moments.draw(lanes, [(_moment(row), _short(str(row["message"]))) for row in kills])
    said = "; ".join(f"{row['time']}: {row['message']}" for row in kills[:12])
    missing = f" {early} earlier kills are not on it." if early else ""
    title = "Kills beside the memory that was left and what the disks did"
    return [Figure(title, said, svg, target.source("pressure")), Words(AXIS + missing, "note")]


def _lane(table: Table, sort: str, title: str, per: str) -> moments.Lane:
    series: dict[str, list[tuple[float, float]]] = {}
    highest: dict[str, float] = {}
    for row in table:
        if row["sort"] == sort:
            name, value = str(row["series"]), _figure(row["value"])
            series.setdefault(name, []).append((_moment(row), value))
            highest[name] = max(highest.get(name, 0.0), value)
    busiest = sorted(series, key=lambda name: -highest[name])[:_SERIES]
    told = {value: f"{size(value)}{per}" for value in highest.values()}
    return moments.Lane(title, {name: series[name] for name in sorted(busiest)}, told)


def _short(message: str) -> str:
    """Give whom a kill met, and whether a person asked for it."""
    return message.partition(",")[0] + (", by hand" if message.endswith(", by hand") else "")


def _moment(row: Row) -> float:
    return datetime.fromisoformat(str(row["time"])).timestamp()


def _holders(target: TargetRecord) -> list[Block]:
    """Draw who held the memory when the kernel killed last, by its own list."""
    tasks, kills = target.tables.get("oom_tasks"), target.tables.get("oom_kills")
    if tasks is None or kills is None or not len(tasks):
        return []
    last = max(int(_figure(row["kill"])) for row in tasks)
    kill = next((row for row in kills if row["kill"] == last), {})
    listed = sorted((row for row in tasks if row["kill"] == last), key=lambda row: -_figure(row["rss"]))
    top = [(f"{row['name']} ({row['pid']})", _figure(row["rss"]), size(_figure(row["rss"]))) for row in listed[:15]]
    said = "; ".join(f"{label} {words}" for label, _, words in top)
    words = f"Resident memory by the kernel's own list of {len(listed)} processes, at the kill of {kill.get('victim', 'a process')} ({kill.get('victim_pid', 'no pid')})."  # fmt: skip
    return [Figure("Who held the memory at the last kill", said, charts.bars(top), target.source("oom_tasks")), Words(words, "note")]  # fmt: skip


def _scores(target: TargetRecord) -> list[Block]:
    table = target.tables.get("oom_scores")
    if table is None:
        return []
    ranked = sorted(table, key=lambda row: -_figure(row.get("oom_score")))
    top = [(f"{row['comm']} ({row['pid']})", _figure(row["oom_score"]), str(row["oom_score"])) for row in ranked[:15]]
    kept = [row for row in ranked if _figure(row.get("oom_score_adj")) <= -900]
    names = ", ".join(f"{row['comm']} ({row['pid']}: {row['oom_score_adj']})" for row in kept[:20]) or "none"
    said = "; ".join(f"{label} {words}" for label, _, words in top)
    chart = charts.bars(top, baseline=_baseline(table), said="a process without memory, adjustment 0")
    columns = (
        GridColumn("Process", 26, mono=True),
        GridColumn("PID", 12, align="right"),
        GridColumn("Score", 11, align="right"),
        GridColumn("Of it, baseline", 13, align="right"),
        GridColumn("Adjustment", 12, align="right"),
        GridColumn("Resident", 13, align="right"),
        GridColumn("Swapped", 13, align="right"),
    )
    found = [
        (str(row["comm"]), str(row["pid"]), *(_plain(row.get(name)) for name in ("oom_score", "baseline")), _adjustment(row),
         size(_figure(row["rss"])), size(_figure(row["swap"])))
        for row in ranked
    ]  # fmt: skip
    return [
        Figure("Whom the kernel would kill first", said, chart, target.source("oom_scores")),
        Words(BASELINE, "note"),
        Words(f"Protected processes (adjustment of −900 or less): {names}."),
        grid("Scores", columns, found, limit=25, source=target.source("oom_scores")),
    ]


def _baseline(table: Table) -> float | None:
    """Give the score that a process without memory and adjustment has on this kernel, where the table tells it."""
    known = [row.get("baseline") for row in table if row.get(_ADJUSTED) == 0]
    return next((float(one) for one in known if isinstance(one, int)), None)


def _adjustment(row: Row) -> str:
    """Give the adjustment; of a kernel before 2.6.36 the one that it has, from -17 to 15."""
    if not isinstance(row.get(_ADJUSTED), int) and isinstance(row.get("oom_adj"), int):
        return f"oom_adj {row['oom_adj']}"
    return _plain(row.get(_ADJUSTED))


def _plain(value: object) -> str:
    return str(value) if isinstance(value, int) else "–"


def _figure(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
