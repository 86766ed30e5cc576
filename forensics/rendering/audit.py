"""What Lynis said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from forensics.collectors.lynis.controls import controls
from forensics.rendering import charts
from forensics.rendering.blocks import Block, Fact, FactList, Figure, GridColumn, Words, grid
from forensics.rendering.missing import nothing
from forensics.rendering.record import TargetRecord
from forensics.rendering.words import rows
from forensics.tables import Cell

LYNIS = (
    "Lynis's own words. The hardening index is points over possible points of the tests that ran: it is not comparable "
    "between versions, privileges or sets of tests."
)


FIRST = (
    "Warnings first, then what costs the hardening index most. The controls are this program's own mapping, to NIST SP "
    "800-53 Rev. 5 and ISO/IEC 27001:2022, Annex A (A.…): they say where to look, and not that a control is broken."
)
_ORDER = {"warning": 0, "suggestion": 1}
_TOP = 10


def blocks(target: TargetRecord) -> list[Block]:
    """Give the run, what to mend first, its warnings and suggestions by category, and the tests behind its index."""
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
    lost = _lost(target)
    if listed:
        made += [_first(listed, lost, target.source("lynis_findings")), Words(FIRST, "note")]
    if bars:
        said = "; ".join(f"{name} {words}" for name, _, words in bars)
        made.append(Figure("Warnings and suggestions by category", said, charts.bars(bars)))
    listed.sort(key=lambda row: (row[0], _ORDER.get(row[1], 2), row[2]))
    return [*made, _advice(listed, target.source("lynis_findings")), *_tests(target), *_values(target)]


def _lost(target: TargetRecord) -> dict[str, int]:
    """Give the points that each test did not give."""
    table = target.tables.get("lynis_tests", ())
    return {str(row["test"]): _count(row["possible"]) - _count(row["points"]) for row in table}


def _count(cell: Cell) -> int:
    return cell if isinstance(cell, int) else 0


def _first(listed: Sequence[tuple[str, ...]], lost: Mapping[str, int], source: str) -> Block:
    columns = (
        GridColumn("Test", 12, mono=True),
        GridColumn("Kind", 11),
        GridColumn("What Lynis says", 33),
        GridColumn("Remedy, details", 24),
        GridColumn("Points lost", 7, align="right"),
        GridColumn("Controls (ours)", 13),
    )
    ranked = sorted(listed, key=lambda row: (_ORDER.get(row[1], 2), -lost.get(row[2], 0), row[2]))
    lines = [
        (
            test,
            kind,
            words,
            _remedy(details, remedy),
            str(lost[test]) if test in lost else "",
            ", ".join(controls(test)),
        )
        for _, kind, test, words, details, remedy in ranked[:_TOP]
    ]
    return grid("To mend first", columns, lines, limit=_TOP, source=source)


def _remedy(details: str, remedy: str) -> str:
    told = [part for part in (remedy, details) if part not in {"", "-"} and not part.startswith("–")]
    return "; ".join(told) or "Lynis gives none"


def _advice(listed: Sequence[tuple[str, ...]], source: str) -> Block:
    columns = (
        GridColumn("Category", 14),
        GridColumn("Kind", 11),
        GridColumn("Test", 12, mono=True),
        GridColumn("What Lynis says", 35),
        GridColumn("Remedy, details", 28),
    )
    lines = [
        (category, kind, test, words, _remedy(details, remedy))
        for category, kind, test, words, details, remedy in listed
    ]
    return grid(
        "Warnings and suggestions, by category", columns, lines, limit=80, source=source, empty="Lynis had none."
    )


def _tests(target: TargetRecord) -> list[Block]:
    """Give the tests that the index is made of, those that gave least first."""
    table = target.tables.get("lynis_tests")
    if table is None:
        return []
    ran = [row for row in table if row["state"] == "performed"]
    counting = sorted((row for row in ran if _count(row["possible"])), key=lambda row: _count(row["points"]) - _count(row["possible"]))  # fmt: skip
    given, possible = (sum(_count(row[name]) for row in counting) for name in ("points", "possible"))
    words = (
        f"{len(ran)} tests were performed and {len(table) - len(ran)} not; {len(counting)} of them gave {given} of "
        f"{possible} points{f', which is {given * 100 // possible} %' if possible else ''}."
    )
    columns = (GridColumn("Test", 14, mono=True), GridColumn("What it looks at", 56),
               GridColumn("Points", 15, align="right"), GridColumn("Possible", 15, align="right"))  # fmt: skip
    lines = [(str(row["test"]), str(row["description"]), str(row["points"]), str(row["possible"])) for row in counting]
    source = target.source("lynis_tests")
    return [Words(words), grid("The tests behind the hardening index", columns, lines, limit=20, source=source)]


def _values(target: TargetRecord) -> list[Block]:
    table = target.tables.get("lynis_details")
    if table is None or not len(table):
        return []
    columns = (GridColumn("Test", 12, mono=True), GridColumn("Setting", 36, mono=True), GridColumn("What it does", 32),
               GridColumn("Preferred", 10), GridColumn("Found", 10))  # fmt: skip
    lines = rows(table, "test", "field", "description", "preferred", "value")
    return [
        grid("Values that are not as Lynis prefers", columns, lines, limit=40, source=target.source("lynis_details"))
    ]
