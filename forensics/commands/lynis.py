"""`forensics lynis`: what a test is about, and what two audits differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from forensics import terminal
from forensics.collectors.lynis import controls, log
from forensics.collectors.lynis.database import KnownTest
from forensics.collectors.lynis.difference import Difference, compare
from forensics.collectors.lynis.report import category
from forensics.commands import audits
from forensics.commands.audits import Found
from forensics.commands.options import GAPS, HERE, AsJson, Root
from forensics.errors import UsageError
from forensics.model import JSON
from forensics.tables import Absent, Cell, Table

lynis = typer.Typer(no_args_is_help=True, help="Read audits by Lynis: of cases, and report files made anywhere.")
app = typer.Typer()
app.add_typer(lynis, name="lynis")

_WHERE = "A report file of Lynis, its folder, or CASE, CASE:TARGET, CASE:EXHIBIT; of several runs the last."
_SHOWN = ("test", "description", "before", "before_possible", "after", "after_possible")


@lynis.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help=_WHERE)],
    after: Annotated[str, typer.Argument(metavar="B", help="The same, of the later one.")],
    *,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Tell what is new, gone or changed from one audit to another, and which tests gave other points.

    Something that is gone where its test did not run again is said not to be mended for all that is known. Exits with
    3 when one of the two did not finish, or had lines that could not be read.
    """
    first, second = audits.find(root, before), audits.find(root, after)
    found = compare(first.audit, second.audit)
    if as_json:
        document: dict[str, JSON] = {"before": first.described(), "after": second.described()}
        document["comparable"] = not found.reasons
        document["not_comparable"] = list(found.reasons)
        for table in found.tables:
            document[table.name] = _rows(table)
        terminal.document(document)
    else:
        _print(first, second, found)
    raise typer.Exit(GAPS if first.short or second.short else 0)


@lynis.command()
def show(
    test: Annotated[str, typer.Argument(metavar="ID", help="A test, such as SSH-7408.")],
    source: Annotated[str, typer.Argument(metavar="[AUDIT]", help=_WHERE, show_default="none")] = "",
    *,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Tell what a test is about by Lynis's own database, and what an audit says of it: points, advice, its log.

    The database is that of the copy which audited the target, and without a case that of this machine's package lynis.
    """
    name = test.upper()
    found = audits.find(root, source) if source else None
    known = (found.tests if found else {}) or audits.known_tests()
    document = _described(name, known.get(name), found)
    told = found is not None and any(document[part] for part in ("run", "findings", "values"))
    if name not in known and not told:
        why = f"Lynis's database here has {len(known)} tests" if known else "there is no copy of Lynis here"
        remedy = "name a case that was audited, or install the package lynis on this machine"
        raise UsageError(f"no test is known as {name}", why=why, remedy=remedy)
    if as_json:
        terminal.document(document)
    else:
        _print_test(document)


def _print(first: Found, second: Found, found: Difference) -> None:
    for words, one in (("A", first), ("B", second)):
        terminal.line(f"{words}: {_headline(one)}")
    for reason in found.reasons:
        terminal.line(f"The two indices must not be compared: {reason}.")
    _print_changes(found.findings, ("kind", "test", "text"), ("details", "solution", "before", "note"))
    _print_changes(found.values, ("test", "field", "description"), ("before", "after", "note"))
    if first.audit.log and second.audit.log:
        rows = [tuple(_words(row[column]) for column in _SHOWN) for row in found.points]
        terminal.grid(found.points.title, _SHOWN, rows, empty=f"{found.points.title}: none.")
    else:
        terminal.line("Points of single tests stand in Lynis's log, which is not at hand for both.")
    for words, when in (("A", "before"), ("B", "after")):
        ran = [str(row["test"]) for row in found.runs if row["ran"] == when]
        terminal.line(f"Tests that ran in {words} only: {', '.join(ran) or 'none'}.")


def _print_changes(table: Table, head: Sequence[str], more: Sequence[str]) -> None:
    """Print a table as lines: the first has its change and its head, those below what else there is."""
    terminal.line(f"{table.title}: {len(table) or 'none'}")
    for row in table:
        terminal.line(f"  {row['change']:8}{'  '.join(_words(row[name]) for name in head)}")
        for name in more:
            if _words(row[name]):
                terminal.line(f"            {name}: {_words(row[name])}")


def _headline(one: Found) -> str:
    run = one.described()
    index = run["hardening_index"] or "none"
    points = "" if run["points"] is None else f" ({run['points']} of {run['possible_points']} points)"
    how = f"{run['tests']} tests, Lynis {run['version']}, {run['started']}"
    return f"{run['audit']}: index {index}{points}, {how}{'' if run['finished'] else '; it did NOT finish'}"


def _described(name: str, known: KnownTest | None, found: Found | None) -> dict[str, JSON]:
    document: dict[str, JSON] = {
        "test": name,
        "description": known.description if known else "",
        "type": known.type if known else "",
        "category": known.category if known else "",
        "group": known.group if known else "",
        "system": known.system if known else "",
        "about": category(name),
        "controls": list(controls.controls(name)),
        "controls_by": controls.LABEL,
    }
    if found is None:
        return document
    run = _of_test(found.audit.log.table, name) if found.audit.log else []
    told = {table.name: _of_test(table, name) for table in found.audit.report.tables[1:]}
    return document | {
        "audit": found.described(),
        "run": run[0] if run else {},
        "findings": told["lynis_findings"],
        "values": told["lynis_details"],
        "log": list(log.section(found.log, name)),
    }


def _print_test(document: Mapping[str, JSON]) -> None:
    terminal.line(f"{document['test']}: {document['description'] or 'not in the database of tests at hand'}")
    for name in ("about", "type", "category", "group", "system"):
        if document[name]:
            terminal.line(f"  {name}: {document[name]}")
    mapped = document["controls"]
    names = ", ".join(map(str, mapped)) if isinstance(mapped, list) else ""
    terminal.line(f"  {document['controls_by']}: {names or 'none'}")
    for part in ("run", "findings", "values", "log"):
        lines = document.get(part)
        if lines:
            terminal.line(f"{part}:")
        for one in lines if isinstance(lines, list) else [lines] if lines else []:
            terminal.line(f"  {_facts(one)}")


def _facts(one: JSON) -> str:
    return "; ".join(f"{name}: {_plain(value)}" for name, value in one.items()) if isinstance(one, dict) else str(one)


def _plain(value: JSON) -> str:
    return f"({value['absent']})" if isinstance(value, dict) else str(value)


def _rows(table: Table) -> list[JSON]:
    return [{name: _json(cell) for name, cell in row.items()} for row in table]


def _of_test(table: Table, name: str) -> list[JSON]:
    return [{column: _json(cell) for column, cell in row.items()} for row in table if row["test"] == name]


def _json(cell: Cell) -> JSON:
    return {"absent": cell.reason} if isinstance(cell, Absent) else cell


def _words(cell: Cell) -> str:
    return "" if isinstance(cell, Absent) else str(cell)
