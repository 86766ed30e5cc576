"""Memory that ran out: kills, scores, and who held it."""

from __future__ import annotations

from forensics.rendering import charts
from forensics.rendering.blocks import Block, Figure, GridColumn, Words, grid
from forensics.rendering.missing import nothing
from forensics.rendering.record import TargetRecord
from forensics.rendering.words import rows, size

BASELINE = (
    "The kernel gives a small process with an adjustment of 0 a score of about 667 since Linux 5.9, and about 0 before: a "
    "score is no share of memory. −1000 as adjustment means that the kernel never chooses the process."
)


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
    return [*made, *_scores(target)]


def _scores(target: TargetRecord) -> list[Block]:
    table = target.tables.get("oom_scores")
    if table is None:
        return []
    ranked = sorted(table, key=lambda row: -_figure(row.get("oom_score")))
    top = [(f"{row['comm']} ({row['pid']})", _figure(row["oom_score"]), str(row["oom_score"])) for row in ranked[:15]]
    kept = [row for row in ranked if _figure(row.get("oom_score_adj")) <= -900]
    names = ", ".join(f"{row['comm']} ({row['pid']}: {row['oom_score_adj']})" for row in kept[:20]) or "none"
    said = "; ".join(f"{label} {words}" for label, _, words in top)
    chart = charts.bars(top, baseline=667.0, said="667: a small process with adjustment 0")
    columns = (
        GridColumn("Process", 30, mono=True),
        GridColumn("PID", 14, align="right"),
        GridColumn("Score", 14, align="right"),
        GridColumn("Adjustment", 14, align="right"),
        GridColumn("Resident", 14, align="right"),
        GridColumn("Swapped", 14, align="right"),
    )
    found = [
        (str(row["comm"]), str(row["pid"]), str(row["oom_score"]), str(row["oom_score_adj"]), size(_figure(row["rss"])), size(_figure(row["swap"])))
        for row in ranked
    ]  # fmt: skip
    return [
        Figure("Whom the kernel would kill first", said, chart, target.source("oom_scores")),
        Words(BASELINE, "note"),
        Words(f"Protected processes (adjustment of −900 or less): {names}."),
        grid("Scores", columns, found, limit=25, source=target.source("oom_scores")),
    ]


def _figure(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
