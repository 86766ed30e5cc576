"""A case on disk: its folder, its ledger, and the exhibits that the ledger has entered.

`cases/NUMBER/` (0700) holds `custody.jsonl`, `exhibits/` (files 0400), `seals/` and `work/`. What is on record is what
the ledger says; a `Case` reads on from where it stopped, so that several processes see each other's events.
"""

from __future__ import annotations

import os
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from forensics import provenance
from forensics.errors import CaseError, IntegrityError, UsageError
from forensics.events import LINE_LIMIT, Action, Deed, Deviation, Event, Thing, decode
from forensics.hashing import SECOND, Hashed, hash_whole
from forensics.ledger import Ledger, Signature, sync_folder
from forensics.model import JSON, Digest, Examiner, Exhibit, Result
from forensics.model import Outcome as ItemOutcome
from forensics.signing import Signer

LEDGER = "custody.jsonl"
FOLDERS = ("exhibits", "seals", "work")
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Stamps:
    """Time stamp authorities that a case's seals go to."""

    authorities: tuple[str, ...] = ()  # http or https
    roots: Path | None = None  # certificates trusted for them; None: this system's


class Case:
    """One case, open for reading and for what the pipeline does with it."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder = folder
        self.number = folder.name
        self.ledger = ledger
        self._events: list[Event] = []
        self._exhibits: dict[str, Exhibit] = {}
        self._disposed: dict[str, int] = {}  # by which entry
        self._offset = 0
        self._checked: dict[str, tuple[int, ...]] = {}
        self.identity = b""  # age's, which opens what is encrypted; never on record
        self.refresh()

    @classmethod
    def load(cls, root: Path, number: str, examiner: Examiner | None = None) -> Case:
        """Open a case that exists; without an examiner, the one who opened it acts.

        Raises CaseError when there is none, IntegrityError when any line of its ledger is not what was written.
        """
        folder = root / "cases" / _valid(number)
        first = _first_event(folder / LEDGER)
        actor = provenance.actor(examiner or _examiner(first.details))
        return cls(folder, Ledger(folder / LEDGER, Signature(first.case, actor, provenance.tool()), folder / "work"))

    @property
    def id(self) -> str:
        """The case's random name, in every line of its ledger."""
        return self.ledger.signature.case

    @property
    def facts(self) -> Mapping[str, JSON]:
        """Number, title, examiner, authority, scope … as opened."""
        return {**self._events[0].details, "opened": self._events[0].time, "case": self.id}

    @property
    def closed(self) -> bool:
        """Whether it was closed, and not reopened since."""
        states = [one.action for one in self.events() if one.action in {Action.CASE_CLOSED, Action.CASE_REOPENED}]
        return bool(states) and states[-1] is Action.CASE_CLOSED

    def close(self, reason: str) -> Event:
        """Close the case: nothing more is done in it until it is reopened."""
        if self.closed:
            raise CaseError("the case is closed already", where=self.number)
        return self.append(Deed(Action.CASE_CLOSED, reason))

    def reopen(self, reason: str) -> Event:
        """Open a closed case again."""
        if not self.closed:
            raise CaseError("the case is open", where=self.number)
        return self.append(Deed(Action.CASE_REOPENED, reason))

    def require_open(self) -> None:
        """Raise CaseError when the case was closed."""
        if self.closed:
            remedy = f"forensics reopen {self.number} --reason …"
            raise CaseError("the case is closed", where=self.number, remedy=remedy)

    def append(self, deed: Deed) -> Event:
        """Put an event on record."""
        event = self.ledger.append(deed)
        self.refresh()
        return event

    def refresh(self) -> None:
        """Read what was recorded since; IntegrityError names the line that is not what it should be."""
        last = self._events[-1] if self._events else None
        for event, offset in self.ledger.events(self._offset, last):
            self._offset = offset
            self._events.append(event)
            if event.action is Action.EXHIBIT_ENTERED:
                exhibit = exhibit_of(event)
                self._exhibits[exhibit.number] = exhibit
            elif event.action is Action.DISPOSED:
                self._disposed |= {one.exhibit: event.sequence for one in event.materials}

    def events(self) -> tuple[Event, ...]:
        """Give every event on record, in order."""
        self.refresh()
        return tuple(self._events)

    def exhibits(self) -> tuple[Exhibit, ...]:
        """Give every exhibit on record, in the order they were entered."""
        self.refresh()
        return tuple(self._exhibits.values())

    def held(self) -> tuple[Exhibit, ...]:
        """Give every exhibit that was not disposed of."""
        return tuple(one for one in self.exhibits() if one.number not in self._disposed)

    def exhibit(self, number: str) -> Exhibit:
        """Give one exhibit; CaseError when there is none of this number."""
        self.refresh()
        if number not in self._exhibits:
            raise CaseError("no such exhibit", where=f"case {self.number}, {number}")
        return self._exhibits[number]

    def path(self, exhibit: Exhibit) -> Path:
        """Tell where an exhibit's file is."""
        return self.folder / exhibit.path

    def check(self, exhibit: Exhibit, read: Callable[[Path], Hashed] | None = None) -> None:
        """Compare a file with its record, once a run unless device, inode, size or change time differ since.

        What has to `read` it anyway, to copy it, gives what it read, and is always called. Raises IntegrityError:
        another digest or size, a symlink, no file, or one that others may read or anyone write; CaseError when it was
        disposed of.
        """
        where = f"case {self.number}, {exhibit.number}: {exhibit.path}"
        if exhibit.number in self._disposed:
            raise CaseError("the exhibit was disposed of", where=where, why=f"entry {self._disposed[exhibit.number]}")
        before = _fingerprint(self.path(exhibit), where)
        if read is None and self._checked.get(exhibit.number) == before:
            return
        found = (read or hash_whole)(self.path(exhibit))
        if (found.digest, found.size) != (exhibit.digest, exhibit.size):
            why = f"expected {exhibit.digest} ({exhibit.size} bytes), found {found.digest} ({found.size} bytes)"
            raise IntegrityError("an exhibit is not what was recorded", where=where, why=why)
        if before[-1] & 0o377:
            why = f"mode {before[-1]:04o}; it was entered with 0400"
            raise IntegrityError("an exhibit's permissions were widened", where=where, why=why)
        if _fingerprint(self.path(exhibit), where) != before:
            raise IntegrityError("an exhibit was changed while it was read", where=where)
        self._checked[exhibit.number] = before


