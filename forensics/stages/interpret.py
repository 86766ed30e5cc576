"""Interpret: collected output and plugin rows read into tables, pictures and findings, off the target."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from forensics import attack, findings, tables, views
from forensics.collectors import Output, Reading, collectors
from forensics.model import (
    JSON,
    Analysis,
    Draft,
    Exhibit,
    Facts,
    Interpretation,
    LiveEvidence,
    Outcome,
    Proof,
    Result,
    Role,
)
from forensics.stage import Desk, Entered, stage
from forensics.tables import Table
from forensics.timeline import timeline
from forensics.views import pressure

FINDINGS, VIEWS, TIMELINE = "findings", "views", "timeline"


@dataclass(frozen=True, slots=True)
class InterpretSettings:
    """What is made beside the tables."""

    pictures: bool = True


def interpretation(entered: Entered) -> Interpretation:
    """Give the tables, pictures and findings, each item with its outcome."""
    return Interpretation(entered.exhibits, entered.results)


@stage(gives=interpretation)
def interpret(  # noqa: PLR0917 - a stage names all that it needs
    desk: Desk, facts: Facts, live: LiveEvidence, analysis: Analysis, proof: Proof, settings: InterpretSettings
) -> Iterator[Draft | Result]:
    """Read what was collected and analysed into tables, pictures and findings.

    Nothing here meets the target: the same exhibits give the same tables, today and in court.
    """
    found = _tables(desk, (*proof.exhibits, *analysis.exhibits, *desk.earlier))
    for name, exhibits in _collected(live).items():
        if name not in desk.results:
            reading = collectors()[name].read(_output(desk, exhibits))
            found |= {table.name: replace(table, sources=_numbers(exhibits)) for table in reading.tables}
            yield from _interpret_one(desk, name, exhibits, reading, settings)
    every = (*facts.exhibits, *live.exhibits, *proof.exhibits, *analysis.exhibits)
    known = {exhibit.number: exhibit for exhibit in every}
    if VIEWS not in desk.results:
        yield from _views(desk, facts, found, known)
    if TIMELINE not in desk.results:
        yield from _timeline(desk, facts, found, known)
    if FINDINGS not in desk.results:
        yield from _findings(desk, facts, found, proof)


def _collected(live: LiveEvidence) -> Mapping[str, list[Exhibit]]:
    """Group what collectors brought by collector, in the order in which it came."""
    known = collectors()
    grouped: dict[str, list[Exhibit]] = {}
    for exhibit in live.exhibits:
        if exhibit.kind == "live-output" and exhibit.item in known:
            grouped.setdefault(exhibit.item, []).append(exhibit)
    return grouped


def _interpret_one(
    desk: Desk, name: str, exhibits: list[Exhibit], reading: Reading, settings: InterpretSettings
) -> Iterator[Draft | Result]:
    for table in reading.tables:
        yield _table(desk, name, replace(table, sources=_numbers(exhibits)), exhibits, reading)
    for file, svg in reading.pictures.items() if settings.pictures else ():
        path = desk.work / file
        path.write_bytes(svg)
        title = f"{collectors()[name].title}: {file.removesuffix('.svg').removeprefix('block-io-')}"
        yield Draft(path, Role.DERIVED, "picture", title, name=file, item=name, sources=tuple(exhibits))
    yield _result(name, reading)


def _output(desk: Desk, exhibits: list[Exhibit]) -> Output:
    """Give the bytes by part; of a collector that was asked again, the last."""
    parts = {str(one.facts.get("part", "")): one for one in exhibits}
    contents = {name: desk.path(one).read_bytes() for name, one in parts.items()}
    return Output(contents, {name: one.facts for name, one in parts.items()})


def _table(desk: Desk, item: str, table: Table, sources: Iterable[Exhibit], reading: Reading) -> Draft:
    path = desk.work / f"{table.name}.jsonl"
    tables.write(path, table)
    facts: dict[str, JSON] = {"table": table.name, "rows": len(table), "unread": dict(reading.unread)}
    return Draft(
        path, Role.DERIVED, "table", table.title, name=path.name, item=item, sources=tuple(sources), facts=facts
    )


def _result(name: str, reading: Reading) -> Result:
    unread = {part: count for part, count in reading.unread.items() if count}
    rows = sum(len(table) for table in reading.tables)
    facts: dict[str, JSON] = {"rows": rows, "unread": dict(unread)}
    if unread:
        unit = "bytes" if name == "block_io" else "lines or records"
        lost = ", ".join(f"{count} {unit} of {part}" for part, count in unread.items())
        return Result(name, Outcome.PARTIAL if rows else Outcome.FAILED, f"could not be read: {lost}", facts)
    if not rows:
        return Result(name, Outcome.EMPTY, "the collector brought nothing that makes a row", facts)
    return Result(name, Outcome.DONE, "", facts)


def _tables(desk: Desk, exhibits: Iterable[Exhibit]) -> dict[str, Table]:
    """Read every table that is on record already: the proof's, the plugins', and those of an interrupted attempt."""
    found: dict[str, Table] = {}
    for exhibit in exhibits:
        if exhibit.kind in {"plugin-result", "memory-processes", "table"}:
            table = tables.read(desk.path(exhibit))
            found[table.name] = table if exhibit.kind == "table" else replace(table, sources=(exhibit.number,))
    return found


def _views(desk: Desk, facts: Facts, found: dict[str, Table], every: Mapping[str, Exhibit]) -> Iterator[Draft | Result]:
    """Lay beside each other what memory and the target tell of one thing; the findings rest on these tables."""
    made = list(views.make(found, facts, _number_of(facts)))
    for table in made:
        found[table.name] = table
        yield _combined(desk, VIEWS, table, every)
    rows: dict[str, JSON] = {table.name: len(table) for table in made}
    if made:
        yield Result(VIEWS, Outcome.DONE, "", {"rows": rows})
    else:
        yield Result(VIEWS, Outcome.ABSENT, "memory was not analysed: there is nothing to lay beside the live lists")


def _timeline(
    desk: Desk, facts: Facts, found: Mapping[str, Table], every: Mapping[str, Exhibit]
) -> Iterator[Draft | Result]:
    """Put all that has a time into one table, by the examiner's clock; kills beside memory and disks into another."""
    made = [table for table in (timeline(found, facts), pressure.view(found, facts)) if table is not None]
    for table in made:
        yield _combined(desk, TIMELINE, table, every)
    if made:
        yield Result(TIMELINE, Outcome.DONE, "", {"rows": sum(map(len, made))})
    else:
        yield Result(TIMELINE, Outcome.EMPTY, "nothing that was collected or analysed tells a time")


