"""Report: the case as of one ledger entry, as HTML and PDF."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from forensics.casefile import LEDGER, Case
from forensics.model import JSON, Draft, Outcome, Report, Result, Role
from forensics.rendering.document import html
from forensics.rendering.gather import gather
from forensics.rendering.pdf import Attached, print_pdf
from forensics.stage import Desk, Entered, stage


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """As of which ledger entry the report is rendered; what is recorded later is not in it."""

    as_of: int


def rendered(entered: Entered) -> Report:
    """Give the report's files, and the ledger entry as of which they were made."""
    as_of = entered.exhibits[-1].facts.get("as_of") if entered.exhibits else None
    return Report(entered.exhibits, as_of if isinstance(as_of, int) else -1)


@stage(gives=rendered)
def report(desk: Desk, settings: ReportSettings) -> Iterator[Draft | Result]:
    """Render the case as of one ledger entry, as HTML and PDF."""
    case = Case.load(desk.case_folder.parent.parent, desk.case_folder.name)
    lines = (desk.case_folder / LEDGER).read_bytes().splitlines(keepends=True)
    ledger = desk.work / "custody.jsonl"
    ledger.write_bytes(b"".join(lines[: settings.as_of + 1]))
    record = gather(desk.case_folder, case.facts, case.exhibits(), ledger.read_bytes())
    facts: dict[str, JSON] = {"as_of": record.as_of, "head": str(record.head)}
    page = desk.work / "report.html"
    page.write_text(html(record), encoding="utf-8")
    manifest = desk.work / "exhibits.json"
    manifest.write_text(
        json.dumps(
            [
                {"number": e.number, "path": str(e.path), "size": e.size, "digest": str(e.digest)}
                for e in record.exhibits
            ],
            indent=1,
        )
    )
    desk.progress.say("printing the PDF")
    pdf = desk.work / "report.pdf"
    attached = [
        Attached(ledger, "custody.jsonl", f"The custody ledger as of entry {record.as_of}"),
        Attached(manifest, "exhibits.json", "Every exhibit with path, size and digest"),
    ]
    print_pdf(page, pdf, stamp=record.stamp, attached=attached)
    ledger.unlink()
    manifest.unlink()
    yield Draft(page, Role.DERIVED, "report", "Report, HTML", facts=facts)
    yield Draft(pdf, Role.DERIVED, "report", "Report, PDF", facts=facts)
    yield Result("report", Outcome.DONE)
