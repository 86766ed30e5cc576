"""`forensics report`: the report of a case again, as of now, and a signed copy of it for who has a certificate."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from forensics import reissue, terminal
from forensics.casefile import Case
from forensics.commands.certificates import (
    AskPassword,
    Certificate,
    CertificateFile,
    CertificateLabel,
    PasswordDescriptor,
    TokenLabel,
    TokenModule,
    stamper,
)
from forensics.commands.options import HERE, AsJson, CaseNumber, Root, Roots
from forensics.model import Exhibit
from forensics.progress import Silent
from forensics.terminal import TerminalProgress

app = typer.Typer()


@app.command()
def report(
    number: CaseNumber,
    *,
    certificate: CertificateFile = None,
    pkcs11: TokenModule = None,
    token: TokenLabel = "",
    certificate_label: CertificateLabel = "",
    certificate_password_fd: PasswordDescriptor = -1,
    ask_certificate_password: AskPassword = False,
    tsa: Annotated[
        str, typer.Option("--tsa", metavar="URL", help="Time stamp authority, RFC 3161; else the case's first.")
    ] = "",
    tsa_roots: Roots = None,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Render the report of a case again, as of its last ledger entry; with a certificate, sign a copy of it too."""
    case = Case.load(root, number)
    progress = Silent() if as_json else TerminalProgress()
    key = Certificate(certificate, pkcs11, token, certificate_label)
    if not key:
        made = reissue.render(case, progress)
    else:
        from forensics.signed import render  # noqa: PLC0415 - pyHanko is slow to come, and only this needs it

        credentials = key.opened(certificate_password_fd, ask=ask_certificate_password)
        made = render(case, credentials, stamper(case, tsa, tsa_roots), progress)
    copies = publish(root, case, made)
    if as_json:
        signed = [one.facts for one in made if one.facts.get("signed")]
        facts = {"signed": dict(signed[0])} if signed else {"signed": False}
        terminal.document({"case": case.number, "report": [str(one) for one in copies], **facts})
        return
    for one in copies:
        terminal.line(str(one))


def publish(root: Path, case: Case, exhibits: tuple[Exhibit, ...]) -> list[Path]:
    """Copy a report's files to reports/, under the case's number."""
    copies = []
    for exhibit in exhibits:
        folder = root / "reports"
        folder.mkdir(exist_ok=True)
        signed = "-signed" if exhibit.facts.get("signed") else ""
        copy = folder / f"{case.number}{signed}{exhibit.path.suffix}"
        fresh = copy.with_name(f".{copy.name}.new")
        shutil.copyfile(case.path(exhibit), fresh)
        fresh.replace(copy)
        copies.append(copy)
    return copies
