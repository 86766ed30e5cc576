"""Prove: whether the image is complete and can be used, while the target is still there to be taken again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from forensics.errors import ForensicsError
from forensics.host import Gone, Host
from forensics.lime import completeness, landmarks
from forensics.lime import format as lime_format
from forensics.model import (
    JSON,
    Draft,
    Exhibit,
    Facts,
    LiveProcess,
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
from forensics.survey import procfs
from forensics.views import beside, lost
from forensics.volatility import listing
from forensics.volatility.listing import HeldProcess, MemoryProcess

ITEM = "proof"
Ways: TypeAlias = Callable[[], tuple[HeldProcess, ...]]
_LIME_ZEROS = "the kernel had LiME's timeout as 0, so LiME did not fill them in"
_WORST_LAST = (Verdict.COMPLETE, Verdict.UNKNOWN, Verdict.COMPLETE_WITH_GAPS, Verdict.PARTIAL)


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


@dataclass(frozen=True, slots=True)
class _Now:
    """The target as it is after the acquisition; None what could not be asked."""

    ram: tuple[MemoryRange, ...] | None
    processes: tuple[LiveProcess, ...] | None
    problem: str = ""


def load_proof(entered: Entered) -> Proof:
    """Give the verdict as it stands on record."""
    result = entered.result(ITEM)
    if result is None or entered.one("proof") is None:
        why = result.reason if result else "it was not judged"
        return Proof(entered.exhibits, Verdict.UNKNOWN, (why,), usable=False)
    told = result.facts
    reasons = told.get("reasons")
    listed = tuple(map(str, reasons)) if isinstance(reasons, list) else ()
    verdict, fits = Verdict(str(told["verdict"])), str(told.get("table", ""))
    return Proof(entered.exhibits, verdict, listed, told.get("usable") is True, fits)


@stage(gives=load_proof)
def prove(
    desk: Desk, host: Host | Gone, image: MemoryImage | NotAcquired, table: SymbolTable | NoSymbols, facts: Facts
) -> Iterator[Draft | Result]:
    """Judge whether the image is complete and can be used, while the target is still there."""
    if isinstance(image, NotAcquired):
        yield Result(ITEM, Outcome.NOT_RUN, f"there is no image: {image.reason}")
        return
    if why := desk.withheld(image.image):
        yield Result(ITEM, Outcome.NOT_RUN, why, {"withheld": True})
        return
    judgement = _Judgement()
    path = desk.path(image.image)
    now = _look_again(host)
    _judge_stream(judgement, image, path)
    _judge_ranges(judgement, path, facts, now)
    received = _received(desk, image)
    _judge_zeros(judgement, path, _tails(received), _zeros_excluded(image.image))
    _judge_landmarks(judgement, path, facts)
    judgement.figures["smear"] = _smear(received, facts, now)
    desk.progress.say("Reading the process list from the image")
    found = _processes(desk, judgement, path, table, facts)
    if found is not None:
        _judge_processes(judgement, found, facts, now, lambda: _ways(desk, judgement, path, table, facts))
        yield _table_draft(desk, image, found, facts.processes, now)
    told: dict[str, JSON] = {
        "verdict": judgement.verdict.value,
        "usable": judgement.usable,
        "table": judgement.table,
        "reasons": list(judgement.reasons),
    }
    yield _proof_draft(desk, image, told, judgement)
    whole = judgement.verdict is Verdict.COMPLETE
    yield Result(ITEM, Outcome.DONE if whole else Outcome.PARTIAL, "" if whole else "; ".join(judgement.reasons), told)


def _look_again(host: Host | Gone) -> _Now:
    """Ask the target for its RAM map and processes after the acquisition; a target that is gone is no error here."""
    if isinstance(host, Gone):
        return _Now(None, None, host.words)
    try:
        ram = procfs.system_ram(host.run("cat", "/proc/iomem", root=True).stdout)
        stat = host.run("/bin/sh", "-c", "cat /proc/[0-9]*/stat", root=True).stdout
        status = host.run("/bin/sh", "-c", "grep -H ^Uid: /proc/[0-9]*/status", root=True).stdout
    except ForensicsError as problem:
        return _Now(None, None, str(problem))
    return _Now(ram or None, procfs.processes(stat, status) or None)


def _judge_stream(judgement: _Judgement, image: MemoryImage, path: Path) -> None:
    if not image.ended_well:
        judgement.at_best(Verdict.PARTIAL, f"the stream did not end well: {image.reason}")
    shortfall = lime_format.walk(path).shortfall
    if shortfall and shortfall != image.reason:
        judgement.at_best(Verdict.PARTIAL, f"the file is not a whole LiME image: {shortfall}")
    judgement.figures["bytes"] = path.stat().st_size


def _judge_ranges(judgement: _Judgement, path: Path, facts: Facts, now: _Now) -> None:
    """Compare with the RAM map of before, and that one with the map of after."""
    held = completeness.held(lime_format.walk(path).segments)
    judgement.figures["ranges"] = _listed(held)
    if not facts.ram:
        judgement.at_best(Verdict.UNKNOWN, "the target's RAM map is hidden: nothing tells what the image has to hold")
        return
    compared = completeness.compare(held, facts.ram)
    judgement.figures |= {
        "ram_before": _listed(facts.ram),
        "ram_after": _listed(now.ram or ()),
        "partial_pages": _listed(compared.remainder),
        "missing": _listed(compared.missing),
        "beyond": _listed(compared.beyond),
    }
    if compared.missing:
        judgement.at_best(
            Verdict.PARTIAL, f"the RAM map names pages that are not there: {completeness.shown(compared.missing)}"
        )
    if compared.beyond:
        judgement.at_best(
            Verdict.COMPLETE_WITH_GAPS,
            f"it has pages that the RAM map does not name: {completeness.shown(compared.beyond)}",
        )
    if now.ram is None:
        judgement.reasons.append(f"the RAM map was not seen again afterwards: {now.problem or 'it is hidden'}")
    elif now.ram != facts.ram:
        changed = f"{completeness.shown(facts.ram)} before, {completeness.shown(now.ram)} after"
        judgement.at_best(Verdict.COMPLETE_WITH_GAPS, f"the RAM map changed meanwhile: {changed}")


def _zeros_excluded(image: Exhibit) -> str:
    told = image.facts
    return str(told.get("zero_fill") or _LIME_ZEROS) if told.get("zero_fill_excluded") is True else ""


def _received(desk: Desk, image: MemoryImage) -> Mapping[str, Any]:
    """Give what the acquisition record says of the bytes as they came."""
    record = next((one for one in reversed(image.exhibits) if one.kind == "acquisition-record"), None)
    told: Mapping[str, Any] = json.loads(desk.path(record).read_bytes()).get("received", {}) if record else {}
    return told


def _tails(received: Mapping[str, Any]) -> dict[tuple[int, int], int]:
    """Give the zeros at the end of each range as they were counted when they came, by first address and bytes."""
    ranges = received.get("ranges", ())
    return {(one["start"], one["received"]): one["zero_tail"] for one in ranges if "zero_tail" in one}


def _judge_zeros(judgement: _Judgement, path: Path, counted: dict[tuple[int, int], int], excluded: str) -> None:
    """Judge the zeros at the end of each range; LiME that gave a range up leaves them, and so does idle memory.

    They are measured here where nobody `counted` them. `excluded`: why the engine cannot have filled them in.
    """
    tails: list[JSON] = []
    for one in lime_format.walk(path).segments:
        zeros = counted.get((one.range.start, one.received))
        if zeros is None:
            zeros = completeness.zero_tail(path, one)
        tails.append(zeros)
        if zeros < completeness.ZERO_TAIL and (zeros < one.received or not one.received):
            continue
        reason = f"range {completeness.shown([one.range])} ends with {zeros} zero bytes"
        if excluded:
            judgement.reasons.append(f"{reason}; {excluded}")
        else:
            judgement.at_best(Verdict.COMPLETE_WITH_GAPS, f"{reason}: it may have been given up there")
    judgement.figures["zero_tails"] = tails


def _judge_landmarks(judgement: _Judgement, path: Path, facts: Facts) -> None:
    """Compare the banner and VMCOREINFO, at the places that the survey gave, with what the target told of them."""
    segments = lime_format.walk(path).segments
    found = (landmarks.banner(path, segments, facts), landmarks.vmcoreinfo(path, segments, facts))
    judgement.figures["landmarks"] = {one.name: one.told() for one in found}
    names = {"banner": "the running kernel's banner (/proc/version)", "vmcoreinfo": "the kernel's own VMCOREINFO"}
    for one in found:
        if one.agrees is None and one.name == "banner":
            judgement.reasons.append(f"{names[one.name]} was not looked for: {one.why}")
        elif one.agrees is False:
            worst = Verdict.PARTIAL if one.name == "banner" else Verdict.COMPLETE_WITH_GAPS
            judgement.at_best(worst, f"{names[one.name]} is not in the image: {one.why}")
    judgement.figures["banner_at"] = found[0].offset if found[0].agrees else None


def _smear(received: Mapping[str, Any], facts: Facts, now: _Now) -> dict[str, JSON]:
    """Tell how long memory changed while it was read: as a whole, range by range, and who came and went meanwhile."""
    ranges: list[JSON] = [
        [one["start"], one["end"], one["began"], one["seconds"]] for one in received.get("ranges", ()) if "began" in one
    ]
    told: dict[str, JSON] = {"seconds": received.get("seconds"), "ranges": ranges}
    return told | (beside.changed(facts.processes, now.processes) if now.processes else {})


def _processes(
    desk: Desk, judgement: _Judgement, path: Path, table: SymbolTable | NoSymbols, facts: Facts
) -> tuple[MemoryProcess, ...] | None:
    """Read the process list; None when there is none, with the reason said."""
    if isinstance(table, NoSymbols):
        judgement.reasons.append(f"no process list was read: there is no symbol table ({table.reason})")
        return None
    work = desk.work / "listing"
    work.mkdir()
    named = {one.number: desk.path(one) for one in table.ladder}
    tried = listing.try_tables(path, named, work, _places(facts))
    unfit = "; ".join(f"symbol table {one}" for one in tried.unfit)
    found, judgement.table = tried.found, tried.table
    if found is None:
        why = f"no process list can be read from the image: {unfit}; {rungs.needed(facts)}"
        judgement.at_best(Verdict.COMPLETE_WITH_GAPS, why)
        return None
    if unfit:
        judgement.reasons.append(f"{unfit}; {tried.table} fits, and is used")
    if found.incomplete:
        judgement.at_best(
            Verdict.COMPLETE_WITH_GAPS,
            f"the process list in the image could not be walked to its end: {found.incomplete}",
        )
    judgement.usable = bool(found.processes)
    return found.processes


def _ways(
    desk: Desk, judgement: _Judgement, path: Path, table: SymbolTable | NoSymbols, facts: Facts
) -> tuple[HeldProcess, ...]:
    """Read what else of the kernel's holds processes, a minute at most: the target waits."""
    if isinstance(table, NoSymbols):
        return ()
    desk.progress.say("Looking beside the process list for those that it does not have")
    work = desk.work / "ways"
    work.mkdir()
    return listing.held(path, desk.path(table.fitting(judgement.table)), work, seconds=60.0, places=_places(facts))


