"""What Lynis said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from forensics.rendering import charts
from forensics.rendering.blocks import Block, Fact, FactList, Figure, GridColumn, Words, grid
from forensics.rendering.missing import nothing
from forensics.rendering.record import TargetRecord
from forensics.rendering.words import rows

LYNIS = (
    "Lynis's own words. The hardening index is points over possible points of the tests that ran: it is not comparable "
    "between versions, privileges or sets of tests."
)


def blocks(target: TargetRecord) -> list[Block]:
    """Give the run, and its warnings and suggestions."""
    summary = target.tables.get("lynis_summary")
    found = target.tables.get("lynis_findings")
    if summary is None or found is None:
        return [nothing(target, "lynis")]
    listed = rows(found, "category", "kind", "test", "text", "details", "solution")
    counts = Counter(row[0] or "other" for row in listed)
    bars = [(name, float(count), str(count)) for name, count in counts.most_common(20)]
    made: list[Block] = [
        FactList(tuple(Fact(name, value) for name, value in rows(summary, "name", "value"))),
        Words(LYNIS, "note"),
    ]
    if bars:
        said = "; ".join(f"{name} {words}" for name, _, words in bars)
        made.append(Figure("Warnings and suggestions by category", said, charts.bars(bars)))
    order = {"warning": 0, "suggestion": 1}
    listed.sort(key=lambda row: (order.get(row[1], 2), row[0], row[2]))
    return [*made, _advice(listed, target.source("lynis_findings"))]


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