def _combined(desk: Desk, item: str, table: Table, every: Mapping[str, Exhibit]) -> Draft:
    """Write a table that was made of several others."""
    path = desk.work / f"{table.name}.jsonl"
    tables.write(path, table)
    sources = tuple(every[number] for number in table.sources if number in every)
    noted: dict[str, JSON] = {"table": table.name, "rows": len(table), "unread": {}}
    return Draft(path, Role.DERIVED, "table", table.title, name=path.name, item=item, sources=sources, facts=noted)


def _number_of(facts: Facts) -> str:
    return next((exhibit.number for exhibit in facts.exhibits if exhibit.kind == "facts"), "")


def _findings(desk: Desk, facts: Facts, found: Mapping[str, Table], proof: Proof) -> Iterator[Draft | Result]:
    context = findings.Context(facts=facts, verdict=proof.verdict, facts_exhibit=_number_of(facts))
    made = findings.find(found, context)
    not_run = findings.not_run(found)
    path = desk.work / "findings.json"
    _write(path, [asdict(one) | {"technique_name": attack.NAMES.get(one.technique, "")} for one in made])
    counts: dict[str, JSON] = {"findings": len(made), "rules": len(findings.rules()), "not_run": dict(not_run)}
    yield Draft(path, Role.DERIVED, "findings", "Findings", name=path.name, item=FINDINGS, facts=counts)
    reason = "; ".join(f"{rule}: {why}" for rule, why in not_run.items())
    if reason:
        yield Result(FINDINGS, Outcome.PARTIAL, f"rules that could not be applied: {reason}", counts)
    else:
        yield Result(FINDINGS, Outcome.DONE if made else Outcome.EMPTY, "" if made else "no rule found a thing", counts)


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=True, indent=1) + "\n", encoding="ascii")


def _numbers(exhibits: Iterable[Exhibit]) -> tuple[str, ...]:
    return tuple(exhibit.number for exhibit in exhibits)
