"""How a file becomes an exhibit, so that it can be killed anywhere.

1. The file is fsynced where the stage left it, made read-only, and what is on disk is hashed.
2. Under the ledger's lock it gets the next number of its role. There are no gaps: what is not entered has no number.
3. What is about to be entered is written to `work/entering.json`, and fsynced.
4. The file gets its name in `exhibits/`, where nothing is ever replaced; both folders are fsynced.
5. The event is appended; then `entering.json` goes.

Memory of a case that was opened with recipients is an encrypted file: either it came so from the stage, or it is
encrypted between 1 and 2, and the plain file goes when the encrypted one has its name. Both digests are on record.

Killed after 4, the file stands in `exhibits/` without an event: `settle` finds it by `entering.json`, hashes it again
and enters it as recovered, with the deviation. Killed before 4, the file still is where the stage left it. A file in
`exhibits/` of which neither ledger nor `entering.json` knows was put there by someone else: IntegrityError.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from forensics import encryption
from forensics.casefile import Case, deviation, exhibit_of
from forensics.errors import IntegrityError, StageFailed
from forensics.events import Action, Deed, State, Thing
from forensics.hashing import Hashed, hash_file, open_regular
from forensics.ledger import sync_folder
from forensics.model import JSON, Draft, Exhibit, Role

ENTERING = "entering.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")


@dataclass(frozen=True, slots=True)
class Place:
    """Which stage of which attempt on which target gives an exhibit, and what is known of where it comes from."""

    target: str = ""
    stage: str = ""
    attempt: int = 0
    origin: Mapping[str, JSON] = field(default_factory=dict)  # boot id, kernel release


def enter(case: Case, draft: Draft, place: Place) -> Exhibit:
    """Make an exhibit of a draft; durable, and on record, when this returns.

    Raises IntegrityError when the disk does not hold what was hashed while the bytes passed, StageFailed when this
    machine's disk cannot take it; the file then stays in the work folder, or is entered by the next `settle`.
    """
    draft, hashed, more = _prepared(case, draft)  # 1
    with case.ledger.locked():
        settle(case)
        number = _next_number(case, draft.role)  # 2
        name = _file_name(number, place.target, draft)
        details = {**_details(draft, f"exhibits/{name}", hashed, place), **more}
        thing = Thing(number, str(hashed.digest), hashed.size)
        try:
            _intend(case, draft.path, thing, details, place)  # 3
            _place(draft.path, case.folder / "exhibits" / name)  # 4
            _unlink_plain(case, details)
        except OSError as error:
            raise StageFailed(
                "a file could not be entered as an exhibit",
                where=str(draft.path),
                why=error.strerror or str(error),
                remedy="make room on this disk, or see to it (it needs hard links), and run again",
            ) from error
        materials = tuple(Thing.of(one) for one in draft.sources)
        deed = _deed(thing, details, place, materials)
        exhibit = exhibit_of(case.append(deed))  # 5
        _forget(case)
    return exhibit


def settle(case: Case) -> Exhibit | None:
    """Finish what a killed process began to enter, and look that `exhibits/` holds nothing that is not on record."""
    with case.ledger.locked():
        intent = _read_intent(case)
        exhibit = _finish(case, intent) if intent else None
        _forget(case)
    return exhibit


def find_strangers(case: Case) -> None:
    """Raise IntegrityError when a file in `exhibits/` was never entered."""
    with case.ledger.locked():
        known = {one.path.name for one in case.exhibits()}
        strangers = sorted(one.name for one in (case.folder / "exhibits").iterdir() if one.name not in known)
    if strangers:
        where = f"case {case.number}, exhibits/{ascii(strangers[0])[1:-1]}"
        raise IntegrityError("a file that nobody entered stands among the exhibits", where=where)


def slug(label: str) -> str:
    """Make a part of a file name of a target's label, as the analyst gave it."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", label)


def _prepared(case: Case, draft: Draft) -> tuple[Draft, Hashed, dict[str, JSON]]:
    """Make the file durable and hash it; in an encrypted case, do the same with memory's encrypted file instead."""
    second = str(case.facts.get("second_digest") or "")
    if draft.plain is not None:
        encryption.await_end(draft.path)
    hashed = _rest(draft, second)
    to = encryption.chosen(case.facts) if draft.kind in encryption.KINDS else ()
    if not to:
        return draft, hashed, {}
    listed: list[JSON] = list(to)
    told: dict[str, JSON] = {"encryption": {"format": encryption.FORMAT, "recipients": listed}}
    name = (draft.name or draft.path.name) + encryption.SUFFIX
    if draft.plain is not None:
        return replace(draft, name=name), hashed, told | ({"plain": dict(draft.plain)} if draft.plain else {})
    path = case.folder / "work" / f"{draft.path.parent.name}.{draft.path.name}{encryption.SUFFIX}"
    piped = encryption.encrypt(draft.path, path, to)
    if piped != hashed.digest:
        why = f"{hashed.digest} was hashed, {piped} was encrypted"
        raise IntegrityError("a file was changed while it was encrypted", where=str(draft.path), why=why)
    told["plain"] = {"digest": str(hashed.digest), "size": hashed.size, "second_digest": str(hashed.second or "")}
    told["plain_file"] = str(draft.path.absolute().relative_to(case.folder.absolute()))
    sealed = replace(draft, path=path, name=name, digest=None)
    return sealed, _rest(sealed, second), told


