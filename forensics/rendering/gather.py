"""Reads the case as of its last ledger entry into a `CaseRecord`: what the report is made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from forensics import __version__
from forensics.errors import IntegrityError
from forensics.model import JSON, Exhibit, Finding, Outcome, Result, Severity
from forensics.rendering.record import CaseRecord, Document, Picture, TargetRecord, documents, text, texts
from forensics.tables import Table, read

TABLE_KINDS = {"table", "plugin-result", "memory-processes"}


def gather(folder: Path, case: Mapping[str, JSON], exhibits: Sequence[Exhibit], ledger: bytes) -> CaseRecord:
    """Read what is on record: `ledger` is the bytes of the ledger up to the entry as of which the report is made."""
    events = tuple(json.loads(line) for line in ledger.splitlines())
    last = int(str(events[-1]["sequence"]))
    known = tuple(one for one in exhibits if one.sequence <= last)
    labels = dict.fromkeys(one.target for one in known if one.target)
    labels |= dict.fromkeys(text(event, "target") for event in events if text(event, "target"))
    targets = tuple(_target(folder, label, known, events) for label in labels)
    return CaseRecord(case, events, known, targets, __version__)


def _target(folder: Path, label: str, exhibits: Sequence[Exhibit], events: Sequence[Document]) -> TargetRecord:
    since = _since(events, label)
    own = [one for one in exhibits if one.target == label and one.sequence >= since(one.stage)]
    tables = {one.name: (one, exhibit) for exhibit in own if (one := _table(folder, exhibit)) is not None}
    findings = next((one for one in reversed(own) if one.kind == "findings"), None)
    return TargetRecord(
        label,
        tuple(own),
        _results(events, label, since),
        _document(folder, own, "facts"),
        _document(folder, own, "proof"),
        _document(folder, own, "acquisition-record"),
        tuple(_finding(one) for one in _findings(folder, findings)),
        {name: table for name, (table, _) in tables.items()},
        {
            one.path.name.partition(f"{label}-")[2].removesuffix(".svg"): Picture(one, (folder / one.path).read_bytes())
            for one in own
            if one.kind == "picture"
        },
        {name: exhibit for name, (_, exhibit) in tables.items()},
    )


def _since(events: Sequence[Document], label: str) -> Callable[[str], int]:
    """Tell from which entry on a stage's exhibits and items are reported.

    That is its last start that was no resumption; of a stage that has not begun since another attempt was opened,
    nothing is: one attempt's image is never shown beside another's live evidence.
    """
    opened = 0
    began: dict[str, int] = {}
    for event in events:
        if text(event, "target") != label:
            continue
        if event["action"] == "attempt opened":
            opened = int(text(event, "sequence"))
            began.clear()
        elif event["action"] == "stage started" and text(event, "details", "resumes") in {"", "False"}:
            began[text(event, "stage")] = int(text(event, "sequence"))
    return lambda stage: began.get(stage, opened)


def _table(folder: Path, exhibit: Exhibit) -> Table | None:
    if exhibit.kind not in TABLE_KINDS:
        return None
    try:
        return read(folder / exhibit.path)
    except (ValueError, KeyError) as error:
        raise IntegrityError(
            "a table cannot be read", where=f"{exhibit.number}: {exhibit.path}", why=str(error)
        ) from error


def _document(folder: Path, exhibits: Sequence[Exhibit], kind: str) -> Document:
    exhibit = next((one for one in reversed(exhibits) if one.kind == kind), None)
    if exhibit is None:
        return {}
    value = json.loads((folder / exhibit.path).read_bytes())
    if not isinstance(value, dict):
        return {}
    inner = value.get("facts")
    return inner if isinstance(inner, dict) else value


def _results(events: Sequence[Document], label: str, since: Callable[[str], int]) -> dict[str, tuple[Result, ...]]:
    found: dict[str, dict[str, Result]] = {}
    for event in events:
        ours = event["action"] == "item ended" and text(event, "target") == label
        if ours and int(text(event, "sequence")) >= since(text(event, "stage")):
            result = Result(
                text(event, "details", "item"), Outcome(text(event, "details", "outcome")), text(event, "reason")
            )
            found.setdefault(text(event, "stage"), {})[result.item] = result
    return {stage: tuple(results.values()) for stage, results in found.items()}


def _findings(folder: Path, exhibit: Exhibit | None) -> list[dict[str, JSON]]:
    return documents(json.loads((folder / exhibit.path).read_bytes())) if exhibit else []


def _finding(value: Document) -> Finding:
    facts = value.get("facts")
    return Finding(
        text(value, "rule"),
        Severity(text(value, "severity")),
        text(value, "title"),
        text(value, "statement"),
        tuple(texts(value.get("exhibits"))),
        text(value, "repeat"),
        text(value, "technique"),
        facts if isinstance(facts, dict) else {},
    )
