"""How much of a case a printed page has room for: what does not fit goes to CSV files, with count and digest.

WeasyPrint takes about 10 ms and 0.2 MiB for each row, and nobody reads the thousandth. So a report has rows for about
40 of its at most 60 pages, shared out like water over vessels: small tables are whole, large ones level with each other.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from forensics.hashing import hash_file
from forensics.rendering.blocks import Block, FindingList, Grid, GridCell, Section, Sheet
from forensics.text import harmless, show

ROWS = 1200
"""Rows of tables in a PDF, over all tables."""
PAGES = 60
_HEIGHT = 28_000.0
"""Points of height for those rows: 40 pages of 700."""
_LINE, _PADDING = 11.3, 6.3
"""Points that a line in a cell takes, and what stands above and below."""
_CHARACTERS = 112.0
"""Characters of a line in a column as wide as the page."""
_LEAST = 3
"""Rows that every table keeps, however little room there is."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the rows of a report may take; `share` is below 1 when a print came out longer than PAGES."""

    share: float = 1.0

    @property
    def rows(self) -> int:
        """How many rows in all."""
        return int(ROWS * self.share)

    @property
    def height(self) -> float:
        """How many points of height."""
        return _HEIGHT * self.share


def fit(sections: Sequence[Section], room: Room) -> tuple[Section, ...]:
    """Lower what each table shows until all of them have room; no table keeps more than its own limit."""
    heights = {id(one): _heights(one) for one in _grids(sections)}
    level = _level(list(heights.values()), room)
    return tuple(_changed(section, lambda one: _lowered(one, heights, level, room)) for section in sections)


def set_aside(sections: Sequence[Section], folder: Path) -> tuple[tuple[Section, ...], tuple[Path, ...]]:
    """Write every row of each table that shows fewer than it has to a new CSV file; give the pages that name them."""
    written: list[Path] = []

    def aside(block: Block) -> Block:
        if not isinstance(block, Grid | FindingList) or not _left(block):
            return block
        title = block.title if isinstance(block, Grid) else "findings"
        path = folder / f"rows-{len(written) + 1:02d}{_slug(title)}.csv"
        rows = _write(path, block)
        written.append(path)
        return replace(block, sheet=Sheet(path.name, hash_file(path).digest, rows))

    return tuple(_changed(section, aside) for section in sections), tuple(written)


def _left(block: Grid | FindingList) -> int:
    total = block.total if isinstance(block, Grid) else len(block.findings)
    return max(0, total - block.shown)


def _slug(title: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", title.lower())[:48].strip("-")
    return f"-{words}" if words else ""


def _write(path: Path, block: Grid | FindingList) -> int:
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if isinstance(block, Grid):
            writer.writerow([_safe(column.title) for column in block.columns])
            writer.writerows([_plain(cell) for cell in row] for row in block.rows)
            return block.total
        writer.writerow(("severity", "title", "statement", "exhibits", "rule", "technique", "repeat"))
        for told in block.findings:
            one = told.finding
            words = (one.title, one.statement, " ".join(one.exhibits), one.rule, one.technique, one.repeat)
            writer.writerow([str(one.severity), *map(_safe, words)])
        return len(block.findings)


def _plain(cell: GridCell) -> str:
    return _safe(cell if isinstance(cell, str) else " ".join(cell))


def _safe(text: str) -> str:
    return harmless(show(text))


def _changed(section: Section, change: Callable[[Block], Block]) -> Section:
    parts = tuple(_changed(part, change) for part in section.parts)
    return replace(section, blocks=tuple(change(one) for one in section.blocks), parts=parts)


def _grids(sections: Sequence[Section]) -> Iterator[Grid]:
    for section in sections:
        yield from (one for one in section.blocks if isinstance(one, Grid))
        yield from _grids(section.parts)


def _lowered(block: Block, heights: dict[int, list[float]], level: float, room: Room) -> Block:
    if isinstance(block, FindingList):
        return replace(block, shown=max(_LEAST, int(block.shown * room.share)))
    if not isinstance(block, Grid):
        return block
    return replace(block, shown=max(min(_LEAST, block.shown), _under(heights[id(block)], level)))


def _heights(block: Grid) -> list[float]:
    """Give the height of the first rows up to each, in points, for the rows that the grid's own limit allows."""
    free = sum(1 for column in block.columns if not column.width) or 1
    rest = max(10, 100 - sum(column.width for column in block.columns)) / free
    across = [max(4.0, _CHARACTERS * (column.width or rest) / 100) for column in block.columns]
    return list(accumulate(_row(row, across) for row in block.rows[: block.shown]))


def _row(row: Sequence[GridCell], across: Sequence[float]) -> float:
    lines = max((_lines(cell, wide) for cell, wide in zip(row, across, strict=False)), default=1)
    return lines * _LINE + _PADDING


def _lines(cell: GridCell, across: float) -> int:
    parts = (cell,) if isinstance(cell, str) else cell
    return sum(max(1, math.ceil(len(part) / across)) for part in parts)


def _under(sums: list[float], level: float) -> int:
    return sum(1 for one in sums if one <= level)


def _level(every: list[list[float]], room: Room) -> float:
    """Find the height that no table may exceed so that all of them together have room."""
    low, high = 0.0, max((sums[-1] for sums in every if sums), default=0.0)
    if _taken(every, high, room):
        return high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _taken(every, middle, room) else (low, middle)
    return low


def _taken(every: list[list[float]], level: float, room: Room) -> bool:
    counts = [_under(sums, level) for sums in every]
    height = sum(sums[count - 1] for sums, count in zip(every, counts, strict=True) if count)
    return sum(counts) <= room.rows and height <= room.height
