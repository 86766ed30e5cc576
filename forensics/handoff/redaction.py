r"""Rules by which a redacted variant is made, and the log of what they did.

A file of rules (YAML):

    patterns:                         # in every text of tables, report and names of columns
      - {name: mail addresses, match: '[\w.]+@example\.org'}      # a regular expression of Python
      - {name: the customer, text: Example Ltd, replace: '[customer]'}
    fields:                           # whole cells
      - {name: commands, table: linux.bash.Bash, column: Command}   # without a table: of every table
    exhibits: [D0007]                 # tables that stay out

What a rule found is counted, never repeated: the log holds the rule, the place, the count, and digests of whole files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from forensics.errors import UsageError
from forensics.model import Digest
from forensics.tables import Absent, Cell, Table

T = TypeVar("T")
_TELLING = 4


class Pattern(BaseModel):
    """Text that is replaced wherever it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    match: str = ""  # a regular expression, or
    text: str = ""  # these very words
    replace: str = ""  # default: [redacted: NAME]

    @property
    def words(self) -> str:
        """The regular expression that it is."""
        return self.match or re.escape(self.text)

    @property
    def instead(self) -> str:
        """What stands there afterwards."""
        return self.replace or f"[redacted: {self.name}]"

    @model_validator(mode="after")
    def _works(self) -> Pattern:
        if bool(self.match) == bool(self.text) or not self.name:
            raise ValueError("a pattern has a name, and either match or text")
        try:
            found = re.compile(self.words)
        except re.error as error:
            raise ValueError(f"{self.name} is no regular expression: {error}") from error
        if any(found.search(one) for one in ("", self.instead, self.name)):
            raise ValueError(f"{self.name} finds nothing at all, its own name, or what stands instead")
        return self


class Field(BaseModel):
    """A column whose cells are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    column: str
    table: str = ""  # "": of every table


class Rules(BaseModel):
    """All of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    patterns: tuple[Pattern, ...] = ()
    fields: tuple[Field, ...] = ()
    exhibits: tuple[str, ...] = ()


@dataclass
class Redactor:
    """Rules at work, and how often each was at which place."""

    rules: Rules
    place: str = ""  # where the next text stands: a file of the variant
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by rule and place
    hidden: set[str] = field(default_factory=set)  # cells that a rule left out, to be looked for elsewhere
    _compiled: list[tuple[str, re.Pattern[str], str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for one in self.rules.patterns:
            self._compiled.append((one.name, re.compile(one.words), one.instead))

    def text(self, words: str) -> str:
        """Give a text with every pattern replaced, and count each place."""
        for name, pattern, instead in self._compiled:
            words, count = pattern.subn(lambda _found, instead=instead: instead, words)  # type: ignore[misc]
            if count:
                self.counts[name, self.place] += count
        return words

    def table(self, table: Table) -> Table:
        """Give a table with cells left out and texts replaced, its title and columns too."""
        hidden = {
            at: one.name
            for one in self.rules.fields
            for at, column in enumerate(table.columns)
            if column.name == one.column and one.table in {"", table.name}
        }
        rows = tuple(tuple(self._cell(cell, hidden.get(at, "")) for at, cell in enumerate(row)) for row in table.rows)
        columns = tuple(replace(one, name=self.text(one.name)) for one in table.columns)
        return Table(table.name, self.text(table.title), columns, rows, table.sources)

    def _cell(self, cell: Cell, hidden: str) -> Cell:
        if hidden and not isinstance(cell, Absent):
            self.counts[hidden, self.place] += 1
            self.hidden.add(str(cell))
            return Absent(f"redacted: {hidden}")
        if isinstance(cell, Absent):
            return Absent(self.text(cell.reason))
        shown = self.text(str(cell))
        return cell if shown == str(cell) else shown

    def everything(self, value: T) -> T:
        """Give a value of plain data with every text in it replaced; digests, bytes and the names in mappings stay."""
        return self._plain(value)  # type: ignore[no-any-return]

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Table):
            return self.table(value)
        if type(value) is str:
            return self.text(value)
        if isinstance(value, Digest | bytes) or value is None:
            return value
        if isinstance(value, Path):
            return Path(self.text(str(value)))
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{one.name: self._plain(getattr(value, one.name)) for one in fields(value)})
        if isinstance(value, Mapping):
            return {name: self._plain(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._plain(one) for one in value)
        return value

    def left(self, content: str) -> list[str]:
        """Name the patterns that still find something: nothing of what is handed over may have any."""
        return [name for name, pattern, _ in self._compiled if pattern.search(content)]

    def elsewhere(self, content: str) -> int:
        """Count the left-out cells, of four characters at least, whose words stand in this text all the same."""
        return sum(len(one) >= _TELLING and one in content for one in self.hidden)


def load(path: Path) -> Rules:
    """Read a file of rules; UsageError says what is off in it."""
    try:
        rules = Rules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise UsageError("the rules cannot be read", where=str(path), why=str(error.strerror)) from error
    except (ValueError, ValidationError, yaml.YAMLError) as error:
        raise UsageError("the rules cannot be used", where=str(path), why=str(error)) from error
    if not (rules.patterns or rules.fields or rules.exhibits):
        raise UsageError("there is no rule", where=str(path), remedy="patterns, fields or exhibits")
    return rules
