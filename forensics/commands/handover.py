"""Hand a case over in a bag, and take the receipt that comes back."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
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
from forensics.commands.options import GAPS, HERE, AsJson, CaseNumber, Root
from forensics.errors import UsageError
from forensics.handoff import redaction
from forensics.handoff.contents import Order
from forensics.handoff.giving import Bag, Render, hand_off
from forensics.handoff.receipts import receive as receive_receipt
from forensics.model import JSON
from forensics.progress import Silent
from forensics.terminal import TerminalProgress

app = typer.Typer()


@app.command()
def handoff(
    number: CaseNumber,
    *,
    to: Annotated[str, typer.Option(help="Who takes the case.")],
    without: Annotated[
        list[str] | None, typer.Option(metavar="EXHIBIT", help="Leave out the bytes of this exhibit (again for more).")
    ] = None,
    redact: Annotated[
        Path | None,
        typer.Option(help="Hand over the redacted variant, by this file of rules.", exists=True, dir_okay=False),
    ] = None,
    case_uco: Annotated[
        bool,
        typer.Option("--case-uco", help="Add the case as CASE/UCO JSON-LD, checked where case-utils is installed."),
    ] = False,
    purpose: Annotated[str, typer.Option(help="What it is handed over for.")] = "",
    medium: Annotated[str, typer.Option(help="On what it travels: a disk and its serial number, a link.")] = "",
    place: Annotated[str, typer.Option(help="Where it is handed over.")] = "",
    certificate: CertificateFile = None,
    pkcs11: TokenModule = None,
    token: TokenLabel = "",
    certificate_label: CertificateLabel = "",
    certificate_password_fd: PasswordDescriptor = -1,
    ask_certificate_password: AskPassword = False,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Hand a case over: sealed, reported, and packed into reports/ as a bag that its recipient can check.

    Every exhibit is hashed while it is copied, and the bag is checked as its recipient does before it gets its name.
    With a certificate the report in it is signed, with the time of the case's first authority. Exits with 3 when a
    signature or time stamp is pending, or the case is incomplete.
    """
    if redact and (without or case_uco):
        raise UsageError("a redacted variant holds neither exhibits nor exports", remedy="--redact alone")
    key = Certificate(certificate, pkcs11, token, certificate_label)
    if redact and key:
        raise UsageError("a redacted variant does not hold the report that is signed", remedy="--redact alone")
    case = Case.load(root, number)
    order = Order(to, purpose, medium, place, tuple(dict.fromkeys(without or ())), ask=sys.stdin.isatty())
    order = replace(order, case_uco=case_uco)
    if redact:
        order = replace(order, rules=redaction.load(redact), rules_text=redact.read_bytes())
    render: Render = reissue.rendered
    if key:
        from forensics import signed  # noqa: PLC0415 - pyHanko is slow to come, and only this needs it

        credentials = key.opened(certificate_password_fd, ask=ask_certificate_password)
        render = partial(signed.rendered, credentials=credentials, stamper=stamper(case, "", None))
    made = hand_off(case, root, order, Silent() if as_json else TerminalProgress(), render)
    _show(case, made, as_json=as_json)
    raise typer.Exit(GAPS if made.pending or not made.complete else 0)


@app.command()
def receive(
    number: CaseNumber,
    receipt: Annotated[Path, typer.Argument(help="receipt.json, as it came.", exists=True, dir_okay=False)],
    *,
    key: Annotated[
        str, typer.Option(metavar="FILE|SHA256:…", help="Whose it is: the recipient's public key, or its fingerprint.")
    ],
    signature: Annotated[
        Path | None, typer.Option(help="Its signature, if not beside it with .sig behind.", exists=True, dir_okay=False)
    ] = None,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Put the receipt of a bag on record, once its signature is found to hold and to be of this case and bag.

    A bag's README.txt says how its recipient makes one. What is refused exits with 7, and says why.
    """
    case = Case.load(root, number)
    event = receive_receipt(case, root, receipt, signature or receipt.with_name(f"{receipt.name}.sig"), key)
    if as_json:
        names = ("bag", "to", "place", "time", "fingerprint", "answers")
        terminal.document({"case": number, "entry": event.sequence, **{one: event.details[one] for one in names}})
        return
    words = f"{event.details['bag']} was received by {event.details['to']}, key {event.details['fingerprint']}"
    terminal.line(f"Entry {event.sequence} of case {case.number}: {words}.")


def _show(case: Case, made: Bag, *, as_json: bool) -> None:
    if as_json:
        shown: dict[str, JSON] = {
            "case": case.number, "bag": str(made.path), "entry": made.entry, "manifest": made.manifest,
            "left_out": list(made.withheld), "pending": list(made.pending), "complete": made.complete,
            "notes": list(made.notes),
        }  # fmt: skip
        terminal.document(shown)
        return
    terminal.line(f"Bag: {made.path}")
    terminal.line(f"Entry {made.entry} of case {case.number}; the bag's tag manifest is {made.manifest}")
    for one in made.withheld:
        terminal.line(f"  left out on record: {one}")
    for one in made.pending:
        terminal.line(f"  pending: {one}")
    if not made.complete:
        terminal.line("  the case in it is incomplete: `forensics verify` says where")
    terminal.line("Its README.txt says how to check it, and how to send a receipt for `forensics receive`.")
