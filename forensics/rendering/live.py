"""What the live collectors brought: block I/O, Lynis, out-of-memory kills."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from forensics.rendering import charts
from forensics.rendering.blocks import Block, Fact, FactList, Figure, GridColumn, Section, Words, grid
from forensics.rendering.record import CaseRecord, TargetRecord
from forensics.rendering.words import rows, size

BASELINE = (
    "The kernel gives a small process with an adjustment of 0 a score of about 667 since Linux 5.9, and about 0 before: a "
    "score is no share of memory. −1000 as adjustment means that the kernel never chooses the process."
)
LYNIS = (
    "Lynis's own words. The hardening index is points over possible points of the tests that ran: it is not comparable "
    "between versions, privileges or sets of tests."
)
MEASURES = {
    "Q2C": "queued to completed",
    "Q2D": "queued to issued",
    "D2C": "issued to completed",
    "Q2G": "queued to request",
    "G2I": "request to inserted",
    "I2D": "inserted to issued",
}


def chapter(record: CaseRecord) -> Section:
    """Give block I/O, memory pressure and the audit of each target."""
    several = len(record.targets) > 1
    parts: list[Section] = []
    for target in record.targets:
        suffix = f" of {target.label}" if several else ""
        parts += [
            Section(f"block-io-{target.label}", f"Block I/O{suffix}", tuple(_block_io(target))),
            Section(f"oom-{target.label}", f"Out-of-memory kills and scores{suffix}", tuple(_oom(target))),
            Section(f"lynis-{target.label}", f"Lynis audit{suffix}", tuple(_lynis(target))),
            Section(f"collectors-{target.label}", f"Collectors and how each ended{suffix}", (_collectors(target),)),
        ]
    return Section("live", "What the live system showed", (), tuple(parts))


def _absent(target: TargetRecord, *items: str) -> Words:
    said = [target.outcome(stage, item) for item in items for stage in ("collect", "interpret")]
    words = "; ".join(one for one in said if one) or f"{items[0]}: not run"
    return Words(f"There is nothing to show here. {words}.", "note")


def _block_io(target: TargetRecord) -> list[Block]:
    totals = target.tables.get("block_io_totals")
    if totals is None:
        return [_absent(target, "block_io", "block-io", "blktrace")]
    blocks: list[Block] = [
        FactList(
            tuple(Fact(name, f"{value} {unit}".strip()) for name, value, unit in rows(totals, "name", "value", "unit"))
        )
    ]
    for name, picture in sorted(target.pictures.items()):
        title = name.replace("block-io-", "").replace("-", " ").capitalize()
        words = f"Drawn from the block trace; {picture.exhibit.number}, {picture.exhibit.digest}."
        blocks.append(
            Figure(f"Block I/O: {title.lower()}", f"{title} of block I/O during the trace", picture.svg, words)
        )
    return [*blocks, *_latency(target), *_writers(target)]


def _latency(target: TargetRecord) -> list[Block]:
    table = target.tables.get("block_io_latency")
    if table is None:
        return []
    names = ("scope", "measure", "count", "minimum", "average", "median", "p95", "p99", "maximum")
    chosen = [row for row in rows(table, *names) if row[0] == "all" or row[1] in {"Q2C", "Q2D", "D2C"}]
    columns = (
        GridColumn("Process", 17, mono=True),
        GridColumn("Measure", 9),
        GridColumn("N", 9, align="right"),
        *(GridColumn(name, 10 if name != "Maximum" else 15, align="right") for name in ("Minimum", "Average", "Median", "95 %", "99 %", "Maximum")),
    )  # fmt: skip
    words = "; ".join(f"{short}: {long}" for short, long in MEASURES.items())
    note = Words(f"{words}. A latency is charged to the process that queued the request.", "note")
    return [grid("Latencies", columns, chosen, limit=40, source=target.source("block_io_latency")), note]


def _writers(target: TargetRecord) -> list[Block]:
    table = target.tables.get("block_io_processes")
    if table is None:
        return []
    columns = (
        GridColumn("Process", 30, mono=True),
        GridColumn("PID", 10, align="right"),
        GridColumn("Reads", 14, align="right"),
        GridColumn("Read", 16, align="right"),
        GridColumn("Writes", 14, align="right"),
        GridColumn("Written", 16, align="right"),
    )
    names = ("process", "pid", "reads", "read_bytes", "writes", "written_bytes")
    found = rows(table, *names)
    return [grid("Who queued it", columns, found, limit=25, source=target.source("block_io_processes"))]


def _oom(target: TargetRecord) -> list[Block]:
    blocks: list[Block] = []
    kills = target.tables.get("oom_kills")
    if kills is None:
        blocks.append(_absent(target, "oom", "kernel_log"))
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
        blocks.append(grid("Kills in the kernel log", columns, found, limit=30, source=source, empty=empty))
    return [*blocks, *_scores(target)]


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


def _lynis(target: TargetRecord) -> list[Block]:
    summary = target.tables.get("lynis_summary")
    found = target.tables.get("lynis_findings")
    if summary is None or found is None:
        return [_absent(target, "lynis")]
    listed = rows(found, "category", "kind", "test", "text", "details", "solution")
    counts = Counter(row[0] or "other" for row in listed)
    bars = [(name, float(count), str(count)) for name, count in counts.most_common(20)]
    blocks: list[Block] = [
        FactList(tuple(Fact(name, value) for name, value in rows(summary, "name", "value"))),
        Words(LYNIS, "note"),
    ]
    if bars:
        said = "; ".join(f"{name} {words}" for name, _, words in bars)
        blocks.append(Figure("Warnings and suggestions by category", said, charts.bars(bars)))
    order = {"warning": 0, "suggestion": 1}
    listed.sort(key=lambda row: (order.get(row[1], 2), row[0], row[2]))
    return [*blocks, _advice(listed, target.source("lynis_findings"))]


def _advice(listed: Sequence[tuple[str, ...]], source: str) -> Block:
    columns = (
        GridColumn("Category", 14),
        GridColumn("Kind", 11),
        GridColumn("Test", 12, mono=True),
        GridColumn("What Lynis says", 35),
        GridColumn("Remedy, details", 28),
    )
    lines = [
        (
            category,
            kind,
            test,
            words,
            "; ".join(part for part in (remedy, details) if part not in {"", "-"} and not part.startswith("–")),
        )
        for category, kind, test, words, details, remedy in listed
    ]
    return grid("Warnings and suggestions", columns, lines, limit=80, source=source, empty="Lynis had none.")


def _collectors(target: TargetRecord) -> Block:
    columns = (
        GridColumn("Collector", 20, mono=True),
        GridColumn("Outcome", 12),
        GridColumn("Exhibits", 26, mono=True),
        GridColumn("Reason", 42),
    )
    lines = [
        (
            result.item,
            str(result.outcome),
            ", ".join(one.number for one in target.exhibits if one.stage == "collect" and one.item == result.item),
            result.reason,
        )
        for result in target.results.get("collect", ())
    ]
    return grid("", columns, lines, limit=60, empty="No collector was run.")
