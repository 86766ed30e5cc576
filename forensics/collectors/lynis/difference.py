"""Two audits beside each other: what is new, gone or changed, and the hardening index with the tests behind it.

Findings are the same by test and text, for one test may say several things. What is gone is mended only where the test
ran again: where it did not, that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from forensics.collectors.lynis.log import PERFORMED, LynisLog
from forensics.collectors.lynis.report import LynisReport
from forensics.tables import Absent, Cell, Column, Row, Table

NEW, GONE, CHANGED = "new", "gone", "changed"
_FINDINGS = (
    Column("change"),
    Column("kind"),
    Column("test"),
    Column("category"),
    Column("text"),
    Column("details"),
    Column("solution"),
    Column("before"),
    Column("note"),
)
_VALUES = tuple(map(Column, ("change", "test", "field", "description", "before", "after", "note")))
_POINTS = (
    Column("test"),
    Column("description"),
    Column("before", "integer"),
    Column("before_possible", "integer"),
    Column("after", "integer"),
    Column("after_possible", "integer"),
)
_RUNS = (Column("test"), Column("ran"))
_NOTHING, _SAME, _NOT_RUN = Absent("there was none"), Absent("nothing to add"), Absent("the test did not run")
_MUST_AGREE = {
    "lynis_version": "versions of Lynis",
    "test_group": "groups of tests",
    "os_fullname": "operating systems",
}
_Key = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """One run of Lynis: what it is called, its report, and its log where there is one."""

    label: str
    report: LynisReport
    log: LynisLog | None = None

    def ran(self, test: str) -> bool:
        """Tell whether a test ran. Lynis's words on itself are no test's, and a cut report has no list: then it did."""
        executed = self.report.listed("tests_executed")
        return test in executed or not executed or "-" not in test

    def rows(self, name: str) -> list[Row]:
        """Give the rows of one of the report's tables."""
        return [row for table in self.report.tables if table.name == name for row in table]


