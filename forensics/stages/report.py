"""Report: the case as of one ledger entry, as HTML and PDF."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics.casefile import LEDGER, Case
from forensics.errors import StageFailed
from forensics.hashing import hash_file
from forensics.model import JSON, Draft, Outcome, Report, Result, Role
from forensics.rendering import document
from forensics.rendering.gather import gather
from forensics.rendering.pdf import Attached, Printed, print_pdf
from forensics.rendering.record import CaseRecord
from forensics.rendering.room import PAGES, Room
from forensics.stage import Desk, Entered, stage

SHARES = (1.0, 0.6, 0.3)
"""Of the room that rows have; the next smaller one is tried when a print comes out too long."""
CONTENTS = "report.json"


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
    manifest = desk.work / "exhibits.json"
    manifest.write_text(_manifest(record), encoding="ascii")
    desk.progress.say("printing the PDF")
    made, pdf, printed = _print(desk.work, record, ledger, manifest)
    facts: dict[str, JSON] = {"as_of": record.as_of, "head": str(record.head)}
    yield Draft(made.screen, Role.DERIVED, "report", "Report, HTML", facts=facts)
    yield Draft(pdf, Role.DERIVED, "report", "Report, PDF", facts=facts | {"pages": printed.pages})
    lacking: list[JSON] = [f"U+{ord(one):04X}" for one in printed.lacking]
    yield Result(
        "report", Outcome.DONE, _said(printed), {"lacking": lacking, "without_network": printed.without_network}
    )


def _print(work: Path, record: CaseRecord, ledger: Path, manifest: Path) -> tuple[document.Made, Path, Printed]:
    """Print with as much room for rows as leaves the report within its pages."""
    for share in SHARES:
        folder = work / f"pages-{share}"
        made = document.make(record, folder, Room(share))
        contents = folder / CONTENTS
        attached = [
            Attached(ledger, ledger.name, f"The custody ledger as of entry {record.as_of}", "Source"),
            Attached(manifest, manifest.name, "Every exhibit with path, size and digest"),
            *(Attached(one, one.name, "Every row of a table that the page shows in part") for one in made.sheets),
        ]
        contents.write_text(_contents(record, attached), encoding="ascii")
        told = "What this report is as of, and the digests of what is attached"
        pdf = folder / "report.pdf"
        printed = print_pdf(
            made.print, pdf, stamp=record.stamp, attached=[*attached, Attached(contents, CONTENTS, told)]
        )
        if printed.pages <= PAGES or share == SHARES[-1]:
            return made, pdf, printed
    raise StageFailed("the report could not be made to fit", where="report")


def _manifest(record: CaseRecord) -> str:
    listed = [
        {"number": e.number, "path": str(e.path), "size": e.size, "digest": str(e.digest)} for e in record.exhibits
    ]
    return json.dumps(listed, indent=1)


def _contents(record: CaseRecord, attached: list[Attached]) -> str:
    """Say in the file itself what `forensics verify` holds its attachments against."""
    named = {}
    for one in attached:
        hashed = hash_file(one.path)
        named[one.name] = {"size": hashed.size, "digest": str(hashed.digest)}
    about = {"schema": "forensics-report-1", "case": record.case["case"], "number": record.case["number"]}
    return json.dumps({**about, "as_of": record.as_of, "head": str(record.head), "attached": named}, indent=1)


def _said(printed: Printed) -> str:
    """Say which characters the page shows by their numbers, for no font has them."""
    named = ", ".join(f"U+{ord(one):04X}" for one in printed.lacking[:12])
    more = f" and {len(printed.lacking) - 12} more" if len(printed.lacking) > 12 else ""
    return f"no font here has {named}{more}: the PDF shows the numbers" if named else ""
