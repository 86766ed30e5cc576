"""Prove, for an image that someone else took: what can be known of it without its machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from forensics import imports, tables
from forensics.lime import completeness
from forensics.model import (
    JSON,
    Draft,
    Facts,
    MemoryImage,
    MemoryRange,
    NoSymbols,
    NotAcquired,
    Outcome,
    Proof,
    Result,
    Role,
    SymbolTable,
    Verdict,
)
from forensics.profiles import rungs
from forensics.stage import Desk, Entered, stage
from forensics.tables import Absent, Cell, Column
from forensics.volatility import listing
from forensics.volatility.listing import MemoryProcess

ITEM = "proof"
_WORST_LAST = (Verdict.COMPLETE, Verdict.COMPLETE_WITH_GAPS, Verdict.UNKNOWN, Verdict.PARTIAL)
_COLUMNS = (
    Column("pid", "integer"),
    Column("ppid", "integer"),
    Column("uid", "integer"),
    Column("comm"),
    Column("started", "time"),
)


@dataclass(slots=True)
class _Judgement:
    """The verdict as it forms: it only gets worse."""

    verdict: Verdict = Verdict.COMPLETE
    usable: bool = False
    table: str = ""  # number of the symbol table that fits
    reasons: list[str] = field(default_factory=list)
    figures: dict[str, JSON] = field(default_factory=dict)

    def at_best(self, verdict: Verdict, reason: str) -> None:
        self.verdict = max(self.verdict, verdict, key=_WORST_LAST.index)
        self.reasons.append(reason)


def load_proof(entered: Entered) -> Proof:
    """Give the verdict as it stands on record."""
    result = entered.result(ITEM)
    if result is None or entered.one("proof") is None:
        why = result.reason if result else "it was not judged"
        return Proof(entered.exhibits, Verdict.UNKNOWN, (why,), usable=False)
    reasons = result.facts.get("reasons")
    listed = tuple(map(str, reasons)) if isinstance(reasons, list) else ()
    told = result.facts
    fits = str(told.get("table", ""))
    return Proof(entered.exhibits, Verdict(str(told["verdict"])), listed, told.get("usable") is True, fits)


@stage(gives=load_proof)
def prove(
    desk: Desk, image: MemoryImage | NotAcquired, table: SymbolTable | NoSymbols, facts: Facts
) -> Iterator[Draft | Result]:
    """Say what can be known of an imported image: its ranges, what it lacks, and whether it can be used."""
    if isinstance(image, NotAcquired):
        yield Result(ITEM, Outcome.NOT_RUN, f"there is no image that can be read: {image.reason}")
        return
    if why := desk.withheld(image.image):
        yield Result(ITEM, Outcome.NOT_RUN, why, {"withheld": True})
        return
    judgement = _Judgement()
    _judge_file(judgement, image)
    _judge_ranges(desk, judgement, image, facts)
    if not facts.proc_version:
        judgement.at_best(Verdict.UNKNOWN, "no Linux kernel's banner is in it")
    found = _processes(desk, judgement, image, table, facts)
    if found:
        yield _table_draft(desk, image, found)
    told: dict[str, JSON] = {
        "verdict": judgement.verdict.value,
        "usable": judgement.usable,
        "table": judgement.table,
        "reasons": list(judgement.reasons),
    }
    yield _proof_draft(desk, image, told, judgement)
    whole = judgement.verdict is Verdict.COMPLETE
    yield Result(ITEM, Outcome.DONE if whole else Outcome.PARTIAL, "" if whole else "; ".join(judgement.reasons), told)


def _judge_file(judgement: _Judgement, image: MemoryImage) -> None:
    """Weigh what the import found: papers, damage, and what was left out of the file on purpose."""
    told = image.image.facts
    judgement.figures |= {"bytes": told.get("bytes"), "ranges": told.get("ranges_held")}
    if told.get("papers_agree") is False:
        why = told.get("despite_papers")
        judgement.at_best(Verdict.UNKNOWN, f"it is not what its papers say, and was entered even so: {why}")
    if not image.ended_well:
        judgement.at_best(Verdict.PARTIAL, image.reason)
    if told.get("left_out"):
        judgement.at_best(Verdict.PARTIAL, str(told["left_out"]))


def _judge_ranges(desk: Desk, judgement: _Judgement, image: MemoryImage, facts: Facts) -> None:
    """Compare with the RAM map where there is one; a vmcore and an ELF core bring their own."""
    if facts.ram:
        held = completeness.held(imports.walk(desk.path(image.image)).segments)
        compared = completeness.compare(held, facts.ram)
        if compared.missing:
            lacking = completeness.shown(compared.missing)
            judgement.at_best(Verdict.PARTIAL, f"the RAM map names pages that are not there: {lacking}")
        if compared.beyond:
            more = completeness.shown(compared.beyond)
            judgement.reasons.append(f"it has pages that the RAM map does not name: {more}")
        judgement.figures |= {"missing": _listed(compared.missing), "beyond": _listed(compared.beyond)}
    elif image.image.facts.get("tells_ram") is True:
        judgement.reasons.append("whole by its own list of what RAM there was; no other map was there to compare with")
    else:
        judgement.at_best(Verdict.UNKNOWN, "no RAM map came with it: nothing tells what it has to hold (--ram-map)")
    if image.engine.startswith("import (lime"):  # compressed by LiME, too
        _judge_zeros(desk, judgement, image)


def _judge_zeros(desk: Desk, judgement: _Judgement, image: MemoryImage) -> None:
    """Measure zeros at the end of ranges: LiME fills up what it gave up, and an idle machine has them too."""
    path = desk.path(image.image)
    for one in imports.walk(path).segments:
        zeros = completeness.zero_tail(path, one)
        if zeros >= completeness.ZERO_TAIL:
            shown = completeness.shown([one.range])
            reason = f"range {shown} ends with {zeros} zero bytes: LiME may have given it up there"
            judgement.at_best(Verdict.COMPLETE_WITH_GAPS, reason)


def _processes(
    desk: Desk, judgement: _Judgement, image: MemoryImage, table: SymbolTable | NoSymbols, facts: Facts
) -> tuple[MemoryProcess, ...]:
    if isinstance(table, NoSymbols):
        judgement.reasons.append(f"no process list was read: there is no symbol table ({table.reason})")
        return ()
    work = desk.work / "listing"
    work.mkdir()
    desk.progress.say("Reading the process list from the image")
    named = {one.number: desk.path(one) for one in table.ladder}
    tried = listing.try_tables(desk.path(image.image), named, work)
    unfit = "; ".join(f"symbol table {one}" for one in tried.unfit)
    found, judgement.table = tried.found, tried.table
    if found is None:
        why = f"no process list can be read from the image: {unfit}; {rungs.needed(facts)}"
        judgement.at_best(Verdict.COMPLETE_WITH_GAPS, why)
        return ()
    if unfit:
        judgement.reasons.append(f"{unfit}; {tried.table} fits, and is used")
    if found.incomplete:
        why = f"the process list in the image could not be walked to its end: {found.incomplete}"
        judgement.at_best(Verdict.COMPLETE_WITH_GAPS, why)
    judgement.usable = bool(found.processes)
    judgement.figures["processes"] = len(found.processes)
    return found.processes


def _table_draft(desk: Desk, image: MemoryImage, found: tuple[MemoryProcess, ...]) -> Draft:
    path = desk.work / "memory_processes.jsonl"
    title = "Processes in memory"
    with path.open("x", encoding="ascii") as file:
        writer = tables.TableWriter(file, "memory_processes", title, _COLUMNS, (image.image.number,))
        for one in found:
            uid: Cell = one.uid if one.uid is not None else Absent("its credentials are not in the image")
            started: Cell = one.started or Absent("the image does not tell it")
            writer.row((one.pid, one.ppid, uid, one.comm, started))
    return Draft(path, Role.DERIVED, "memory-processes", title, path.name, ITEM, (image.image,))


def _proof_draft(desk: Desk, image: MemoryImage, told: dict[str, JSON], judgement: _Judgement) -> Draft:
    content = {**told, "image": image.image.number, "digest": str(image.image.digest), "figures": judgement.figures}
    path = desk.work / "proof.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    title = f"The image is {judgement.verdict.value}"
    return Draft(path, Role.DERIVED, "proof", title, "proof.json", ITEM, (image.image,))


def _listed(ranges: tuple[MemoryRange, ...]) -> list[JSON]:
    return [[one.start, one.end] for one in ranges]
