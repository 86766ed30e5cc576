"""What stands in a bag, and where.

bag-info.txt, README.txt     whose it is, and how to check it with stock tools; check.sh does all of that at once
verify.py                    the independent verifier
data/handoff.json            what the bag says of itself, for programs
data/CASE/                   ledger, seals and exhibits, as `verify` takes them
data/report/                 the report as of the hand-off: copies of its exhibits
data/results/                tables and timeline for programs
data/case-uco.jsonld         the case as CASE/UCO, where that is asked for
data/allowed_signers         public keys of who signed; data/authority_roots.pem: roots of who stamped
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path

from forensics import __version__, signing
from forensics.casefile import LEDGER, Case
from forensics.errors import IntegrityError
from forensics.events import Action, Event, State
from forensics.handoff import bags, results, uco
from forensics.handoff.bags import Sums
from forensics.handoff.readme import readme, redacted_readme
from forensics.handoff.redaction import Rules
from forensics.hashing import hash_file, open_regular
from forensics.model import JSON, Exhibit
from forensics.progress import Progress
from forensics.signing import Signer

FORMAT = "forensics-handoff-1"
NAMESPACES = (signing.BAG, signing.NAMESPACE, signing.RECEIPT)


@dataclass(frozen=True, slots=True)
class Order:
    """What the giver asks for."""

    to: str
    purpose: str = ""
    medium: str = ""
    place: str = ""
    without: tuple[str, ...] = ()  # numbers of exhibits whose bytes stay here
    ask: bool = False  # a passphrase may be asked for
    case_uco: bool = False  # CASE/UCO JSON-LD stands beside the results
    rules: Rules | None = None  # of redaction: what is handed over is the redacted variant
    rules_text: bytes = b""  # the file that they stand in


@dataclass(frozen=True, slots=True)
class Handed:
    """A hand-off that was begun: the case as of its last entry until the seal."""

    case: Case
    begun: Event
    events: tuple[Event, ...]
    report: tuple[Exhibit, ...]
    order: Order
    key_place: str = ""  # of the key that signs, "" where none does
    sums: Sums = field(default_factory=dict)  # of what stands in the bag's folder already

    @property
    def exhibits(self) -> tuple[Exhibit, ...]:
        """Give what goes into the bag."""
        last = self.events[-1].sequence
        return tuple(one for one in self.case.held() if one.number not in self.order.without and one.sequence <= last)

    @property
    def size(self) -> int:
        """Count about the bytes that the bag will have besides what is in it."""
        tables = sum(one.size for one in results.tabled(self.exhibits))
        left = sum(one.size for one in self.exhibits if place_of(self.case, one) not in self.sums)
        return left + 4 * tables + self.case.ledger.path.stat().st_size

    @property
    def key(self) -> Signer | None:
        """Give the key that signs the bag's lists."""
        return signing.signer(self.key_place) if self.key_place else None

    @property
    def principal(self) -> str:
        """Name who signs, as an allowed-signers file does."""
        return re.sub(r"[^A-Za-z0-9.@-]", "_", str(self.begun.details["from"]))

    def of(self, action: Action) -> list[Event]:
        """Give what was done of this kind, and came to its end."""
        return [one for one in self.events if one.action is action and one.outcome is State.FINISHED]


def place_of(case: Case, exhibit: Exhibit) -> str:
    """Tell where an exhibit stands in the payload."""
    return f"{case.number}/{exhibit.path}"


def copy_exhibits(folder: Path, case: Case, places: Mapping[str, Exhibit], sums: Sums, progress: Progress) -> None:
    """Copy exhibits to their places, once, and compare what was read with the record; IntegrityError when it is off."""
    todo = {name: one for name, one in places.items() if name not in sums}
    with progress.task("copying exhibits", sum(one.size for one in todo.values())) as advance:
        for name, one in todo.items():
            case.check(one, partial(bags.copy, folder=folder, name=name, sums=sums, advance=advance))


def write(folder: Path, handed: Handed, progress: Progress) -> None:
    """Put the payload together in a folder of its own."""
    inside = folder / handed.case.number
    places = {place_of(handed.case, one): one for one in handed.exhibits}
    given = [one for one in handed.report if one.number not in handed.order.without]
    places |= {f"report/{one.path.name}": one for one in given}
    copy_exhibits(folder, handed.case, places, handed.sums, progress)
    bags.put(inside / LEDGER, b"".join(ledger_of(handed)))
    write_seals(inside / "seals", handed)
    progress.say("writing tables for programs")
    for one in results.tabled(handed.exhibits):
        results.write(folder / "results", one, results.load(handed.case.path(one), one))
    write_keys(folder, handed)
    if handed.order.case_uco:
        _write_uco(folder / "case-uco.jsonld", handed, progress)
    text = json.dumps(facts_of(handed), indent=1, ensure_ascii=True) + "\n"
    bags.put(folder / "handoff.json", text.encode("ascii"))


def _write_uco(path: Path, handed: Handed, progress: Progress) -> None:
    checked = uco.write(path, handed.case.id, handed.case.facts, handed.events, handed.case.exhibits())
    if not checked:
        progress.say("the CASE/UCO export was not checked: install the extra `exchange` (case-utils)")


