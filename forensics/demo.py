"""A whole case on the practice target, and a look whether its report names what was planted.

The demo fails when a planted fact is not in the report, when the block trace saw fewer than 1,000 events, or when Lynis
finished fewer than 60 tests: what it shows is then not what the program promises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from forensics.errors import StageFailed
from forensics.model import JSON
from forensics.tables import Table
from forensics.text import show

EVENTS = 1_000
TESTS = 60
NAMED: Mapping[str, tuple[str, ...]] = {
    "deleted-executable": ("process", "path", "marker"),
    "forged-name": ("process", "path"),
    "listening-socket": ("process", "port"),
    "shell-history": ("commands",),
    "io-burst": ("process", "file"),
    "oom-kill": ("victim",),
    "hidden-process": ("process", "path"),
    "hidden-module": ("module",),
}
"""Values of each planted fact that a report has to name."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A planted value that the report does not name."""

    fact: str
    value: str


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._mute = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._mute = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._mute:
            self.words.append(data)


def words_of(page: str) -> str:
    """Give the text of an HTML page."""
    reader = _Words()
    reader.feed(page)
    return " ".join(reader.words)


def missing(truth: bytes, words: str) -> list[Missing]:
    """Compare a report's words with a lab's truth; spaces do not count, for a page breaks long words."""
    squeezed = re.sub(r"\s+", "", words)
    return [Missing(fact, value) for fact, value in _planted(truth) if re.sub(r"\s+", "", show(value)) not in squeezed]


def _planted(truth: bytes) -> Iterator[tuple[str, str]]:
    for one in json.loads(truth):
        for name in NAMED.get(one["fact"], ()):
            value: JSON = one[name]
            yield from ((one["fact"], str(part)) for part in (value if isinstance(value, list) else [value]))


def next_number(root: Path, prefix: str = "DEMO") -> str:
    """Give the first number of the form PREFIX-0001 that is neither a case nor a report."""
    taken = {path.stem for folder in ("cases", "reports") for path in (root / folder).glob(f"{prefix}-*")}
    return next(number for count in range(1, 10_000) if (number := f"{prefix}-{count:04d}") not in taken)


def check(truth: bytes, words: str, tables: Mapping[str, Table]) -> None:
    """Raise StageFailed, naming all that is short, unless the demo shows what it promises."""
    planted = {one["fact"] for one in json.loads(truth)}
    reasons = {one["rule"]: f" ({one['why']})" for one in json.loads(truth) if one["fact"] == "not-planted"}
    unplanted = [fact for fact in NAMED if fact not in planted]
    short = [f"{fact}: it was not planted{reasons.get(fact, '')}, and so cannot be shown" for fact in unplanted]
    short += [f"{one.fact}: {one.value} is not in the report" for one in missing(truth, words)]
    events = _figure(tables.get("block_io_totals"), "events")
    if events < EVENTS:
        short.append(f"the block trace saw {events} events, at least {EVENTS} were to be seen")
    tests = _figure(tables.get("lynis_summary"), "lynis_tests_done")
    if tests < TESTS:
        short.append(f"Lynis finished {tests} tests, at least {TESTS} were to be finished")
    if short:
        raise StageFailed("the demo does not show what it has to", where="demo", why="\n".join(short))


def _figure(table: Table | None, name: str) -> int:
    for row in table or ():
        if row.get("name") == name:
            found = re.match(r"\d+", str(row.get("value")))
            return int(found[0]) if found else 0
    return 0
