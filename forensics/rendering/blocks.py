"""What a report is made of: sections of paragraphs, facts, grids, figures and findings. No markup, no text made safe yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from forensics.model import Digest, Finding, Severity


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
class Sheet:
    """A CSV file that holds every row of a grid of which a printed page leaves rows out; it travels inside the PDF."""

    name: str
    digest: Digest
    rows: int


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. A printed page shows its first `shown` rows, and says how many there are and where; the screen has all."""

    title: str
    columns: tuple[GridColumn, ...]
    rows: Sequence[tuple[GridCell, ...]]
    shown: int
    source: str = ""  # where the whole table is: exhibit number and digest
    marked: frozenset[int] = frozenset()  # rows that a finding is about
    empty: str = "Nothing was found."
    sheet: Sheet | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """How each column's cells are set, as style.css names it; "" for plain text."""
        sides = {"left": "", "right": "right"}
        return tuple(" ".join(filter(None, (sides[one.align], "mono" * one.mono))) for one in self.columns)

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture as SVG that we drew, with words for who cannot see it."""

    title: str
    alternative: str
    svg: bytes
    source: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A finding whose words have room on a page, and the exhibits that it rests on with their digests."""

    finding: Finding
    exhibits: tuple[tuple[str, str], ...]  # number, digest


@dataclass(frozen=True, slots=True)
class FindingList:
    """Findings, the gravest first; a printed page shows the first `shown` of them, the screen has all."""

    findings: tuple[Told, ...]
    shown: int = 40
    sheet: Sheet | None = None


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


WIDEST = 16
"""Columns that a page has room for; more are left out, and that is said."""
LONGEST = 360
"""Characters of a cell that a page has room for."""


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
    """Make a grid of which a printed page shows `limit` rows at most.

    A cell that would fill a page is cut, and so are columns for which there is no room; both cuts are said.
    """
    if len(columns) > WIDEST:
        source = f"{source} The first {WIDEST} of {len(columns)} columns are shown.".strip()
    shown = tuple(tuple(_cut(cell) for cell in row[:WIDEST]) for row in rows)
    return Grid(title, tuple(columns[:WIDEST]), shown, limit, source, marked, empty)


def told(finding: Finding, digests: Mapping[str, str]) -> Told:
    """Put the digests of its exhibits beside a finding; words that would fill a page are cut, and the cut is said."""
    title, statement = _shortened(finding.title, 200), _shortened(finding.statement, 1000)
    cut = replace(finding, title=title, statement=statement, repeat=_shortened(finding.repeat, 600))
    return Told(cut, tuple((one, digests.get(one, "")) for one in finding.exhibits[:12]))


def _cut(value: GridCell) -> GridCell:
    if isinstance(value, tuple):
        return tuple(_shortened(line) for line in value)
    return _shortened(value)


def _shortened(line: str, room: int = LONGEST) -> str:
    return line if len(line) <= room else f"{line[:room]}… [{len(line) - room} more]"