@dataclass(frozen=True, slots=True)
class Difference:
    """What two audits differ in, as tables; `reasons` tell why their indices must not be compared, none: they may."""

    findings: Table
    values: Table
    points: Table
    runs: Table
    reasons: tuple[str, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of it."""
        return (self.findings, self.values, self.points, self.runs)


def compare(before: Audit, after: Audit) -> Difference:
    """Compare an audit with a later one."""
    found = tuple(_findings(before, after))
    values = tuple(_values(before, after))
    points = tuple(_points(before, after))
    runs = tuple(_runs(before, after))
    return Difference(
        Table("lynis_difference", "Warnings and suggestions that are new, gone or changed", _FINDINGS, found),
        Table("lynis_value_difference", "Values that are new, gone or changed", _VALUES, values),
        Table("lynis_point_difference", "Tests that gave other points for the hardening index", _POINTS, points),
        Table("lynis_run_difference", "Tests that ran in one of the two only", _RUNS, runs),
        tuple(_reasons(before, after, len(runs))),
    )


def _findings(before: Audit, after: Audit) -> Iterator[tuple[Cell, ...]]:
    old, new = before.rows("lynis_findings"), after.rows("lynis_findings")
    for was, now in _paired(old, new, [_whole, _by_text, _by_test]):
        row = now or was
        if row is None or was == now:
            continue
        test = str(row["test"])
        change = NEW if was is None else GONE if now is None else CHANGED
        words = _told(was, now) if was and now else _NOTHING
        yield (
            change,
            *(row[name] for name in ("kind", "test", "category", "text", "details", "solution")),
            words,
            _note(change, test, before, after),
        )


def _note(change: str, test: str, before: Audit, after: Audit) -> Cell:
    if change == GONE and not after.ran(test):
        return "not mended for all that is known: the test did not run the second time"
    if change == NEW and not before.ran(test):
        return "perhaps not new: the test did not run the first time"
    return _SAME


def _told(was: Row, now: Row) -> str:
    """Say what a row was before, where it differs."""
    said = {name: was[name] for name in ("kind", "text", "details", "solution") if was[name] != now[name]}
    return "; ".join(f"{name}: {one.reason if isinstance(one, Absent) else one}" for name, one in said.items())


def _paired(
    old: list[Row], new: list[Row], keys: list[Callable[[Row], _Key]]
) -> Iterator[tuple[Row | None, Row | None]]:
    """Pair rows by the first key, what is left by the next; by the last only one with one. The rest stands alone."""
    pairs: list[tuple[Row | None, Row | None]] = []
    for place, key in enumerate(keys):
        last = place == len(keys) - 1
        waiting: dict[_Key, list[Row]] = {}
        for row in old:
            waiting.setdefault(key(row), []).append(row)
        alone = {name for name, rows in waiting.items() if len(rows) == 1}
        counts: dict[_Key, int] = {}
        for row in new:
            counts[key(row)] = counts.get(key(row), 0) + 1
        rest: list[Row] = []
        for row in new:
            name = key(row)
            if waiting.get(name) and (not last or (name in alone and counts[name] == 1)):
                pairs.append((waiting[name].pop(0), row))
            else:
                rest.append(row)
        old, new = [row for rows in waiting.values() for row in rows], rest
    yield from sorted(
        [*pairs, *((row, None) for row in old), *((None, row) for row in new)],
        key=lambda pair: str((pair[1] or pair[0] or {}).get("test")),
    )


def _whole(row: Row) -> _Key:
    return tuple(row.values())


def _by_text(row: Row) -> _Key:
    return row["test"], row["text"]


def _by_test(row: Row) -> _Key:
    return (row["test"],)


def _values(before: Audit, after: Audit) -> Iterator[tuple[Cell, ...]]:
    old, new = (_by_field(one.rows("lynis_details")) for one in (before, after))
    for key in sorted({**old, **new}, key=str):
        was, now = old.get(key), new.get(key)
        if (was and was["value"]) == (now and now["value"]):
            continue
        row = now or was or {}
        change = NEW if was is None else GONE if now is None else CHANGED
        note = _note(change, str(row["test"]), before, after)
        values = (one["value"] if one else Absent("it is as Lynis prefers, or was not looked at") for one in (was, now))
        yield change, row["test"], row["field"], row["description"], *values, note


def _by_field(rows: list[Row]) -> Mapping[_Key, Row]:
    return {(row["test"], row["service"], row["field"], row["description"]): row for row in rows}


def _points(before: Audit, after: Audit) -> Iterator[tuple[Cell, ...]]:
    if not (before.log and after.log):
        return
    old, new = ({str(row["test"]): row for row in one.table} for one in (before.log, after.log))
    for test in sorted({**old, **new}):
        given = [_given(one.get(test)) for one in (old, new)]
        if given[0] != given[1]:
            yield test, ({**old, **new})[test]["description"], *given[0], *given[1]


def _given(row: Row | None) -> tuple[Cell, Cell]:
    if row is None or row["state"] != PERFORMED:
        return _NOT_RUN, _NOT_RUN
    return row["points"], row["possible"]


def _runs(before: Audit, after: Audit) -> Iterator[tuple[Cell, ...]]:
    old, new = (one.report.listed("tests_executed") for one in (before, after))
    yield from ((test, "before") for test in sorted(old - new))
    yield from ((test, "after") for test in sorted(new - old))


def _reasons(before: Audit, after: Audit, runs: int) -> Iterator[str]:
    """Tell why points of one run are not those of the other: they are a share of what that very run could give."""
    for one, when in ((before, "first"), (after, "second")):
        if not one.report.finished:
            yield f"the {when} run did not finish"
    for name, words in _MUST_AGREE.items():
        first, second = (one.report.summary.get(name, "not told") for one in (before, after))
        if first != second:
            yield f"{words} differ ({first}, {second})"
    if runs:
        yield f"{runs} tests ran in one of the two only"