def _places(facts: Facts) -> tuple[int, ...]:
    return tuple(facts.places[name] for name in sorted(facts.places))


def _judge_processes(
    judgement: _Judgement, found: tuple[MemoryProcess, ...], facts: Facts, now: _Now, ways: Ways
) -> None:
    """Every process that lived from before until after has to be in the image; the others may be."""
    before, after = facts.processes, now.processes or ()
    lived = lost.compare(found, before, after)
    if lived.unlisted and after:
        try:
            lived = lost.sought(lived, ways(), facts)
        except ForensicsError as problem:
            judgement.reasons.append(f"the kernel's other structures could not be read: {problem}")
    judgement.figures["processes"] = lost.figures(lived, found, before, after)
    judgement.reasons += lived.words()
    if lived.lost and after:
        named = f"{len(lived.lost)} processes that lived throughout are not in the image: {lost.shown(lived.lost)}"
        judgement.at_best(Verdict.COMPLETE_WITH_GAPS, named)
    elif lived.lost:
        judgement.reasons.append(
            f"{len(lived.lost)} processes of before are not in the image; the target was not seen again"
        )
    if not before:
        judgement.reasons.append("the target gave no process list to compare with")


def _table_draft(
    desk: Desk, image: MemoryImage, found: tuple[MemoryProcess, ...], before: tuple[LiveProcess, ...], now: _Now
) -> Draft:
    path = desk.work / "memory_processes.jsonl"
    beside.write(path, image.image.number, found, before, now.processes or ())
    return Draft(path, Role.DERIVED, "memory-processes", beside.TITLE, path.name, ITEM, (image.image,))


def _proof_draft(desk: Desk, image: MemoryImage, told: dict[str, JSON], judgement: _Judgement) -> Draft:
    content = {**told, "image": image.image.number, "digest": str(image.image.digest), "figures": judgement.figures}
    path = desk.work / "proof.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    title = f"The image is {judgement.verdict.value}"
    return Draft(path, Role.DERIVED, "proof", title, "proof.json", ITEM, (image.image,))


def _listed(ranges: tuple[MemoryRange, ...] | list[MemoryRange]) -> list[JSON]:
    return [[one.start, one.end] for one in ranges]
