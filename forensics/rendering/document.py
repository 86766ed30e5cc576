"""The whole report: which chapters there are, in which order, and the two pages that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.rendering import closing, custody, evidence, live, memory, overview, room, system
from forensics.rendering.blocks import Section
from forensics.rendering.page import Head, page, write
from forensics.rendering.record import CaseRecord, text
from forensics.rendering.room import Room

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
    closing.limits,
    closing.verify,
    closing.statement,
)


@dataclass(frozen=True, slots=True)
class Made:
    """What a report was written as: a page for the screen, one for print, and the rows that the print leaves out."""

    screen: Path
    print: Path
    sheets: tuple[Path, ...]


def html(record: CaseRecord, *, printed: bool = False) -> str:
    """Make the report of a case as one HTML page; the same record gives the same text."""
    return page(head(record, printed=printed), overview.cover(record), room.fit(_chapters(record), Room()))


def make(record: CaseRecord, folder: Path, given: Room) -> Made:
    """Write the report's pages and sheets into a new folder."""
    folder.mkdir(mode=0o700)
    sections, sheets = room.set_aside(room.fit(_chapters(record), given), folder)
    cover = overview.cover(record)
    screen, printed = folder / "report.html", folder / "print.html"
    write(screen, head(record), cover, sections)
    write(printed, head(record, printed=True), cover, sections)
    return Made(screen, printed, sheets)


def head(record: CaseRecord, *, printed: bool = False) -> Head:
    """Say what the report is: case and title, the examiner, and the ledger entry that it stands on."""
    return Head(
        title=f"{text(record.case, 'number')}: {text(record.case, 'title', default='case report')}",
        author=text(record.case, "examiner", "name") or text(record.case, "examiner"),
        subject=f"As of ledger entry {record.as_of}, {record.head}",
        record=f"{text(record.case, 'number')} · entry {record.as_of} · {record.head}",
        printed=printed,
    )


def _chapters(record: CaseRecord) -> Sequence[Section]:
    return [chapter(record) for chapter in CHAPTERS]
