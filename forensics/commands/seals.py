"""Seal a case, fetch what is pending, and have a second person sign."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from forensics import sealing, seals, signing, terminal
from forensics.casefile import Case
from forensics.commands.options import HERE, AsJson, Authorities, CaseNumber, Key, Root, Roots
from forensics.errors import CaseError, UsageError
from forensics.model import JSON, Examiner
from forensics.progress import Silent
from forensics.sealing import Wanted
from forensics.terminal import TerminalProgress

app = typer.Typer()
PENDING = 3
NOT_EXCLUDED = (
    "This seal carries no time stamp of an outside authority. Whoever holds the case folder and the key could have cut "
    "or rewritten the ledger before the seal, or make another seal. Keep its head elsewhere, or have it stamped: --tsa "
    "URL."
)


@app.command()
def seal(
    number: CaseNumber,
    *,
    pending: Annotated[
        bool, typer.Option("--pending", help="Make no new seal; fetch what the newest one still lacks.")
    ] = False,
    key: Key = "",
    tsa: Authorities = None,
    tsa_roots: Roots = None,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Hash every exhibit again and seal the ledger's head: signed by your SSH key, stamped by an authority.

    Key and authorities are those that the case was opened with, unless others are given. What cannot be had now is
    on record as pending, and exits with 3; `--pending` tries again.
    """
    case = Case.load(root, number)
    progress = Silent() if as_json else TerminalProgress()
    ask_for = _wanted(case, key, tsa, tsa_roots)
    if pending:
        path = _newest(case)
    else:
        made = sealing.make(case, progress)
        sealing.record(case, made)
        path = made.path
    left = sealing.attest(case, path, ask_for, progress, again=True)
    _show(case, path, left, as_json=as_json)
    raise typer.Exit(PENDING if left else 0)


@app.command()
def countersign(
    number: CaseNumber,
    *,
    by: Annotated[str, typer.Option("--by", help="Who countersigns: a second person.")],
    key: Key,
    role: Annotated[str, typer.Option(help="Their role.")] = "",
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Have a second person sign the newest seal with a key of their own."""
    case = Case.load(root, number, Examiner(by, role))
    path = _newest(case)
    sealing.countersign(case, path, signing.signer(key), ask=sys.stdin.isatty())
    _show(case, path, (), as_json=as_json)


def _newest(case: Case) -> Path:
    path = seals.last(case.folder / "seals")
    if path is None:
        raise CaseError("there is no seal yet", where=f"case {case.number}", remedy=f"forensics seal {case.number}")
    return path


def _wanted(case: Case, key: str, tsa: list[str] | None, roots: Path | None) -> Wanted:
    opened = sealing.wanted(case, ask=sys.stdin.isatty())
    if roots is not None and not (tsa or opened.authorities):
        raise UsageError("roots without an authority", remedy="--tsa URL names one")
    chosen = replace(opened, key=key or opened.key, roots=roots or opened.roots)
    return replace(chosen, authorities=tuple(tsa)) if tsa else chosen


def _show(case: Case, path: Path, left: tuple[str, ...], *, as_json: bool) -> None:
    said = sealing.attested(case, path)
    if as_json:
        facts: dict[str, JSON] = {"case": case.number, "seal": path.name, "attested": list(said), "pending": list(left)}
        terminal.document(facts)
        return
    terminal.line(f"Seal {path.name} of case {case.number}")
    for one in said:
        terminal.line(f"  {one}")
    for one in left:
        terminal.line(f"  pending: {one}")
    if not any(one.startswith("stamped") for one in said):
        terminal.line(NOT_EXCLUDED)
