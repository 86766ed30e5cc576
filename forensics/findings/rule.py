"""What a rule is: a small function from tables to findings.

    @rule("oom-kill", needs=("oom_kills",))
    def oom_kills(evidence: Evidence, context: Context) -> Iterator[Finding]:
        '''Name each process that the kernel killed for want of memory.'''

A target's values go into a finding as they are, no longer than they are useful; whoever shows them makes them safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from forensics.model import Facts, Finding, Verdict
from forensics.tables import Absent, Cell, Row, Table

LONGEST = 300
"""Characters of one value in a finding's sentences; the exhibit has the whole."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may know beside the tables."""

    facts: Facts | None = None
    verdict: Verdict = Verdict.UNKNOWN  # of the memory image
    instruments: frozenset[str] = frozenset(
        {"lime"}
    )  # names of modules, and paths of files and folders, that we brought
    exhibits: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # by table name, beside the tables' own sources
    facts_exhibit: str = ""  # number of facts.json


@dataclass(frozen=True, slots=True)
class Evidence:
    """The tables at hand; a table that is missing has no rows."""

    tables: Mapping[str, Table]
    context: Context

    def rows(self, name: str) -> Iterator[Row]:
        """Give the rows of a table by column name."""
        table = self.tables.get(name)
        return iter(table) if table is not None else iter(())

    def has(self, name: str) -> bool:
        """Tell whether the table is there, be it empty."""
        return name in self.tables

    def exhibits(self, *names: str) -> tuple[str, ...]:
        """Give the numbers of the exhibits behind these tables, each once."""
        found: dict[str, None] = {}
        for name in names:
            table = self.tables.get(name)
            numbers = (*(table.sources if table else ()), *self.context.exhibits.get(name, ()))
            found.update(dict.fromkeys(numbers))
        return tuple(found)


Work: TypeAlias = Callable[[Evidence, Context], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its name, and the tables without which it cannot say anything (one of each group is enough)."""

    name: str
    needs: tuple[str, ...]  # "a|b": either
    work: Work

    def missing(self, tables: Mapping[str, Table]) -> tuple[str, ...]:
        """Name the tables that it would need and that are not there."""
        return tuple(need for need in self.needs if not any(name in tables for name in need.split("|")))


def rule(name: str, *, needs: tuple[str, ...] = ()) -> Callable[[Work], Rule]:
    """Make a rule of a function."""
    return lambda work: Rule(name, needs, work)


def text_of(cell: Cell | None, limit: int = LONGEST) -> str:
    """Give a cell as text, "" when it is absent; cut visibly at `limit`."""
    if cell is None or isinstance(cell, Absent):
        return ""
    words = str(cell)
    return words if len(words) <= limit else f"{words[:limit]}… [{len(words) - limit} more]"


def number_of(cell: Cell | None) -> int | None:
    """Give a cell as a whole number, None when it is none."""
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    return int(cell)


def is_true(cell: Cell | None) -> bool:
    """Tell whether a yes/no cell says yes."""
    return cell is True


def listed(words: list[str], most: int = 12) -> str:
    """Join words with commas, the first ones only when there are many."""
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def size_of(count: int) -> str:
    """Write a count of bytes for a reader, with the exact number."""
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= bytes_:
            return f"{count / bytes_:.1f} {unit} ({count} bytes)"
    return f"{count} bytes"


def plugin(name: str, image: str = "the memory image", *, ours: bool = False) -> str:
    """Give the words that repeat a plugin's result; one of ours needs the folder that it comes in."""
    folder = " -p forensics/volatility/ours" if ours else ""
    return f"vol{folder} -f {image} {name}"
