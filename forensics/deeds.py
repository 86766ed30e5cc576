"""What people do with a case, put on record: notes, deviations, access, transfers, disposal.

A closed case takes them too: custody goes on until the last exhibit is gone. An exhibit that is read, given, taken or
disposed of is hashed first, so that the entry says what it was at that moment; a note and a deviation name it as it was
recorded. Nothing here moves or deletes a file.
"""

from __future__ import annotations

from collections.abc import Sequence

from forensics.casefile import Case, things
from forensics.errors import UsageError
from forensics.events import Action, Deed, Deviation, Event, State
from forensics.model import JSON, Exhibit

GIVEN, TAKEN = "given", "taken"
"""The two sides of a transfer; each is an entry of its own."""


def note(case: Case, text: str, numbers: Sequence[str] = ()) -> Event:
    """Record an observation, or the correction of an earlier entry: entries themselves are never changed."""
    return case.append(Deed(Action.NOTE, _said(text, "the note"), materials=things(_named(case, numbers))))


def deviate(case: Case, text: str, accepted: str, numbers: Sequence[str] = ()) -> Event:
    """Record what was done otherwise than planned, and who accepted it."""
    words = _said(text, "the deviation")
    accepted_by = Deviation(words, _said(accepted, "who accepted it"))
    return case.append(Deed(Action.DEVIATION, words, materials=things(_named(case, numbers)), deviation=accepted_by))


def access(case: Case, numbers: Sequence[str], purpose: str, who: str = "", place: str = "") -> Event:
    """Record that someone reads exhibits outside of this program; each has its recorded digest, or nothing is recorded.

    Raises IntegrityError for an exhibit that is not what was recorded.
    """
    details: dict[str, JSON] = {"who": who or case.ledger.signature.actor.name, "place": place}
    read = _checked(case, numbers)
    return case.append(Deed(Action.ACCESSED, _said(purpose, "the purpose"), materials=things(read), details=details))


def give(case: Case, numbers: Sequence[str], to: str, *, purpose: str, medium: str, place: str = "") -> Event:
    """Record that exhibits (all, where none is named) leave for someone; whoever takes them answers with `take`."""
    moved = _checked(case, numbers) if numbers else _checked(case, [one.number for one in case.held()])
    details: dict[str, JSON] = {
        "side": GIVEN,
        "from": case.ledger.signature.actor.name,
        "to": _said(to, "who takes them"),
        "medium": _said(medium, "the medium"),
        "place": place,
    }
    words = _said(purpose, "the purpose")
    return case.append(Deed(Action.TRANSFERRED, words, materials=things(moved), outcome=State.STARTED, details=details))


def take(case: Case, entry: int, who: str, place: str = "", remark: str = "") -> Event:
    """Record that whoever was to take exhibits has them, each hashed where it is now and as it was given.

    Raises UsageError when the entry is no transfer or was answered, IntegrityError when an exhibit arrived changed.
    """
    given = _given(case, entry)
    arrived = _checked(case, [one.exhibit for one in given.materials])
    details: dict[str, JSON] = {
        "side": TAKEN,
        "from": given.details["from"],
        "to": _said(who, "who takes them"),
        "medium": given.details["medium"],
        "place": place,
        "answers": entry,
        "answered": given.digest,
    }
    words = remark or "every digest was compared on receipt"
    deed = Deed(Action.TRANSFERRED, words, materials=things(arrived), outcome=State.FINISHED, details=details)
    return case.append(deed)


def unanswered(case: Case) -> tuple[Event, ...]:
    """Give the transfers that nobody has acknowledged, oldest first."""
    moves = [one for one in case.events() if one.action is Action.TRANSFERRED]
    answered = {one.details.get("answers") for one in moves if one.details["side"] == TAKEN}
    return tuple(one for one in moves if one.details["side"] == GIVEN and one.sequence not in answered)


def dispose(case: Case, numbers: Sequence[str], how: str, authority: str) -> Event:
    """Record that exhibits are destroyed or returned, by whose authority; the files are the person's to remove after.

    From then on a missing file is as recorded, and no stage takes the exhibit. Raises IntegrityError for an exhibit
    that is not what was recorded: what is disposed of is known to the byte.
    """
    details: dict[str, JSON] = {"how": _said(how, "the way of disposal"), "authority": authority}
    gone = _checked(case, numbers)
    return case.append(
        Deed(Action.DISPOSED, _said(authority, "the authority"), materials=things(gone), details=details)
    )


def _given(case: Case, entry: int) -> Event:
    found = next((one for one in case.events() if one.sequence == entry), None)
    if found is None or found.action is not Action.TRANSFERRED or found.details["side"] != GIVEN:
        remedy = "`forensics custody CASE` shows the entries"
        raise UsageError(f"entry {entry} is no transfer that can be acknowledged", where=case.number, remedy=remedy)
    if found not in unanswered(case):
        raise UsageError(f"transfer {entry} was acknowledged already", where=case.number)
    return found


def _named(case: Case, numbers: Sequence[str]) -> tuple[Exhibit, ...]:
    return tuple(case.exhibit(one) for one in dict.fromkeys(numbers))


def _checked(case: Case, numbers: Sequence[str]) -> tuple[Exhibit, ...]:
    if not numbers:
        raise UsageError("no exhibit is named", where=case.number, remedy="name exhibits: E0001 …")
    found = _named(case, numbers)
    for one in found:
        case.check(one)
    return found


def _said(words: str, what: str) -> str:
    if not words.strip():
        raise UsageError(f"{what} is empty")
    return words
