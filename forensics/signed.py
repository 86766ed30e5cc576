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
    label = reissue.reported(case)
    settings = SignSettings(credentials.digest, stamper.url if stamper else "", stamper.roots if stamper else None)
    with locks.worker(case, label):
        run = Run(case, LedgerRecorder(case, label), progress)
        made = run.step(report, ReportSettings(reissue.last_deed(case)))
        return (*made.exhibits, *run.step(sign, made, credentials, settings).exhibits)
