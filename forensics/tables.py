"""A table on disk: JSON Lines, the first line the head, then one array a row.

Head: {"table": name, "title": …, "columns": [{"name": …, "type": …}], "sources": ["E0005"]}.
A cell is a JSON scalar, or {"absent": reason}: *no value, and why* is never an empty string.
Types: "text", "integer", "hex" (an integer shown in base 16), "number", "seconds", "bytes" (a count),
"yes/no", "time" (RFC 3339 UTC), "data" (hex digits).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # all the nouns of a case take longer to come than to read a trace of 100,000 events
    from forensics.model import JSON


@dataclass(frozen=True, slots=True)
class Absent:
    """No value, and why."""

    reason: str


Cell: TypeAlias = str | int | float | bool | Absent
Row: TypeAlias = Mapping[str, Cell]

TYPES = frozenset({"text", "integer", "hex", "number", "seconds", "bytes", "yes/no", "time", "data"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, and how its values are to be shown."""

    name: str
    type: str = "text"

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            msg = f"column {self.name}: no such type: {self.type}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Table:
    """Typed columns and rows."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sources: tuple[str, ...] = field(default=())  # exhibit numbers

    def __iter__(self) -> Iterator[Row]:
        names = [column.name for column in self.columns]
        return (dict(zip(names, row, strict=True)) for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class TableWriter:
    """Writes a table row by row, so that what came before a break is kept."""

    def __init__(
        self, file: IO[str], name: str, title: str, columns: Sequence[Column], sources: Sequence[str] = ()
    ) -> None:
        self._file = file
        self.rows = 0
        listed: list[JSON] = [{"name": column.name, "type": column.type} for column in columns]
        self._line({"table": name, "title": title, "columns": listed, "sources": list(sources)})

    def row(self, cells: Iterable[Cell]) -> None:
        """Append one row, in the order of the columns."""
        self._line([{"absent": cell.reason} if isinstance(cell, Absent) else cell for cell in cells])
        self.rows += 1

    def _line(self, value: JSON) -> None:
        self._file.write(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def write(path: Path, table: Table) -> None:
    """Write a whole table to a new file."""
    with path.open("x", encoding="ascii") as file:
        writer = TableWriter(file, table.name, table.title, table.columns, table.sources)
        for row in table.rows:
            writer.row(row)


def read(path: Path) -> Table:
    """Read what `write` or a TableWriter wrote; ValueError when it is not that."""
    with path.open(encoding="ascii") as file:
        head = json.loads(next(file, "null"))
        if not isinstance(head, dict) or "columns" not in head:
            msg = f"not a table: {path}"
            raise ValueError(msg)
        columns = tuple(Column(one["name"], one["type"]) for one in head["columns"])
        rows = tuple(tuple(_cell(cell) for cell in json.loads(line)) for line in file)
    return Table(head["table"], head["title"], columns, rows, tuple(head["sources"]))


def _cell(value: JSON) -> Cell:
    if isinstance(value, dict):
        return Absent(str(value["absent"]))
    if value is None or isinstance(value, list):
        msg = f"not a cell: {value!r}"
        raise ValueError(msg)
    return value
