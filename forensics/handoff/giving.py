"""Hand a case over: an entry, the report as of it, a seal over both, and a bag of all that is on record until then.

1. `handed off` (started) names the exhibits that go and those that are left out. Each is hashed while it is copied.
2. The report is rendered as of that entry, signed where there is a certificate, and the ledger's head is sealed: signed
   and stamped, as the case asks. What was not copied is hashed for it.
3. The bag is written, read once more by the independent verifier, and gets its name (see `bags`).
4. `handed off` (finished) has the digests of the bag's lists; the receipt that comes back names them.

What is killed in between stands as begun; `settle` finds by the bag's name how far it came.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics import locks, reissue, sealing, verify
from forensics.casefile import Case, things
from forensics.errors import CaseError, ForensicsError, UsageError
from forensics.events import Action, Deed, Event, State
from forensics.handoff import bags, contents, redacted
from forensics.handoff.contents import Handed, Order
from forensics.handoff.redaction import Redactor
from forensics.hashing import hash_bytes
from forensics.model import JSON, Exhibit
from forensics.progress import Progress


@dataclass(frozen=True, slots=True)
class Bag:
    """A bag that has its name."""

    path: Path
    entry: int  # of the ledger, that tells of the hand-off
    manifest: str  # digest of its tag manifest, which holds for all of it
    withheld: tuple[str, ...]
    pending: tuple[str, ...]  # what its seal still lacks
    notes: tuple[str, ...]  # what the verifier had to say besides
    complete: bool  # whether the verifier called the case in it so


Render = Callable[[Case, Progress], tuple[Exhibit, ...]]


def hand_off(case: Case, root: Path, order: Order, progress: Progress, render: Render = reissue.rendered) -> Bag:
    """Make a bag of a case in reports/; it is there whole and checked when this returns, or not at all.

    `render` makes the report, while nobody else works on the case. Raises IntegrityError when an exhibit is not what
    was recorded, CaseError when someone works on the case.
    """
    reports = root.absolute() / "reports"
    reports.mkdir(exist_ok=True)
    with locks.idle(case):
        settle(case, reports)
        begun = _begin(case, order)
        folder = reports / str(begun.details["folder"])
        try:
            return _write(case, order, begun, reports, render, progress)
        except BaseException as problem:
            shutil.rmtree(folder, ignore_errors=True)
            state = State.INTERRUPTED if isinstance(problem, KeyboardInterrupt) else State.FAILED
            _end(case, begun, state, str(problem) or "it was interrupted")
            raise


def settle(case: Case, reports: Path) -> None:
    """Record how hand-offs ended whose writer was killed: with a bag that has its name, or with none."""
    for begun in unfinished(case.events()):
        shutil.rmtree(reports / Path(str(begun.details["folder"])).name, ignore_errors=True)
        bag = reports / Path(str(begun.details["bag"])).name
        if bag.is_dir() and verify.verify(bag).code in {verify.OK, verify.INCOMPLETE}:
            words = "its writer was ended after the bag had its name; the bag was checked again"
            _end(case, begun, State.RECOVERED, words, contents.digests(bag))
        else:
            _end(case, begun, State.INTERRUPTED, "its writer was ended before the bag had its name")


def unfinished(events: Iterable[Event]) -> list[Event]:
    """Give the hand-offs that were begun and have no end."""
    own = [one for one in events if one.action is Action.HANDED_OFF]
    ended = {one.details.get("answers") for one in own}
    return [one for one in own if one.outcome is State.STARTED and one.sequence not in ended]


def _begin(case: Case, order: Order) -> Event:
    held = case.held()
    if not held:
        raise CaseError("there is nothing to hand over", where=f"case {case.number}", why="it holds no exhibit")
    for number in order.without:
        case.exhibit(number)
    given = () if order.rules else tuple(one for one in held if one.number not in order.without)
    before = sum(one.action is Action.HANDED_OFF and one.outcome is State.STARTED for one in case.events())
    name = f"{case.number}-bag-{before + 1:04d}"
    details: dict[str, JSON] = {
        "from": case.ledger.signature.actor.name,
        "to": _said(order.to, "who takes the case"),
        "medium": order.medium,
        "place": order.place,
        "bag": name,
        "folder": f".{name}.{secrets.token_hex(8)}",
        "variant": "redacted" if order.rules else "whole",
        "rules": str(hash_bytes(order.rules_text)) if order.rules else "",
        "withheld": list(order.without),
    }
    deed = Deed(Action.HANDED_OFF, order.purpose, materials=things(given), outcome=State.STARTED, details=details)
    return case.append(deed)


def _write(  # noqa: PLR0917 - all that a hand-off is made of
    case: Case, order: Order, begun: Event, reports: Path, render: Render, progress: Progress
) -> Bag:
    given = [case.exhibit(one.exhibit) for one in begun.materials]
    bags.require_room(reports, sum(one.size for one in given))
    folder = reports / str(begun.details["folder"])
    folder.mkdir(mode=0o700)
    sums: bags.Sums = {}
    places = {contents.place_of(case, one): one for one in given}
    contents.copy_exhibits(folder / bags.PAYLOAD, case, places, sums, progress)  # 1
    report = render(case, progress)  # 2
    seal = sealing.make(case, progress, again=False)
    sealing.record(case, seal)
    wanted = sealing.wanted(case, ask=order.ask)
    pending = sealing.attest(case, seal.path, wanted, progress, again=True)
    handed = Handed(case, begun, case.events(), report, order, _can_sign(wanted.key, pending), sums)
    return pack(handed, pending, reports, progress)


def pack(handed: Handed, pending: tuple[str, ...], reports: Path, progress: Progress) -> Bag:
    """Write the bag of a hand-off that was begun, reported and sealed, and record its end."""
    begun, order = handed.begun, handed.order
    folder = reports / str(begun.details["folder"])
    place = reports / str(begun.details["bag"])
    bags.require_room(reports, handed.size)
    payload = folder / bags.PAYLOAD
    payload.mkdir(mode=0o700, parents=True, exist_ok=True)
    info, beside = contents.info(handed, pending), contents.beside(handed)
    if order.rules is None:
        contents.write(payload, handed, progress)  # 3
    else:
        redactor = Redactor(order.rules)
        redacted.write(payload, handed, redactor, progress)
        info = redactor.everything(info)
        beside["README.txt"] = redactor.text(beside["README.txt"].decode("utf-8")).encode("utf-8")
    bags.make(folder, info, beside, handed.sums, handed.key, ask=order.ask)
    progress.say("checking the bag as its recipient does")
    result = bags.publish(folder, place)
    digests = contents.digests(place)
    _end(handed.case, begun, State.FINISHED, "", digests)  # 4
    return Bag(
        place,
        begun.sequence,
        str(digests["manifest"]),
        order.without,
        pending,
        tuple(result.notes),
        complete=result.code == verify.OK,
    )


def _can_sign(place: str, pending: Sequence[str]) -> str:
    """Give the key's place, where it has just signed the seal: what could not be had once is not asked for again."""
    return "" if any(one.startswith("signature") for one in pending) else place


def _end(case: Case, begun: Event, state: State, words: str, digests: Mapping[str, JSON] | None = None) -> None:
    details: dict[str, JSON] = {"bag": begun.details["bag"], "answers": begun.sequence, "answered": begun.digest}
    try:
        case.append(Deed(Action.HANDED_OFF, words, outcome=state, details={**details, **(digests or {})}))
    except ForensicsError:
        if state is State.FINISHED:
            raise  # otherwise the problem that ended it is the one to tell, and `settle` records it later


def _said(words: str, what: str) -> str:
    if not words.strip():
        raise UsageError(f"{what} is not named", remedy="--to NAME")
    return words
