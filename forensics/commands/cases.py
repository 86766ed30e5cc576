"""Open, list, show, close and reopen cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from forensics import casefile, encryption, locks, signing, terminal
from forensics.casefile import Case, Stamps
from forensics.commands.options import HERE, AsJson, Authorities, CaseNumber, Key, Reason, Root, Roots
from forensics.errors import ForensicsError, IntegrityError
from forensics.events import Action, Event
from forensics.model import JSON, Examiner

app = typer.Typer()

QUIET = {Action.COMMAND, Action.EXHIBIT_ENTERED, Action.ITEM_ENDED, Action.CHANGE_INTENDED, Action.CHANGE_RESTORED}


@app.command("open")
def open_(
    number: CaseNumber,
    *,
    title: Annotated[str, typer.Option(help="What the case is about, in one line.")],
    examiner: Annotated[str, typer.Option(help="Who works on it.")],
    authority: Annotated[str, typer.Option(help="By what right: warrant, contract, ticket, consent.")],
    authority_document: Annotated[
        Path | None, typer.Option(help="Its document; the digest is recorded.", exists=True, dir_okay=False)
    ] = None,
    scope: Annotated[str, typer.Option(help="Which targets and deeds are covered.")] = "",
    question: Annotated[str, typer.Option(help="What the case is to answer.")] = "",
    qualification: Annotated[str, typer.Option(help="What qualifies the examiner, in a sentence.")] = "",
    responsible: Annotated[str, typer.Option(help="Who answers for the case, if not the examiner.")] = "",
    role: Annotated[str, typer.Option(help="The examiner's role.")] = "",
    contact: Annotated[str, typer.Option(help="How to reach the examiner.")] = "",
    organisation: Annotated[str, typer.Option(help="The examiner's organisation.")] = "",
    second_digest: Annotated[
        str, typer.Option(help="Beside SHA-256, for every exhibit: blake2b, sha3_256 or sha512.", metavar="ALGORITHM")
    ] = "",
    encrypt_to: Annotated[
        list[str] | None,
        typer.Option(help="Encrypt memory at rest to this age recipient, or those of a file.", metavar="age1…|FILE"),
    ] = None,
    key: Key = "",
    tsa: Authorities = None,
    tsa_roots: Roots = None,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Open a case: a folder below cases/, with a ledger whose first entry says what it is."""
    who = Examiner(examiner, role, contact, organisation)
    case = casefile.open_case(
        root,
        number,
        title,
        who,
        authority,
        scope=scope,
        responsible=responsible,
        question=question,
        qualification=qualification,
        authority_document=authority_document,
        key=signing.signer(key) if key else None,
        stamps=Stamps(tuple(tsa or ()), tsa_roots),
        second_digest=second_digest,
        encrypt_to=encryption.recipients(encrypt_to or ()),
    )
    if as_json:
        terminal.document(_facts(case))
    else:
        terminal.line(f"Case {case.number} is open: {case.folder}")


@app.command("list")
def list_(*, root: Root = HERE, as_json: AsJson = False) -> None:
    """List the cases. A damaged one is said to be so among the others, and the exit code is 4."""
    cases = [_loaded(root, number) for number in casefile.list_cases(root)]
    damaged = [one for one in cases if isinstance(one, _Damaged)]
    if as_json:
        terminal.document([_damage(one) if isinstance(one, _Damaged) else _facts(one) for one in cases])
    else:
        empty = "There are no cases here; `forensics open` opens one."
        columns = ("case", "state", "title", "exhibits", "opened (UTC)")
        terminal.grid("", columns, [_listed(case) for case in cases], empty=empty)
    if damaged:
        raise typer.Exit(IntegrityError.exit_code)


@app.command()
def status(number: CaseNumber, *, root: Root = HERE, as_json: AsJson = False) -> None:
    """Show where a case stands: each stage of each target with its outcome, and the exhibits."""
    case = Case.load(root, number)
    stages = _stages(case)
    if as_json:
        terminal.document({**_facts(case), "stages": list(stages), "exhibits": _exhibits(case)})
        return
    facts = case.facts
    terminal.line(f"{case.number}: {facts['title']} ({'closed' if case.closed else 'open'})")
    rows = [tuple(str(one[name]) for name in ("target", "stage", "outcome", "ended", "reason")) for one in stages]
    terminal.grid("Stages", ("target", "stage", "outcome", "ended (UTC)", "reason"), rows, empty="No stage has run.")
    listed = [(e.number, e.title, e.size, str(e.digest)) for e in case.exhibits()]
    terminal.grid("Exhibits", ("number", "title", "bytes", "digest"), listed, empty="There are no exhibits.")