def _unlink_plain(case: Case, details: Mapping[str, JSON]) -> None:
    if "plain_file" in details:
        plain = case.folder / str(details["plain_file"])
        plain.unlink(missing_ok=True)
        if plain.parent.is_dir():
            sync_folder(plain.parent)


def _rest(draft: Draft, second: str) -> Hashed:
    descriptor = open_regular(draft.path)
    try:
        os.fchmod(descriptor, 0o400)
        os.fsync(descriptor)
    except OSError as error:
        why = f"{error.strerror}: the disk may not hold all of it"
        raise StageFailed("a file could not be made durable", where=str(draft.path), why=why) from error
    finally:
        os.close(descriptor)
    hashed = hash_file(draft.path, second=second)
    if draft.digest is not None and draft.digest != hashed.digest:
        why = f"{draft.digest} passed by, {hashed.digest} ({hashed.size} bytes) is on disk"
        raise IntegrityError("the disk does not hold what was received", where=str(draft.path), why=why)
    return hashed


def _next_number(case: Case, role: Role) -> str:
    last = max((int(one.number[1:]) for one in case.exhibits() if one.role is role), default=0)
    return f"{role.value}{last + 1:04d}"


def _file_name(number: str, target: str, draft: Draft) -> str:
    name = draft.name or draft.path.name
    if not _NAME.fullmatch(name):
        msg = f"not a file name for an exhibit: {name!r}"
        raise ValueError(msg)
    return "-".join(part for part in (number, slug(target), name) if part)


def _details(draft: Draft, path: str, hashed: Hashed, place: Place) -> dict[str, JSON]:
    pieces: list[JSON] = list(hashed.pieces)
    return {
        "kind": draft.kind,
        "title": draft.title,
        "path": path,
        "item": draft.item,
        "sources": [one.number for one in draft.sources],
        "facts": dict(draft.facts),
        "origin": dict(place.origin),
        "mode": "0400",
        "piece_size": hashed.piece if pieces else 0,
        "pieces": pieces,
        "second_digest": str(hashed.second or ""),
    }


def _deed(thing: Thing, details: Mapping[str, JSON], place: Place, materials: tuple[Thing, ...]) -> Deed:
    return Deed(
        Action.EXHIBIT_ENTERED,
        target=place.target,
        stage=place.stage,
        attempt=place.attempt,
        materials=materials,
        products=(thing,),
        outcome=State.FINISHED,
        details=details,
    )


@dataclass(frozen=True, slots=True)
class _Intent:
    source: Path
    thing: Thing
    details: dict[str, JSON]
    place: Place


def _intend(case: Case, source: Path, thing: Thing, details: dict[str, JSON], place: Place) -> None:
    path = case.folder / "work" / ENTERING
    body = {
        "source": str(source.absolute().relative_to(case.folder.absolute())),
        "thing": [thing.exhibit, thing.digest, thing.size],
        "details": details,
        "place": [place.target, place.stage, place.attempt],
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(body, file)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def _read_intent(case: Case) -> _Intent | None:
    """Read what was about to be entered; None when nothing was, or the note of it was torn, so that 4 was not begun."""
    path = case.folder / "work" / ENTERING
    if not path.exists():
        return None
    try:
        body = json.loads(path.read_text(encoding="ascii"))
    except ValueError:
        return None
    return _Intent(case.folder / body["source"], Thing(*body["thing"]), body["details"], Place(*body["place"]))


def _finish(case: Case, intent: _Intent) -> Exhibit | None:
    kept = case.folder / str(intent.details["path"])
    if not kept.exists():
        return None  # the file still is where the stage left it
    if intent.source.exists() and intent.source.samefile(kept):
        intent.source.unlink()
    _unlink_plain(case, intent.details)
    known = {one.path.name for one in case.exhibits()}
    if kept.name in known:
        return None
    found = hash_file(kept)
    if (str(found.digest), found.size) != (intent.thing.digest, intent.thing.size):
        why = f"{intent.thing.digest} was to be entered, {found.digest} is there"
        raise IntegrityError("a file that was being entered is another now", where=str(kept), why=why)
    sync_folder(kept.parent)
    text = "its entry was cut short after the file was in place; the file was hashed again and agrees"
    sources = intent.details["sources"]
    names = [str(one) for one in sources] if isinstance(sources, list) else []
    deed = _deed(intent.thing, intent.details, intent.place, tuple(Thing.of(case.exhibit(one)) for one in names))
    return exhibit_of(case.append(_recovered(case, deed, text)))


def _recovered(case: Case, deed: Deed, text: str) -> Deed:
    return Deed(
        deed.action,
        text,
        deed.target,
        deed.stage,
        deed.attempt,
        deed.materials,
        deed.products,
        State.RECOVERED,
        deed.details,
        deviation(case, text),
    )


def _place(source: Path, kept: Path) -> None:
    os.link(source, kept, follow_symlinks=False)  # fails when the name is taken
    source.unlink()
    sync_folder(kept.parent)
    sync_folder(source.parent)


def _forget(case: Case) -> None:
    path = case.folder / "work" / ENTERING
    if path.exists():
        path.unlink()
        sync_folder(path.parent)