def open_case(
    root: Path,
    number: str,
    title: str,
    examiner: Examiner,
    authority: str,
    *,
    scope: str = "",
    responsible: str = "",
    question: str = "",
    qualification: str = "",
    authority_document: Path | None = None,
    key: Signer | None = None,
    stamps: Stamps | None = None,
    second_digest: str = "",
    encrypt_to: tuple[str, ...] = (),
) -> Case:
    """Make a case folder whose first event holds what the case is; it is there whole, or not at all.

    `responsible` answers for the case (default: the examiner), `question` is what it is to answer. The authority's
    document is not copied: its digest is recorded. `key` signs the case's seals, `stamps` tells who stamps them; each
    exhibit gets a `second_digest` by that algorithm; memory is encrypted to the age recipients `encrypt_to`. Raises
    UsageError for a number that is no plain name, CaseError when the case exists already.
    """
    folder = root / "cases" / _valid(number)
    if second_digest not in {"", *SECOND}:
        raise UsageError("not an algorithm for a second digest", where=second_digest, remedy=" or ".join(SECOND))
    if folder.exists() or folder.is_symlink():
        raise CaseError("the case exists already", where=str(folder), remedy="take another number")
    examiner = replace(examiner, key=key.fingerprint) if key else examiner
    stamps = stamps or Stamps()
    details: dict[str, JSON] = {
        "number": number,
        "title": title,
        "authority": authority,
        "authority_document": str(hash_whole(authority_document).digest) if authority_document else "",
        "scope": scope,
        "responsible": responsible or examiner.name,
        "question": question,
        "qualification": qualification,
        "examiner": {name: getattr(examiner, name) for name in Examiner.__slots__},
        "storage": str(folder),
        "key": key.fingerprint if key else "",
        "key_public": key.public if key else "",
        "key_place": key.place if key else "",
        "second_digest": second_digest,
        "encrypt_to": list(encrypt_to),
        "authorities": list(stamps.authorities),
        "authority_roots": str(stamps.roots.absolute()) if stamps.roots else "",
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.parent / f".{number}.{secrets.token_hex(8)}"
    _make(fresh, examiner, Deed(Action.CASE_OPENED, authority, details=details))
    try:
        fresh.rename(folder)  # fails when anything but an empty folder has come to stand there
    except OSError as error:
        raise CaseError("the case exists already", where=str(folder), why=str(error)) from error
    sync_folder(folder.parent)
    return Case.load(root, number, examiner)


def _make(folder: Path, examiner: Examiner, opening: Deed) -> None:
    folder.mkdir(mode=0o700)
    for name in FOLDERS:
        (folder / name).mkdir(mode=0o700)
    path = folder / LEDGER
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    signature = Signature(str(uuid.uuid4()), provenance.actor(examiner), provenance.tool())
    Ledger(path, signature, folder / "work").append(opening)
    sync_folder(folder)


def list_cases(root: Path) -> Iterator[str]:
    """Give the numbers of the cases below a root, sorted."""
    for folder in sorted((root / "cases").glob("*")):
        if (folder / LEDGER).is_file() and _NUMBER.fullmatch(folder.name):
            yield folder.name


def exhibit_of(event: Event) -> Exhibit:
    """Read the exhibit that an event entered."""
    (product,) = event.products
    details = event.details
    sources = details["sources"]
    facts = details["facts"]
    if not isinstance(sources, list) or not isinstance(facts, dict):
        raise IntegrityError("an exhibit's entry cannot be read", where=f"ledger line {event.sequence + 1}")
    return Exhibit(
        number=product.exhibit,
        kind=str(details["kind"]),
        title=str(details["title"]),
        path=Path(str(details["path"])),
        size=product.size,
        digest=Digest.parse(product.digest),
        target=event.target,
        stage=event.stage,
        item=str(details["item"]),
        sources=tuple(str(one) for one in sources),
        facts=facts,
        entered=event.time,
        sequence=event.sequence,
        plain=Digest.parse(str(plain["digest"])) if isinstance(plain := details.get("plain"), dict) else None,
    )


def result_of(event: Event) -> Result:
    """Read how the item ended that an event tells of."""
    facts = event.details["facts"]
    if not isinstance(facts, dict):
        raise IntegrityError("an item's end cannot be read", where=f"ledger line {event.sequence + 1}")
    return Result(str(event.details["item"]), ItemOutcome(str(event.details["outcome"])), event.reason, facts)


def deviation(case: Case, text: str) -> Deviation:
    """Say what was done otherwise than planned; whoever works on the case accepts it."""
    return Deviation(text, case.ledger.signature.actor.name)


def things(exhibits: tuple[Exhibit, ...]) -> tuple[Thing, ...]:
    """Name exhibits as events do."""
    return tuple(Thing.of(one) for one in exhibits)


def _valid(number: str) -> str:
    if not _NUMBER.fullmatch(number):
        why = "a case number has letters, digits, '.', '_' and '-', 64 at most, and begins with a letter or digit"
        raise UsageError("not a case number", where=repr(number), why=why)
    return number


def _first_event(path: Path) -> Event:
    try:
        with path.open("rb") as file:
            line = file.readline(LINE_LIMIT + 1)
    except OSError as error:
        why = error.strerror or str(error)
        raise CaseError("there is no such case", where=str(path.parent), why=why, remedy="forensics list") from error
    return decode(line.removesuffix(b"\n"), f"{path}, line 1")


def _examiner(details: Mapping[str, JSON]) -> Examiner:
    recorded = details.get("examiner")
    if not isinstance(recorded, dict):
        raise IntegrityError("the case's first event does not name an examiner")
    return Examiner(**{name: str(recorded.get(name, "")) for name in Examiner.__slots__})


def _fingerprint(path: Path, where: str) -> tuple[int, ...]:
    try:
        status = os.lstat(path)
    except OSError as error:
        raise IntegrityError("an exhibit's file is missing", where=where, why=str(error.strerror)) from error
    return (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns, status.st_mode & 0o7777)
