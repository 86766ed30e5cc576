"""Sign: a signed copy of the report, beside the unsigned one whose bytes it begins with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import CaseError
from forensics.model import JSON, Draft, Outcome, Report, Result, Role
from forensics.rendering import signature
from forensics.rendering.signature import Credentials, Stamper
from forensics.stage import Desk, Entered, stage


@dataclass(frozen=True, slots=True)
class SignSettings:
    """Whose certificate signs, by its SHA-256, and which authority puts its time on it."""

    certificate: str
    authority: str = ""
    roots: Path | None = None


def signed(entered: Entered) -> Report:
    """Give the signed file, and the ledger entry as of which it was made."""
    as_of = entered.exhibits[-1].facts.get("as_of") if entered.exhibits else None
    return Report(entered.exhibits, as_of if isinstance(as_of, int) else -1)


@stage(gives=signed)
def sign(desk: Desk, report: Report, credentials: Credentials, settings: SignSettings) -> Iterator[Draft | Result]:
    """Sign a copy of the report, and read it again."""
    unsigned = next((one for one in report.exhibits if one.path.suffix == ".pdf"), None)
    if unsigned is None:
        raise CaseError("there is no PDF that could be signed", where=f"the report as of entry {report.as_of}")
    path = desk.work / "report-signed.pdf"
    stamper = Stamper(settings.authority, settings.roots) if settings.authority else None
    reason = f"Report of case {desk.case_facts['number']} as of ledger entry {report.as_of}"
    made = signature.sign(desk.path(unsigned), path, credentials, reason=reason, stamper=stamper)
    facts: dict[str, JSON] = {
        "as_of": report.as_of,
        "head": unsigned.facts["head"],
        "signed": True,
        "subject": credentials.subject,
        "issuer": credentials.issuer,
        "certificate": credentials.digest,
        "until": credentials.until,
        "stamped": made.stamped,
        "authority": settings.authority,
    }
    yield Draft(path, Role.DERIVED, "report", "Report, PDF, signed", facts=facts, sources=(unsigned,))
    said = "" if made.stamped else "without a time stamp: nothing shows when it was signed"
    yield Result("sign", Outcome.DONE, said)
