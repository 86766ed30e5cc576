"""Seal a case, sign the seal with people's keys, and put an outside time on it.

A signature or time stamp stands whole in its ledger entry; the file beside the seal is a copy, written after the entry,
and written again when it is missing. So a kill in between loses nothing, and a file of which no entry knows was put
there by someone else. What could not be had is on record as failed, and `pending` tells what is still to be had.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics import seals, signing, stamping
from forensics.casefile import Case
from forensics.errors import CaseError, ForensicsError, IntegrityError, ToolMissing
from forensics.events import Action, Deed, Event, State
from forensics.hashing import hash_bytes, hash_file, hash_whole
from forensics.ledger import sync_folder
from forensics.model import JSON, Digest, Exhibit
from forensics.progress import Progress
from forensics.signing import Signer

EXAMINER, COUNTERSIGNER = "examiner", "countersigner"
ALLOWED = "allowed_signers"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a seal is to carry: the examiner's signature, and a time stamp of each authority."""

    key: str = ""  # a private key's file, or agent:SHA256:…
    authorities: tuple[str, ...] = ()
    roots: Path | None = None  # trusted for the authorities; None: this system's
    ask: bool = False  # a passphrase may be asked for


@dataclass(frozen=True, slots=True)
class Seal:
    """One seal on disk."""

    path: Path
    sequence: int  # of the last entry that it covers
    head: Digest
    exhibits: tuple[Exhibit, ...]


def wanted(case: Case, *, ask: bool = False) -> Wanted:
    """Give what the case was opened with: key, authorities, roots."""
    facts = case.facts
    authorities = facts.get("authorities")
    roots = str(facts.get("authority_roots") or "")
    return Wanted(
        str(facts.get("key_place") or ""),
        tuple(str(one) for one in authorities) if isinstance(authorities, list) else (),
        Path(roots) if roots else None,
        ask,
    )


def make(case: Case, progress: Progress, *, again: bool = True) -> Seal:
    """Hash every exhibit again and write the next seal over the ledger's head; `again` False: not what this run hashed.

    Raises IntegrityError that names all exhibits that are not what was recorded, not the first alone.
    """
    last = case.events()[-1]
    exhibits = tuple(one for one in case.held() if one.sequence <= last.sequence)
    broken = []
    with progress.task("hashing every exhibit again", sum(one.size for one in exhibits)) as advance:
        for one in exhibits:
            try:
                case.check(one, hash_whole if again else None)
            except IntegrityError as problem:
                broken.append(f"{one.number}: {problem.why}")
            advance(one.size)
    if broken:
        raise IntegrityError("exhibits are not what was recorded", where=f"case {case.number}", why="; ".join(broken))
    head = Digest.parse(last.digest)
    return Seal(
        seals.write(case.folder / "seals", case.id, last.sequence, head, exhibits), last.sequence, head, exhibits
    )


def record(case: Case, seal: Seal) -> Event:
    """Put a seal on record that no stage made."""
    details: dict[str, JSON] = {
        "file": seal.path.name,
        "digest": str(hash_file(seal.path).digest),
        "sequence": seal.sequence,
        "head": str(seal.head),
        "exhibits": len(seal.exhibits),
    }
    return case.append(Deed(Action.SEALED, "", outcome=State.FINISHED, details=details))


def attest(case: Case, seal: Path, ask_for: Wanted, progress: Progress, *, again: bool = False) -> tuple[str, ...]:
    """Sign a seal and have it stamped, where that was not done; `again`: also what failed before.

    Gives what is pending, in words; nothing of it stops the case.
    """
    before = {_thing(one): one.outcome for one in _attestations(case, seal.name)}
    content = seals.read_bytes(seal)
    todo: list[tuple[str, str]] = [("signature", "")] if ask_for.key else []
    todo += [("time stamp", one) for one in ask_for.authorities]
    left = []
    for thing in todo:
        if before.get(thing) is State.FINISHED or (thing in before and not again):
            left += [] if before[thing] is State.FINISHED else [_words(thing)]
            continue
        try:
            if thing[0] == "signature":
                _sign(case, seal.name, content, signing.signer(ask_for.key), EXAMINER, ask=ask_for.ask)
            else:
                _stamp(case, seal.name, content, thing[1], ask_for.roots)
        except ToolMissing:
            raise
        except ForensicsError as problem:
            _failed(case, seal.name, thing, str(problem))
            left.append(f"{_words(thing)}: {problem.what}, {problem.why}")
            progress.say(f"pending: {left[-1]}; `forensics seal {case.number} --pending` tries again")
    restore(case)
    return tuple(left)


def attest_last(case: Case, progress: Progress) -> None:
    """Do with the newest seal what the case was opened for, where that was never tried; no passphrase is asked for."""
    newest = seals.last(case.folder / "seals")
    if newest is not None:
        attest(case, newest, wanted(case), progress)


def countersign(case: Case, seal: Path, key: Signer, *, ask: bool) -> Event:
    """Have a second person sign the same seal; the case's actor is that person.

    Raises CaseError when this key has signed it already, or is the examiner's.
    """
    used = {
        str(one.details["fingerprint"]): one for one in _attestations(case, seal.name) if "fingerprint" in one.details
    }
    if key.fingerprint in used or key.fingerprint == case.facts.get("key"):
        raise CaseError("a countersignature is another person's", where=seal.name, why=f"{key.fingerprint} signed it")
    event = _sign(case, seal.name, seals.read_bytes(seal), key, COUNTERSIGNER, ask=ask)
    restore(case)
    return event


