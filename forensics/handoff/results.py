"""What was found, for programs: each table as JSON Lines and CSV, a timeline as Timesketch takes it.

A row of JSON Lines is an object by column; a cell without a value is {"absent": reason}. In CSV it is "(reason)", and
a cell that a spreadsheet would run begins with an apostrophe. File names are those of the exhibits: none is a target's.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

from forensics import tables, timeline
from forensics.errors import IntegrityError
from forensics.model import JSON, Exhibit
from forensics.tables import Absent, Cell, Table
from forensics.text import harmless, show

KINDS = frozenset({"table", "plugin-result", "memory-processes"})
"""Kinds of exhibits that hold a table."""


def load(path: Path, exhibit: Exhibit) -> Table:
    """Read the table that an exhibit holds; IntegrityError when it holds none."""
    try:
        return tables.read(path)
    except (ValueError, KeyError) as error:
        where = f"{exhibit.number}: {exhibit.path}"
        raise IntegrityError("a table cannot be read", where=where, why=str(error)) from error


def tabled(exhibits: Iterable[Exhibit]) -> list[Exhibit]:
    """Give the exhibits that hold a table."""
    return [one for one in exhibits if one.kind in KINDS]


def write(folder: Path, exhibit: Exhibit, table: Table) -> list[Path]:
    """Write one table's files into a folder, and give them."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = exhibit.path.name.removesuffix(".jsonl")
    lines, cells = folder / f"{stem}.jsonl", folder / f"{stem}.csv"
    if table.name == timeline.NAME:
        lines = folder / f"{stem}.timesketch.jsonl"
        timeline.export_jsonl(lines, table, exhibit.target)
        timeline.export_csv(cells, table, exhibit.target)
        return [lines, cells]
    with lines.open("x", encoding="ascii") as file:
        for row in table:
            file.write(json.dumps({name: _plain(cell) for name, cell in row.items()}, ensure_ascii=True) + "\n")
    with cells.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([harmless(show(column.name)) for column in table.columns])
        writer.writerows([_said(cell) for cell in row] for row in table.rows)
    return [lines, cells]


def _plain(cell: Cell) -> JSON:
    return {"absent": cell.reason} if isinstance(cell, Absent) else cell


def _said(cell: Cell) -> str | int | float:
    if isinstance(cell, Absent):
        return f"({show(cell.reason)})"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return harmless(show(cell, limit=32_000)) if isinstance(cell, str) else cell
