"""What a report is made of: sections of paragraphs, facts, grids, figures and findings. No markup, no text made safe yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from forensics.model import Finding, Severity


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; `tone` is "", "note", "warning", "command" or "draft"."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a list of facts."""

    label: str
    value: str
    mono: bool = False


@dataclass(frozen=True, slots=True)
class FactList:
    """Labels and values."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class GridColumn:
    """A column of a grid: heading, width in percent (0: as it comes), "right" for figures, mono for digests and paths."""

    title: str
    width: int = 0
    align: str = "left"
    mono: bool = False


GridCell: TypeAlias = str | tuple[str, ...]
"""Text, or lines: the first as text, the others in the face of digests."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table on the page. `total` is how many rows there are; fewer may be shown, and then that is said."""

    title: str
    columns: tuple[GridColumn, ...]
    rows: tuple[tuple[GridCell, ...], ...]
    total: int
    source: str = ""  # where the whole table is: exhibit number and digest
    marked: frozenset[int] = frozenset()  # rows that a finding is about
    empty: str = "Nothing was found."


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture as SVG that we drew, with words for who cannot see it."""

    title: str
    alternative: str
    svg: bytes
    source: str = ""


@dataclass(frozen=True, slots=True)
class FindingList:
    """Findings, the gravest first."""

    findings: tuple[Finding, ...]


Block: TypeAlias = Words | FactList | Grid | Figure | FindingList


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter, or a part of one."""

    name: str  # an anchor: letters, digits, hyphens
    title: str
    blocks: tuple[Block, ...] = ()
    parts: tuple[Section, ...] = field(default=())
    flows: bool = False  # short: it may begin on the page where the one before ended


def severity_order(finding: Finding) -> tuple[int, str, str]:
    """Sort the gravest first, then by rule and title."""
    return (-list(Severity).index(finding.severity), finding.rule, finding.title)


def grid(
    title: str,
    columns: Sequence[GridColumn],
    rows: Sequence[Sequence[GridCell]],
    *,
    limit: int = 60,
    source: str = "",
    marked: frozenset[int] = frozenset(),
    empty: str = "Nothing was found.",
) -> Grid:
    """Make a grid of at most `limit` rows; a cell that would fill a page is cut, and the cut is said."""
    shown = tuple(tuple(_cut(cell) for cell in row) for row in rows[:limit])
    return Grid(title, tuple(columns), shown, len(rows), source, marked, empty)


def _cut(value: GridCell, limit: int = 360) -> GridCell:
    if isinstance(value, tuple):
        return tuple(line if len(line) <= limit else f"{line[:limit]}… [{len(line) - limit} more]" for line in value)
    return value if len(value) <= limit else f"{value[:limit]}… [{len(value) - limit} more]"