def pending(case: Case, seal: Path, ask_for: Wanted) -> tuple[str, ...]:
    """Name what a seal is to carry and does not."""
    had = {_thing(one) for one in _attestations(case, seal.name) if one.outcome is State.FINISHED}
    todo = [("signature", "")] if ask_for.key else []
    return tuple(
        _words(one) for one in [*todo, *(("time stamp", one) for one in ask_for.authorities)] if one not in had
    )


def attested(case: Case, seal: Path) -> tuple[str, ...]:
    """Say which signatures and stamps a seal carries."""
    said = []
    for one in _attestations(case, seal.name):
        facts = one.details
        if one.outcome is State.FINISHED and one.action is Action.SIGNED:
            said.append(f"signed by {facts['principal']} ({facts['fingerprint']})")
        elif one.outcome is State.FINISHED:
            said.append(f"stamped by {facts['authority']} at {facts['time']}")
    return tuple(said)


def restore(case: Case) -> None:
    """Write the files of signatures, stamps and allowed signers that the ledger holds and the folder does not.

    The list of signers comes first: a signature without it could not be checked.
    """
    folder = case.folder / "seals"
    finished = [one for one in case.events() if one.outcome is State.FINISHED]
    signed = [one.details for one in finished if one.action is Action.SIGNED]
    people = {str(one["public"]): str(one["principal"]) for one in signed}
    text = "".join(signing.allow(principal, public) for public, principal in people.items())
    if text and (not (folder / ALLOWED).is_file() or (folder / ALLOWED).read_text(encoding="ascii") != text):
        fresh = folder / f".{ALLOWED}.new"
        fresh.unlink(missing_ok=True)
        seals.keep(fresh, text.encode("ascii"))
        fresh.replace(folder / ALLOWED)
        sync_folder(folder)
    for facts in signed:
        seals.keep(folder / str(facts["file"]), str(facts["signature"]).encode("ascii"))
    for facts in (one.details for one in finished if one.action is Action.TIME_STAMPED):
        seals.keep(folder / str(facts["file"]), base64.b64decode(str(facts["response"])))
        seals.keep(folder / str(facts["roots_file"]), str(facts["roots"]).encode("ascii"))


def _sign(case: Case, seal: str, content: bytes, key: Signer, role: str, *, ask: bool) -> Event:
    armoured = signing.sign(key, content, ask=ask)
    details: dict[str, JSON] = {
        "seal": seal,
        "seal_digest": str(hash_bytes(content)),
        "file": _next(case, seal, ".sig"),
        "digest": str(hash_bytes(armoured.encode("ascii"))),
        "role": role,
        "principal": re.sub(r"[^A-Za-z0-9.@-]", "_", case.ledger.signature.actor.name),
        "public": key.public,
        "fingerprint": key.fingerprint,
        "namespace": signing.NAMESPACE,
        "signature": armoured,
    }
    return case.append(Deed(Action.SIGNED, "", outcome=State.FINISHED, details=details))


def _stamp(case: Case, seal: str, content: bytes, url: str, roots: Path | None) -> Event:
    got = stamping.stamp(content, url, roots)
    name = _next(case, seal, ".tsr")
    details: dict[str, JSON] = {
        "seal": seal,
        "seal_digest": str(hash_bytes(content)),
        "file": name,
        "digest": str(hash_bytes(got.response)),
        "authority": url,
        "time": got.time,
        "roots_file": name.removesuffix(".tsr") + ".pem",
        "roots_digest": str(hash_bytes(got.roots.encode("ascii"))),
        "roots": got.roots,
        "response": base64.b64encode(got.response).decode("ascii"),
    }
    return case.append(Deed(Action.TIME_STAMPED, "", outcome=State.FINISHED, details=details))


def _failed(case: Case, seal: str, thing: tuple[str, str], why: str) -> None:
    action = Action.SIGNED if thing[0] == "signature" else Action.TIME_STAMPED
    details: dict[str, JSON] = {"seal": seal, "role": EXAMINER} if thing[0] == "signature" else {}
    case.append(Deed(action, why, outcome=State.FAILED, details={"seal": seal, **details, "authority": thing[1]}))


def _attestations(case: Case, seal: str) -> Sequence[Event]:
    kinds = {Action.SIGNED, Action.TIME_STAMPED}
    return [one for one in case.events() if one.action in kinds and one.details["seal"] == seal]


def _thing(event: Event) -> tuple[str, str]:
    if event.action is Action.TIME_STAMPED:
        return "time stamp", str(event.details["authority"])
    return ("signature", "") if event.details["role"] == EXAMINER else ("countersignature", "")


def _words(thing: tuple[str, str]) -> str:
    return " of ".join(one for one in thing if one)


def _next(case: Case, seal: str, suffix: str) -> str:
    """Name the next signature or stamp of a seal: 0001.sig, then 0001.2.sig."""
    taken = {str(one.details.get("file", "")) for one in _attestations(case, seal)}
    stem = seal.removesuffix(".json")
    names = (f"{stem}{suffix}" if count == 1 else f"{stem}.{count}{suffix}" for count in range(1, len(taken) + 2))
    return next(one for one in names if one not in taken)
