"""The report of a case, signed: rendered where it is not yet, then a copy of it signed, both on record."""

from __future__ import annotations

from forensics import locks, reissue
from forensics.casefile import Case
from forensics.model import Exhibit
from forensics.pipeline import Run
from forensics.progress import Progress
from forensics.recorder import LedgerRecorder
from forensics.rendering.signature import Credentials, Stamper
from forensics.stages.report import ReportSettings, report
from forensics.stages.sign import SignSettings, sign


def render(case: Case, credentials: Credentials, stamper: Stamper | None, progress: Progress) -> tuple[Exhibit, ...]:
    """Render the report as of the case's last deed, and sign a copy of it; gives both."""
    with locks.worker(case, reissue.reported(case)):
        return rendered(case, progress, credentials, stamper)


def rendered(case: Case, progress: Progress, credentials: Credentials, stamper: Stamper | None) -> tuple[Exhibit, ...]:
    """Do the same while the caller sees to it that nobody else works on the case."""
    label = reissue.reported(case)
    settings = SignSettings(credentials.digest, stamper.url if stamper else "", stamper.roots if stamper else None)
    run = Run(case, LedgerRecorder(case, label), progress)
    made = run.step(report, ReportSettings(reissue.last_deed(case)))
    return (*made.exhibits, *run.step(sign, made, credentials, settings).exhibits)