def info(handed: Handed, pending: Sequence[str]) -> dict[str, str]:
    """Give the lines of bag-info.txt (RFC 8493, 2.2.2): what a person reads first."""
    facts, last = handed.case.facts, handed.events[-1]
    examiner = facts["examiner"]
    who = examiner if isinstance(examiner, dict) else {}
    lines = {
        "Source-Organization": who.get("organisation"),
        "Contact-Name": handed.begun.details["from"],
        "Contact-Email": who.get("contact"),
        "External-Description": facts["title"],
        "External-Identifier": handed.case.number,
        "Bagging-Date": handed.begun.time[:10],
        "Bag-Software-Agent": f"forensics {__version__}",
        "Case-Identifier": handed.case.id,
        "Handed-To": handed.order.to,
        "Purpose": handed.order.purpose,
        "Medium": handed.order.medium,
        "Ledger-Entries": len(handed.events),
        "Ledger-Head": last.digest,
        "Report-As-Of-Entry": handed.report[-1].facts["as_of"] if handed.report else "",
        "Left-Out": ", ".join(f"{one} ({handed.case.exhibit(one).digest})" for one in handed.order.without)
        or "nothing",
        "Pending": "; ".join(pending) or "nothing",
    }
    return {name: " ".join(str(value).split()) for name, value in lines.items() if value not in {None, ""}}


def beside(handed: Handed) -> dict[str, bytes]:
    """Give what stands at the bag's root for people: how to check it, and with what."""
    ours = resources.files("forensics")
    return {
        "README.txt": _readme(handed),
        "check.sh": ours.joinpath("handoff", "check.sh").read_bytes(),
        "verify.py": ours.joinpath("verify.py").read_bytes(),
    }


def _readme(handed: Handed) -> bytes:
    if handed.order.rules is not None:
        return redacted_readme(facts_of(handed)).encode("utf-8")
    return readme(facts_of(handed), [one.path.name for one in handed.report], _checks(handed)).encode("utf-8")


def digests(bag: Path) -> dict[str, JSON]:
    """Give what tells this bag from any other: the digests of its lists, and the ledger's head in it."""
    told = json.loads((bag / "data" / "handoff.json").read_bytes())
    return {
        "manifest": str(hash_file(bag / bags.TAG_MANIFEST).digest),
        "payload": str(hash_file(bag / bags.MANIFEST).digest),
        "head": str(told["head"]),
    }


def facts_of(handed: Handed) -> dict[str, JSON]:
    """Give what the bag says of itself: handoff.json."""
    details, last = handed.begun.details, handed.events[-1]
    report = handed.report[-1].facts if handed.report else {}
    key = handed.key
    return {
        "format": FORMAT,
        "bag": details["bag"],
        "variant": details["variant"],
        "case": handed.case.id,
        "number": handed.case.number,
        "title": handed.case.facts["title"],
        "entry": handed.begun.sequence,
        "entry_digest": handed.begun.digest,
        "entries": len(handed.events),
        "head": last.digest,
        "as_of": report.get("as_of"),
        "as_of_head": report.get("head"),
        **{name: details[name] for name in ("from", "to", "medium", "place", "withheld")},
        "purpose": handed.begun.reason,
        "principal": handed.principal if key else "",
        "fingerprint": key.fingerprint if key else "",
    }


def _checks(handed: Handed) -> dict[str, list[tuple[str, str]]]:
    """Give what stock tools can check of the seals: signatures with who signed, stamps with their roots."""
    signed = [(str(one.details["file"]), str(one.details["principal"])) for one in handed.of(Action.SIGNED)]
    stamped = [(str(one.details["file"]), str(one.details["roots_file"])) for one in handed.of(Action.TIME_STAMPED)]
    return {"signed": signed, "stamped": stamped}


def ledger_of(handed: Handed) -> list[bytes]:
    """Give the lines of the ledger up to the entry that the bag is made as of."""
    with open(open_regular(handed.case.ledger.path), "rb") as source:  # noqa: PTH123 - a descriptor
        lines = [source.readline() for _ in handed.events]
    if not lines[-1].endswith(f'"digest":"{handed.events[-1].digest}"}}\n'.encode("ascii")):
        raise IntegrityError("the ledger changed while it was copied", where=str(handed.case.ledger.path))
    return lines


def write_seals(folder: Path, handed: Handed) -> None:
    """Copy the seals, and what the ledger knows of beside them; nothing else that stands there."""
    place = handed.case.folder / "seals"
    names = {one.name for one in place.glob("[0-9]*.json")}
    names |= {str(one.details["file"]) for one in handed.of(Action.SIGNED)}
    names |= {str(one.details[name]) for one in handed.of(Action.TIME_STAMPED) for name in ("file", "roots_file")}
    names |= {"allowed_signers"} if handed.of(Action.SIGNED) else set()
    for name in sorted(names):
        with os.fdopen(open_regular(place / name), "rb") as file:
            bags.put(folder / name, file.read())


def write_keys(folder: Path, handed: Handed) -> None:
    """Write the public keys of all who signed, and the certificates of all who stamped."""
    people = {str(one.details["public"]): str(one.details["principal"]) for one in handed.of(Action.SIGNED)}
    if handed.key is not None:
        people[handed.key.public] = handed.principal
    roots = dict.fromkeys(str(one.details["roots"]) for one in handed.of(Action.TIME_STAMPED))
    if people:
        text = "".join(signing.allow(principal, public, *NAMESPACES) for public, principal in people.items())
        bags.put(folder / "allowed_signers", text.encode("ascii"))
    if roots:
        bags.put(folder / "authority_roots.pem", "".join(roots).encode("ascii"))
