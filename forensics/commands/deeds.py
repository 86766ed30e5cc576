"""What people do with a case, put on record: note, deviation, access, transfer, dispose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forensics import deeds, terminal
from forensics.casefile import Case
from forensics.commands.options import HERE, AsJson, CaseNumber, Root
from forensics.errors import UsageError
from forensics.events import Event
from forensics.model import JSON, Examiner

app = typer.Typer()

Exhibits = Annotated[list[str] | None, typer.Argument(help="Numbers of exhibits: E0001 …", metavar="[EXHIBIT]…")]
Read = Annotated[list[str], typer.Argument(help="Numbers of exhibits: E0001 …", metavar="EXHIBIT…")]
By = Annotated[str, typer.Option("--by", help="Who does it, if not the case's examiner.")]
Place = Annotated[str, typer.Option("--place", help="Where it happens.")]


@app.command()
def note(
    number: CaseNumber,
    exhibits: Exhibits = None,
    *,
    text: Annotated[str, typer.Option(help="What is to be on record.")],
    by: By = "",
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Put an observation on record, or the correction of an entry; entries themselves are never changed."""
    case = _case(root, number, by)
    _said(case, deeds.note(case, text, exhibits or ()), as_json=as_json)


@app.command()
def deviation(
    number: CaseNumber,
    exhibits: Exhibits = None,
    *,
    text: Annotated[str, typer.Option(help="What was done otherwise than planned, and why.")],
    accepted_by: Annotated[str, typer.Option(help="Who accepted it.")],
    by: By = "",
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Put on record what was done otherwise than planned, and who accepted it; the report lists it."""
    case = _case(root, number, by)
    _said(case, deeds.deviate(case, text, accepted_by, exhibits or ()), as_json=as_json)


@app.command()
def access(
    number: CaseNumber,
    exhibits: Read,
    *,
    purpose: Annotated[str, typer.Option(help="What the exhibits are read for, and with what.")],
    who: Annotated[str, typer.Option(help="Who reads them, if not who records it.")] = "",
    place: Place = "",
    by: By = "",
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Put on record that someone reads exhibits outside of this program; their digests are compared first."""
    case = _case(root, number, by)
    _said(case, deeds.access(case, exhibits, purpose, who, place), as_json=as_json)


@app.command()
def transfer(
    number: CaseNumber,
    exhibits: Exhibits = None,
    *,
    to: Annotated[str, typer.Option(help="Who takes them.")] = "",
    medium: Annotated[str, typer.Option(help="On what they travel: a disk and its serial number, a link.")] = "",
    purpose: Annotated[str, typer.Option(help="What they are handed over for.")] = "",
    acknowledge: Annotated[
        int | None, typer.Option(metavar="ENTRY", help="Acknowledge the transfer of this entry: digests are compared.")
    ] = None,
    place: Place = "",
    by: By = "",
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Hand exhibits over, and acknowledge them on the other side; each side is an entry of its own.

    Who gives: `transfer CASE [EXHIBIT]… --to NAME --medium … --purpose …` (no exhibit named: all of them).
    Who takes: `transfer CASE --acknowledge ENTRY --by NAME`, where the exhibits are now.
    """
    if (acknowledge is None) == (not to):
        raise UsageError("a transfer is either handed over (--to) or acknowledged (--acknowledge)")
    case = _case(root, number, by)
    if acknowledge is None:
        done = deeds.give(case, exhibits or (), to, purpose=purpose, medium=medium, place=place)
    elif exhibits or medium or not by:
        raise UsageError("an acknowledgement names --by and nothing else that the transfer named already")
    else:
        done = deeds.take(case, acknowledge, by, place, purpose)
    _said(case, done, as_json=as_json)


@app.command()
def dispose(
    number: CaseNumber,
    exhibits: Read,
    *,
    how: Annotated[str, typer.Option(help="How: destroyed, and by what method, or returned, and to whom.")],
    authority: Annotated[str, typer.Option(help="By whose authority.")],
    by: By = "",
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Put on record that exhibits are destroyed or returned. The files stay: remove them yourself afterwards."""
    case = _case(root, number, by)
    _said(case, deeds.dispose(case, exhibits, how, authority), as_json=as_json)


def _case(root: Path, number: str, by: str) -> Case:
    return Case.load(root, number, Examiner(by) if by else None)


def _said(case: Case, event: Event, *, as_json: bool) -> None:
    if as_json:
        shown: dict[str, JSON] = {
            "case": case.number,
            "entry": event.sequence,
            "action": str(event.action),
            "digest": event.digest,
            "exhibits": [one.exhibit for one in event.materials],
        }
        terminal.document(shown)
        return
    count = f", {len(event.materials)} exhibits" if event.materials else ""
    terminal.line(f"Entry {event.sequence} of case {case.number}: {event.action}{count}.")
