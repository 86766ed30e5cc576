"""`forensics timeline`: what has a time, for Timesketch and for a spreadsheet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from forensics import tables, terminal
from forensics.casefile import Case
from forensics.commands.options import HERE, AsJson, CaseNumber, Root
from forensics.errors import CaseError
from forensics.model import JSON, Exhibit
from forensics.tables import Table
from forensics.timeline import NAME, export_csv, export_jsonl

app = typer.Typer()


@app.command()
def timeline(number: CaseNumber, *, root: Root = HERE, as_json: AsJson = False) -> None:
    """Write the timeline of each target to reports/, as Timesketch's JSON Lines and as CSV."""
    case = Case.load(root, number)
    last = {one.target: one for one in case.exhibits() if one.kind == "table" and one.facts.get("table") == NAME}
    if not last:
        raise CaseError(
            "there is no timeline yet", where=f"case {number}", remedy="forensics run works the case to its tables"
        )
    written = [_write(root, case, exhibit) for exhibit in last.values()]
    if as_json:
        terminal.document(written)
        return
    for one in written:
        terminal.line(f"{one['title']}: {one['rows']} rows")
        terminal.line(str(one["jsonl"]))
        terminal.line(str(one["csv"]))


def _write(root: Path, case: Case, exhibit: Exhibit) -> dict[str, JSON]:
    """Export one target's timeline, after its exhibit was found to have its digest."""
    case.check(exhibit)
    table = tables.read(case.path(exhibit))
    folder = root / "reports"
    folder.mkdir(exist_ok=True)
    stem = f"{case.number}-{exhibit.target}-timeline"
    jsonl = _replace(folder / f"{stem}.jsonl", export_jsonl, table, exhibit.target)
    plain = _replace(folder / f"{stem}.csv", export_csv, table, exhibit.target)
    return {
        "target": exhibit.target, "exhibit": exhibit.number, "title": table.title, "rows": len(table),
        "jsonl": str(jsonl), "csv": str(plain),
    }  # fmt: skip


def _replace(path: Path, write: Callable[[Path, Table, str], None], table: Table, host: str) -> Path:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    write(fresh, table, host)
    fresh.replace(path)
    return path
