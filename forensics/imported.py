"""The order in which a case goes on from an image that someone else took: there is no target to touch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forensics import history, locks, sealing
from forensics.casefile import Case
from forensics.course import STAGES, Summary
from forensics.errors import CaseError, UsageError
from forensics.model import Exhibit, LiveEvidence, MemoryImage, NotAcquired, Verdict
from forensics.pipeline import Run
from forensics.plan import Plan
from forensics.progress import Progress
from forensics.recorder import LedgerRecorder
from forensics.reissue import last_deed
from forensics.stage import Entered
from forensics.stages.analyse import analyse, settings_of
from forensics.stages.imports import ImportSettings, make_import
from forensics.stages.interpret import InterpretSettings, interpret
from forensics.stages.judge import prove
from forensics.stages.kept_symbols import TableSettings, symbols
from forensics.stages.report import ReportSettings, report
from forensics.stages.seal import seal
from forensics.stages.survey import load_facts

ORDER = (make_import, symbols, prove, seal, analyse, interpret, report)


@dataclass(frozen=True, slots=True)
class Order:
    """What the analyst asks of a run on imported images."""

    root: Path
    plan: Plan
    until: str = ""
    symbols: Path | None = None


def labels(case: Case) -> tuple[str, ...]:
    """Name the targets of a case whose memory was imported, in the order in which it was."""
    found = dict.fromkeys(one.target for one in case.events() if one.stage == make_import.name)
    return tuple(found)


def take(
    case: Case, label: str, settings: ImportSettings, progress: Progress, new_attempt: str = ""
) -> MemoryImage | NotAcquired:
    """Import an image under a target's label; the same file with the same words is not imported twice.

    UsageError when the label has another image already, or stands for a target that was reached.
    """
    with locks.worker(case, label):
        before = history.last_pass(case.events(), label, make_import.name)
        reached = any(one.target == label and one.stage == "survey" for one in case.events())
        if reached:
            raise UsageError(f"{label} is a target that was reached", remedy="give the image another name: --target")
        if before and before.finished and not new_attempt:
            if before.starts[-1].details["settings"] != history.settings_of((settings,)):
                remedy = "--target NAME for another machine, or --new-attempt REASON for this one"
                raise UsageError(f"{label} has an image already", where=f"case {case.number}", remedy=remedy)
            return make_import.gives(_entered(case, label))
        run = Run(case, LedgerRecorder(case, label), progress, new_attempt if before else "")
        return run.step(make_import, settings)


def work(case: Case, label: str, order: Order, progress: Progress) -> Summary:
    """Work a case on an imported image from where it stands to the report."""
    if order.until and order.until not in STAGES:
        raise UsageError(f"there is no stage named {order.until}", remedy=f"name one of {', '.join(STAGES)}")
    with locks.worker(case, label):
        run = Run(case, LedgerRecorder(case, label), progress)
        for exhibit in _entered(case, label).exhibits:
            case.check(exhibit)
        made, verdict, stopped = _stages(case, run, label, order, progress)
        return Summary(tuple(run.steps), (), verdict, made, stopped, imported=True)


def _stages(
    case: Case, run: Run, label: str, order: Order, progress: Progress
) -> tuple[tuple[Exhibit, ...], Verdict | None, bool]:
    """Take the stages in order; gives the report, the verdict, and whether it stopped early."""
    entered = _entered(case, label)
    image, facts = make_import.gives(entered), load_facts(entered) if entered.one("facts") else None
    if facts is None:
        reason = image.reason or "nothing of it could be read"
        raise CaseError("there is no image that could be analysed", where=f"case {case.number}, {label}", why=reason)
    table = run.step(symbols, facts, TableSettings((order.root / "profiles").absolute(), order.symbols))
    if order.until == symbols.name:
        return (), None, True
    proof = run.step(prove, image, table, facts)
    if order.until == prove.name:
        return (), proof.verdict, True
    live = LiveEvidence((), ())
    run.step(seal, image, proof, live)
    sealing.attest_last(run.case, progress)
    if order.until == seal.name:
        return (), proof.verdict, True
    analysis = run.step(analyse, image, table, proof, settings_of(order.plan))
    if order.until == analyse.name:
        return (), proof.verdict, True
    run.step(interpret, facts, live, analysis, proof, InterpretSettings())
    if order.until == interpret.name:
        return (), proof.verdict, True
    return run.step(report, ReportSettings(last_deed(case))).exhibits, proof.verdict, False


def _entered(case: Case, label: str) -> Entered:
    """Give what the last import under a label left on record; CaseError when none came to its end."""
    found = history.last_pass(case.events(), label, make_import.name)
    if found is None or not found.finished:
        remedy = f"forensics import {case.number} FILE --target {label}"
        raise CaseError("no image was imported to its end", where=f"case {case.number}, {label}", remedy=remedy)
    return Entered(found.exhibits, found.results, case.folder)
