"""The log of Lynis: which tests ran and which did not, why not, and the points that each gave to the hardening index.

The report has the index alone; only the log tells what it was made of (`AddHP` in Lynis's include/functions).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from forensics.collectors.lynis.report import category, whole_lines
from forensics.tables import Absent, Cell, Column, Table

COLUMNS = (
    Column("test"),
    Column("category"),
    Column("description"),
    Column("state"),
    Column("reason"),
    Column("points", "integer"),
    Column("possible", "integer"),
)
_TITLE = "Lynis: each test, and its points for the hardening index"
PERFORMED, SKIPPED = "performed", "not performed"
_LINE = re.compile(r"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\[\d\d:\d\d:\d\d\]) ?(.*)", re.DOTALL)
"""Lynis 2.x wrote the hour only."""
_TEST = re.compile(r"(Performing test ID|Skipped test) (\S{1,40}) \((.*)\)", re.DOTALL)
_POINTS = re.compile(
    r"Hardening: assigned (?:maximum|partial) number of hardening points (?:for this item )?"
    r"\((\d{1,6})(?: of (\d{1,6}))?\)\. Currently having \d{1,9} points \(out of \d{1,9}\)"
)
_REASON = "Reason to skip: "
_HEADS = ("Performing test ID", "Hardening: assigned")
_NO_REASON = Absent("it was performed")
_NONE = Absent("Lynis gives none")


@dataclass(slots=True)
class _Test:
    """One test, while the log is read; Lynis may name the same one several times."""

    description: str
    state: str
    reason: str = ""
    points: int = 0
    possible: int = 0


@dataclass(frozen=True, slots=True)
class LynisLog:
    """The table `lynis_tests`, and the lines that should have told of a test and could not be read."""

    table: Table
    unread: int

    @property
    def points(self) -> tuple[int, int]:
        """Points that were given, and that could have been: their share in percent is the hardening index."""
        rows = [(row["points"], row["possible"]) for row in self.table]
        return (
            sum(one for one, _ in rows if isinstance(one, int)),
            sum(one for _, one in rows if isinstance(one, int)),
        )


def read(raw: bytes) -> LynisLog:
    """Read a log, also one that was cut off; total. Points before the first test are Lynis's own."""
    tests: dict[str, _Test] = {}
    current, skipped, unread = "", "", 0
    for text in _lines(raw):
        if match := _TEST.fullmatch(text):
            state = PERFORMED if match[1] == _HEADS[0] else SKIPPED
            known = tests.get(match[2])
            if known is None or state == PERFORMED:
                tests[match[2]] = _merged(known, match[3], state)
            current, skipped = (match[2], "") if state == PERFORMED else (current, match[2])
        elif match := _POINTS.fullmatch(text):
            one = tests.setdefault(current or "LYNIS", _Test("Lynis itself", PERFORMED))
            one.points += int(match[1])
            one.possible += int(match[2] or match[1])
        elif text.startswith(_REASON) and skipped in tests:
            tests[skipped].reason = tests[skipped].reason or text.removeprefix(_REASON)
        elif text.startswith(_HEADS):
            unread += 1
    rows = tuple(_row(name, one) for name, one in tests.items())
    return LynisLog(Table("lynis_tests", _TITLE, COLUMNS, rows), unread)


def section(raw: bytes, test: str) -> list[str]:
    """Give what the log says while one test was at work, as `lynis show details` does."""
    found: list[str] = []
    inside = False
    for text in _lines(raw):
        match = _TEST.fullmatch(text)
        if match:
            inside = match[2] == test
        elif text.startswith("===="):
            inside = False
        if inside:
            found.append(text)
    return found


def _lines(raw: bytes) -> Iterator[str]:
    """Give what was logged, without the times; a line without one goes on from the one before."""
    for line in whole_lines(raw):
        match = _LINE.fullmatch(line)
        if match or line:
            yield match[1] if match else line


def _merged(known: _Test | None, description: str, state: str) -> _Test:
    return _Test(description, state) if known is None else _Test(description, state, "", known.points, known.possible)


def _row(name: str, one: _Test) -> tuple[Cell, ...]:
    reason = _NO_REASON if one.state == PERFORMED else one.reason or _NONE
    return name, category(name), one.description, one.state, reason, one.points, one.possible
