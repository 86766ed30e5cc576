"""Several captures side by side: the same figures of each in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forensics.blockio.latency import MEASURES, Requests
from forensics.blockio.trace import Trace
from forensics.tables import Absent, Cell, Column, Row, Table
from forensics.text import show

COMPARISON = "block_io_comparison"
_TOTALS = (
    "events", "span", "dropped", "unread", "reads completed", "reads completed, size", "read throughput",
    "writes completed", "writes completed, size", "write throughput", "merges",
)  # fmt: skip
_DISK = ("queued_per_issued", "read_depth", "write_depth", "sequential", "seeks", "seek_average")
_SPREAD = ("count", "average", "median", "p95", "p99", "maximum")


@dataclass(frozen=True, slots=True)
class Compared:
    """One capture with what was made of it."""

    label: str
    trace: Trace
    requests: Requests
    tables: tuple[Table, ...]

    def rows(self, name: str) -> list[Row]:
        """Give the rows of one of its tables."""
        return [row for table in self.tables if table.name == name for row in table]


def compare(captures: Sequence[Compared]) -> Table:
    """Put totals, latencies and what the disks had to do side by side; times in milliseconds."""
    columns = (Column("what"), Column("unit"), *(Column(label, "number") for label in names(captures)))
    return Table(COMPARISON, "Block I/O: captures side by side", columns, tuple(_rows(captures)))


def names(captures: Sequence[Compared]) -> list[str]:
    """Name each capture once: those of one name by their place too."""
    labels = [show(capture.label, 40) for capture in captures]
    return [label if labels.count(label) == 1 else f"{label} #{at}" for at, label in enumerate(labels, 1)]


def _rows(captures: Sequence[Compared]) -> Iterator[tuple[Cell, ...]]:
    totals = [{str(row["name"]): row for row in one.rows("block_io_totals")} for one in captures]
    for name in _TOTALS:
        found = [one.get(name) for one in totals]
        unit = next((str(row["unit"]) for row in found if row), "")
        yield name, unit, *(row["value"] if row else Absent("the trace does not tell it") for row in found)
    yield from _latencies(captures)
    disks = [one.rows("block_io_devices") for one in captures]
    for column in _DISK if all(len(one) == 1 for one in disks) else ():
        unit = "sectors" if column == "seek_average" else ""
        yield column.replace("_", " "), unit, *(one[0][column] for one in disks)


def _latencies(captures: Sequence[Compared]) -> Iterator[tuple[Cell, ...]]:
    rows = [[row for row in one.rows("block_io_latency") if row["scope"] == "all"] for one in captures]
    spreads = [{str(row["measure"]): row for row in one} for one in rows]
    for measure in ("Q2Q", *MEASURES):
        for column in _SPREAD if any(measure in one for one in spreads) else ():
            cells = [one[measure][column] if measure in one else Absent("there is none") for one in spreads]
            if column == "count":
                yield f"{measure} {column}", "requests", *cells
            else:
                yield f"{measure} {column}", "ms", *map(_milli, cells)


def _milli(cell: Cell) -> Cell:
    return round(float(cell) * 1e3, 9) if isinstance(cell, int | float) else cell
