"""`forensics report`: the report of a case again, as of now, and a signed copy of it for who has a certificate."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from forensics import reissue, sealing, terminal
from forensics.casefile import Case
from forensics.commands.options import HERE, AsJson, CaseNumber, Root, Roots
from forensics.commands.secrets import secret
from forensics.errors import UsageError
from forensics.model import Exhibit
from forensics.progress import Progress, Silent
from forensics.ssh import Secret
from forensics.terminal import TerminalProgress

app = typer.Typer()


@app.command()
def report(
    number: CaseNumber,
    *,
    certificate: Annotated[
        Path | None, typer.Option(help="Sign a copy with this certificate and key: a PKCS#12 file.", metavar="FILE")
    ] = None,
    pkcs11: Annotated[
        Path | None, typer.Option("--pkcs11", help="Sign with a token: the module of its maker.", metavar="MODULE")
    ] = None,
    token: Annotated[str, typer.Option(help="The token's label.")] = "",
    certificate_label: Annotated[str, typer.Option(help="The certificate's label on the token.", metavar="LABEL")] = "",
    certificate_password_fd: Annotated[
        int, typer.Option(help="Read the password, or the token's PIN, from this file descriptor.", metavar="N")
    ] = -1,
    ask_certificate_password: Annotated[bool, typer.Option(help="Ask for it on the terminal.")] = False,
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
    if certificate is None and pkcs11 is None:
        made = reissue.render(case, progress)
    else:
        if certificate is not None and pkcs11 is not None:
            raise UsageError("a report is signed with a file or with a token", remedy="say one of the two")
        password = secret(certificate_password_fd, ask_certificate_password, "Password of the certificate: ")
        made = _signed(case, (certificate, pkcs11, token, certificate_label), password, (tsa, tsa_roots), progress)
    copies = publish(root, case, made)
    if as_json:
        signed = [one.facts for one in made if one.facts.get("signed")]
        facts = {"signed": dict(signed[0])} if signed else {"signed": False}
        terminal.document({"case": case.number, "report": [str(one) for one in copies], **facts})
        return
    for one in copies:
        terminal.line(str(one))


def _signed(
    case: Case,
    key: tuple[Path | None, Path | None, str, str],
    password: Secret | None,
    authority: tuple[str, Path | None],
    progress: Progress,
) -> tuple[Exhibit, ...]:
    """Open the certificate before anything is rendered: what cannot be signed leaves nothing behind."""
    from forensics import signed  # noqa: PLC0415 - pyHanko is slow to come, and only this needs it
    from forensics.rendering import signature  # noqa: PLC0415

    file, module, token, label = key
    credentials = (
        signature.from_file(file, password) if file else signature.from_token(module or Path(), token, label, password)
    )
    kept = sealing.wanted(case)
    url = authority[0] or next(iter(kept.authorities), "")
    stamper = signature.Stamper(url, authority[1] or kept.roots) if url else None
    return signed.render(case, credentials, stamper, progress)


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
