"""The whole report: which chapters there are, in which order."""

from __future__ import annotations

from forensics.rendering import custody, evidence, live, memory, overview, system
from forensics.rendering.page import page
from forensics.rendering.record import CaseRecord, text

CHAPTERS = (
    overview.summary,
    overview.findings,
    overview.methods,
    evidence.acquisition,
    memory.chapter,
    live.chapter,
    system.chapter,
    evidence.exhibits,
    custody.custody,
    custody.footprint,
    custody.incomplete,
    custody.deviations,
    custody.tools,
    custody.limits,
    custody.verify,
)


def html(record: CaseRecord) -> str:
    """Make the report of a case as one HTML page; the same record gives the same text."""
    title = f"{text(record.case, 'number')}: {text(record.case, 'title', default='case report')}"
    return page(title, overview.cover(record), [chapter(record) for chapter in CHAPTERS])
