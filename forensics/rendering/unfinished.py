"""Stages that are short of their end in the attempt that is reported: broken, without an end, or never begun."""

from __future__ import annotations

from typing import TypeAlias

from forensics.rendering.record import CaseRecord, Document, text

ORDER = ("survey", "headers", "build", "symbols", "acquire", "prove", "collect", "seal", "analyse", "interpret")
"""The stages before the report, which is being made while this is written."""

IMPORTED = ("import", "symbols", "prove", "seal", "analyse", "interpret")
"""Those of an image that someone else took: there was no target to ask."""

Row: TypeAlias = tuple[str, str, str, str, str]  # target, step, item, outcome, reason
_WHOLE = "the whole stage"


def steps(record: CaseRecord) -> list[Row]:
    """List every stage that did not come to its end, each with its reason; of earlier attempts, those that broke."""
    return [row for target in record.targets for row in _of(record, target.label)]


def _of(record: CaseRecord, label: str) -> list[Row]:
    rows: list[Row] = []
    began: set[str] = set()
    without_end: dict[str, str] = {}
    for event in record.events:
        if text(event, "target") != label:
            continue
        stage = text(event, "stage")
        if event["action"] == "attempt opened":
            began.clear()
        elif event["action"] == "stage started":
            began.add(stage)
            without_end[stage] = "when this report was made it was still running, or its worker had been ended"
        elif event["action"] == "stage ended":
            without_end.pop(stage, None)
            rows += _broken(event, label, stage)
    rows += [(label, stage, _WHOLE, "no end", why) for stage, why in without_end.items() if stage in ORDER]
    order = IMPORTED if _imported(record, label) else ORDER
    never = [stage for stage in order if stage not in began]
    return rows + [(label, stage, _WHOLE, "not run", "it had not begun when this report was made") for stage in never]


def _imported(record: CaseRecord, label: str) -> bool:
    return any(text(one, "target") == label and text(one, "stage") == "import" for one in record.events)


def _broken(event: Document, label: str, stage: str) -> list[Row]:
    outcome = text(event, "outcome")
    return [] if outcome == "finished" else [(label, stage, _WHOLE, outcome, text(event, "reason"))]
