"""What the report is made from: the case as of one ledger entry, read once, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from forensics.model import JSON, Digest, Exhibit, Finding, Result
from forensics.tables import Table

Document: TypeAlias = Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing that is an exhibit."""

    exhibit: Exhibit
    svg: bytes


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """What is on record of one target in its last attempt; earlier ones are among the case's exhibits and events."""

    label: str
    exhibits: tuple[Exhibit, ...]
    results: Mapping[str, tuple[Result, ...]]  # by stage
    facts: Document = field(default_factory=dict)
    proof: Document = field(default_factory=dict)
    acquisition: Document = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)  # by name without .svg
    table_exhibits: Mapping[str, Exhibit] = field(default_factory=dict)

    def one(self, kind: str) -> Exhibit | None:
        """Give the last exhibit of this kind."""
        return next((exhibit for exhibit in reversed(self.exhibits) if exhibit.kind == kind), None)

    def source(self, table: str) -> str:
        """Say where a whole table is."""
        exhibit = self.table_exhibits.get(table)
        return f"Whole table: {exhibit.number}, {exhibit.digest}." if exhibit else ""

    def outcome(self, stage: str, item: str) -> str:
        """Say how an item ended, when that is not simply done; "" when it is, or when there is no such item."""
        for result in reversed(self.results.get(stage, ())):
            if result.item == item and (result.outcome != "done" or result.reason):
                return f"{item}: {result.outcome}" + (f", {result.reason}" if result.reason else "")
        return ""


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """The case as of one ledger entry."""

    case: Document  # number, title, examiner, authority … of the first event
    events: tuple[Document, ...]
    exhibits: tuple[Exhibit, ...]
    targets: tuple[TargetRecord, ...]
    version: str  # of this program

    @property
    def as_of(self) -> int:
        """Sequence number of the last entry that the report knows of."""
        return int(str(self.events[-1]["sequence"]))

    @property
    def head(self) -> Digest:
        """Digest that the last entry carries of itself."""
        return Digest.parse(str(self.events[-1]["digest"]))

    @property
    def stamp(self) -> str:
        """Time of the last entry: every date in the report that is not a fact's own."""
        return str(self.events[-1]["time"])


def text(document: Document, *path: str, default: str = "") -> str:
    """Give a value from nested objects as text."""
    value: JSON | Mapping[str, JSON] = dict(document)
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None or isinstance(value, dict | list):
        return default
    return str(value)


def documents(value: JSON) -> list[dict[str, JSON]]:
    """Give the objects in a list; anything else in it is left out."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def texts(value: JSON) -> list[str]:
    """Give the words in a list."""
    return [str(one) for one in value] if isinstance(value, list) else []


def number(value: JSON, default: float = 0.0) -> float:
    """Give a number, or the default for anything that is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
