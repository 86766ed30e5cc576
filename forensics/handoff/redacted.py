"""The redacted variant: results and report with what rules replaced, the log of it, and none of the originals.

Neither ledger nor exhibits are in it. The seals are, where no rule finds anything in them: they hold the digests of the
originals, signed and stamped, which the log names as *before*. Pictures are left out: text in them cannot be replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from forensics.errors import StageFailed
from forensics.handoff import bags, results
from forensics.handoff.contents import Handed, facts_of, ledger_of, write_keys, write_seals
from forensics.handoff.redaction import Redactor
from forensics.hashing import hash_bytes, hash_file
from forensics.model import JSON, Exhibit
from forensics.progress import Progress
from forensics.rendering import room
from forensics.rendering.blocks import GridColumn, Section, Words, grid
from forensics.rendering.document import CHAPTERS, head
from forensics.rendering.gather import gather
from forensics.rendering.overview import cover
from forensics.rendering.page import write as write_page
from forensics.rendering.pdf import print_pdf
from forensics.rendering.record import CaseRecord, TargetRecord
from forensics.rendering.room import Room

FORMAT = "forensics-redaction-1"
WORDS = (
    "This is a REDACTED VARIANT of the report and its tables. Words and cells were replaced by rules, pictures and the "
    "originals were left out. What was replaced, where and how often stands in redactions.json."
)


def write(folder: Path, handed: Handed, redactor: Redactor, progress: Progress) -> None:
    """Put the payload of a redacted variant together.

    Raises StageFailed when a rule still finds something in what is to be handed over.
    """
    files = [*_results(folder, handed, redactor), *_report(folder, handed, redactor, progress)]
    write_keys(folder, handed)
    write_seals(folder / "seals", handed)
    if any(redactor.left(one.read_text("utf-8", "replace")) for one in (folder / "seals").iterdir()):
        for one in (folder / "seals").iterdir():
            one.unlink()
        (folder / "seals").rmdir()
    told = json.dumps(redactor.everything(facts_of(handed)), indent=1, ensure_ascii=True) + "\n"
    bags.put(folder / "handoff.json", told.encode("ascii"))
    log = json.dumps(_log(folder, handed, redactor, files), indent=1, ensure_ascii=True) + "\n"
    bags.put(folder / "redactions.json", log.encode("ascii"))
    _refuse_what_is_left(folder, redactor)


def _results(folder: Path, handed: Handed, redactor: Redactor) -> list[dict[str, JSON]]:
    files: list[dict[str, JSON]] = []
    for exhibit in results.tabled(handed.exhibits):
        if exhibit.number in redactor.rules.exhibits:
            continue
        table = results.load(handed.case.path(exhibit), exhibit)
        redactor.place = exhibit.number
        shown = redactor.table(table)
        target = replace(exhibit, target=redactor.text(exhibit.target))
        named = replace(target, path=Path(f"{exhibit.number}.jsonl"))  # the rest of a name may be what is redacted
        files += [_line(one, folder, exhibit) for one in results.write(folder / "results", named, shown)]
    return files


def _report(folder: Path, handed: Handed, redactor: Redactor, progress: Progress) -> list[dict[str, JSON]]:
    """Render the report anew of what is left, since a page cannot be redacted once it is one."""
    case, redactor.place = handed.case, "report"
    as_of = handed.report[-1].facts["as_of"]
    ledger = b"".join(ledger_of(handed)[: int(str(as_of)) + 1])
    record = gather(case.folder, case.facts, case.exhibits(), ledger)
    targets = tuple(_without(one, redactor.rules.exhibits) for one in record.targets)
    shown: CaseRecord = redactor.everything(replace(record, targets=targets))
    shown_on = [_chapter(redactor), *(chapter(shown) for chapter in CHAPTERS)]
    sections = room.fit(shown_on, Room())
    screen = replace(
        head(shown), sort="Redacted variant of a case report", title=f"REDACTED VARIANT: {head(shown).title}"
    )
    place = folder / "report"
    place.mkdir()
    html, pdf, paper = place / "report.html", place / "report.pdf", place / "print.html"
    write_page(html, screen, cover(shown), sections)
    write_page(paper, replace(screen, printed=True), cover(shown), sections)
    progress.say("printing the redacted PDF")
    print_pdf(paper, pdf, stamp=record.stamp)
    paper.unlink()
    originals = {one.path.suffix: one for one in handed.report}
    return [_line(one, folder, originals[one.suffix]) for one in (html, pdf)]


def _without(target: TargetRecord, numbers: tuple[str, ...]) -> TargetRecord:
    kept = {name for name, exhibit in target.table_exhibits.items() if exhibit.number not in numbers}
    tables = {name: one for name, one in target.tables.items() if name in kept}
    return replace(target, pictures={}, tables=tables)


def _chapter(redactor: Redactor) -> Section:
    columns = (GridColumn("Rule", 40), GridColumn("Where", 40), GridColumn("Times", 20, align="right"))
    lines = [(rule, place, str(count)) for (rule, place), count in sorted(redactor.counts.items())]
    block = grid("What was replaced", columns, lines, limit=200, empty="No rule found anything.")
    return Section("redactions", "This is a redacted variant", (Words(WORDS, "warning"), block))


def _line(path: Path, folder: Path, exhibit: Exhibit) -> dict[str, JSON]:
    return {
        "path": f"data/{path.relative_to(folder).as_posix()}",
        "of": exhibit.number,
        "before": str(exhibit.digest),
        "after": str(hash_file(path).digest),
    }


def _log(folder: Path, handed: Handed, redactor: Redactor, files: list[dict[str, JSON]]) -> Mapping[str, JSON]:
    rules = redactor.rules
    named = [*((one.name, "pattern") for one in rules.patterns), *((one.name, "field") for one in rules.fields)]
    counts: list[JSON] = [
        {"rule": rule, "where": place, "count": count} for (rule, place), count in sorted(redactor.counts.items())
    ]
    still: list[JSON] = []
    for one in files:
        path = folder / str(one["path"]).removeprefix("data/")
        if path.suffix != ".pdf" and (count := redactor.elsewhere(path.read_text(encoding="utf-8"))):
            still.append({"path": one["path"], "cells": count})
    left_out = [one for one in handed.exhibits if one.number in rules.exhibits]
    return {
        "format": FORMAT,
        "words": WORDS,
        "rules_digest": str(hash_bytes(handed.order.rules_text)),
        "rules": [{"name": name, "kind": kind} for name, kind in named],
        "counts": counts,
        "files": list(files),
        "left_out": [{"exhibit": one.number, "digest": str(one.digest)} for one in left_out],
        "left_out_cells_that_stand_elsewhere": still,
    }


def _refuse_what_is_left(folder: Path, redactor: Redactor) -> None:
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and one.suffix != ".pdf"):
        content = path.read_text(encoding="utf-8", errors="replace")
        if left := redactor.left(content):
            raise StageFailed(
                "a rule of the redaction still finds something in what was to be handed over",
                where=f"data/{path.relative_to(folder).as_posix()}",
                why=f"rule {left[0]}",
                remedy="make the rule catch it as it is written there, or leave the exhibit out",
            )
