"""Memory that ran out: kills, scores, and who held it."""

from __future__ import annotations

from datetime import datetime

from forensics.rendering import charts, moments
from forensics.rendering.blocks import Block, Figure, GridColumn, Words, grid
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
_SERIES = 5
"""Series in one lane, the highest."""


def blocks(target: TargetRecord) -> list[Block]:
    """Give the kills, and whom the kernel would kill first."""
    made: list[Block] = []
    kills = target.tables.get("oom_kills")
    if kills is None:
        made.append(nothing(target, "oom", "kernel_log"))
    else:
        columns = (
            GridColumn("At (s since boot)", 14, align="right"),
            GridColumn("Victim", 24, mono=True),
            GridColumn("Its memory", 14, align="right"),
            GridColumn("Asked for by", 24, mono=True),
            GridColumn("Why", 24),
        )
        names = ("time", "victim", "victim_pid", "anon_rss", "invoker", "invoker_pid", "constraint", "manual")
        found = [
            (at, f"{victim} ({pid})", memory, f"{invoker} ({by})", why + (", by hand" if manual == "yes" else ""))
            for at, victim, pid, memory, invoker, by, why, manual in rows(kills, *names)
        ]
        source = target.source("oom_kills")
        empty = "The kernel log holds no out-of-memory kill."
        made.append(grid("Kills in the kernel log", columns, found, limit=30, source=source, empty=empty))
    return [*made, *_together(target), *_holders(target), *_scores(target)]


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
        (str(row["comm"]), str(row["pid"]), *(_plain(row.get(name)) for name in ("oom_score", "baseline", _ADJUSTED)),
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


def _plain(value: object) -> str:
    return str(value) if isinstance(value, int) else "–"


def _figure(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
