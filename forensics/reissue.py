"""The report of a case once more, without its target: as of the case's last deed."""

from __future__ import annotations

from forensics import locks
from forensics.casefile import Case
from forensics.errors import ForensicsError
from forensics.events import Action
from forensics.model import Exhibit
from forensics.pipeline import Run
from forensics.progress import Progress
from forensics.recorder import LedgerRecorder
from forensics.stages.report import ReportSettings, report


def last_deed(case: Case) -> int:
    """Give the sequence number of the last entry that is not the report's own: the report is rendered as of it."""
    own = {report.name, "sign"}
    quiet = {Action.VERIFIED, Action.CONNECTED}
    told = [one for one in case.events() if one.stage not in own and one.action not in quiet]
    return told[-1].sequence


def render(case: Case, progress: Progress) -> tuple[Exhibit, ...]:
    """Render the report of a case again, as of its last entry."""
    with locks.worker(case, reported(case)):
        return rendered(case, progress)


def rendered(case: Case, progress: Progress) -> tuple[Exhibit, ...]:
    """Render the report while the caller sees to it that nobody else works on the case, closed or not."""
    runs = [Run(case, LedgerRecorder(case, label), progress) for label in _labels(case)]
    return runs[-1].step(report, ReportSettings(last_deed(case))).exhibits


def reported(case: Case) -> str:
    """Give the target that was worked on last: the report's entries stand under its name."""
    return _labels(case)[-1]


def _labels(case: Case) -> list[str]:
    labels = list(dict.fromkeys(one.target for one in case.events() if one.target))
    if not labels:
        raise ForensicsError("there is nothing to report", where=f"case {case.number}", remedy="forensics run it first")
    return labels