@app.command()
def custody(
    number: CaseNumber,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Commands, exhibits and items too.")] = False,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Show the custody log: who did what, when, why, and how it ended."""
    case = Case.load(root, number)
    events = [event for event in case.events() if everything or as_json or event.action not in QUIET]
    if as_json:
        terminal.document([_event(event) for event in events])
        return
    rows = [
        (
            event.sequence,
            event.time[:19].replace("T", " "),
            event.actor.name,
            event.action,
            _about(event),
            event.outcome or "",
        )
        for event in events
    ]
    terminal.grid("", ("entry", "time (UTC)", "who", "what", "about", "outcome"), rows, empty="The ledger is empty.")
    folded = Counter(event.action for event in case.events() if event.action in QUIET)
    if folded and not everything:
        counts = ", ".join(f"{count} × {action}" for action, count in sorted(folded.items()))
        terminal.line(f"Not shown: {counts}. --all shows them.")
    last = case.events()[-1]
    terminal.line(f"{last.sequence + 1} entries; the last is {last.sequence}.")


@app.command()
def close(number: CaseNumber, *, reason: Reason, root: Root = HERE, as_json: AsJson = False) -> None:
    """Close a case: nothing more is done in it until it is reopened."""
    case = Case.load(root, number)
    with locks.idle(case):
        case.close(reason)
    _said(case, f"Case {number} is closed.", as_json=as_json)


@app.command()
def reopen(number: CaseNumber, *, reason: Reason, root: Root = HERE, as_json: AsJson = False) -> None:
    """Open a closed case again."""
    case = Case.load(root, number)
    case.reopen(reason)
    _said(case, f"Case {number} is open again.", as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Damaged:
    """A case that cannot be read, and why."""

    number: str
    problem: ForensicsError


def _loaded(root: Path, number: str) -> Case | _Damaged:
    try:
        return Case.load(root, number)
    except ForensicsError as problem:
        return _Damaged(number, problem)


def _listed(case: Case | _Damaged) -> tuple[object, ...]:
    if isinstance(case, _Damaged):
        return (case.number, "DAMAGED", str(case.problem), "", "")
    state = "closed" if case.closed else "open"
    return (case.number, state, case.facts["title"], len(case.exhibits()), case.facts["opened"])


def _damage(case: _Damaged) -> dict[str, JSON]:
    return {"number": case.number, "damaged": True, "why": str(case.problem)}


def _said(case: Case, words: str, *, as_json: bool) -> None:
    if as_json:
        terminal.document(_facts(case))
    else:
        terminal.line(words)


def _facts(case: Case) -> dict[str, JSON]:
    return {**case.facts, "closed": case.closed, "entries": len(case.events())}


def _exhibits(case: Case) -> list[JSON]:
    return [
        {
            "number": one.number,
            "kind": one.kind,
            "title": one.title,
            "path": str(one.path),
            "size": one.size,
            "digest": str(one.digest),
            "target": one.target,
            "stage": one.stage,
            "entered": one.entered,
        }
        for one in case.exhibits()
    ]


def _stages(case: Case) -> list[dict[str, JSON]]:
    found: dict[tuple[str, str], dict[str, JSON]] = {}
    for event in case.events():
        if event.action in {Action.STAGE_STARTED, Action.STAGE_ENDED}:
            ended = event.action is Action.STAGE_ENDED
            found[event.target, event.stage] = {
                "target": event.target,
                "stage": event.stage,
                "outcome": str(event.outcome or ""),
                "ended": event.time if ended else "",
                "reason": event.reason,
            }
    return list(found.values())


def _about(event: Event) -> str:
    return " · ".join(part for part in (event.target, event.stage, event.reason) if part)


def _event(event: Event) -> dict[str, JSON]:
    return {
        "sequence": event.sequence,
        "time": event.time,
        "actor": event.actor.name,
        "action": str(event.action),
        "target": event.target,
        "stage": event.stage,
        "reason": event.reason,
        "outcome": str(event.outcome or ""),
        "products": [one.exhibit for one in event.products],
        "details": dict(event.details),
    }
