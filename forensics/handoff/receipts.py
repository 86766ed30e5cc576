"""Take a recipient's signed receipt: who has the bag says so, signed by `ssh-keygen`, and that becomes an entry.

A receipt is one JSON object of text: format, case, head, manifest (the digest of the bag's tag manifest), name, place
and time. It names the bag and the ledger by digests, so that it can be of no other; and it is a copy of the head, kept
elsewhere.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from forensics import locks, signing
from forensics.casefile import Case
from forensics.errors import ForensicsError, Refused, UsageError
from forensics.events import Action, Deed, Event, State
from forensics.handoff.giving import settle, unfinished
from forensics.hashing import hash_bytes, open_regular
from forensics.model import JSON

FORMAT = "forensics-receipt-1"
FIELDS = ("format", "case", "head", "manifest", "name", "place", "time")
_LIMIT = 1 << 16
"""Bytes of a receipt, and of its signature."""


def receive(case: Case, root: Path, receipt: Path, signature: Path, key: str) -> Event:
    """Check a receipt and put it on record, whole and with its signature.

    `key` is the recipient's, as they told it: a public key's file, or its fingerprint. Raises Refused, with the reason,
    for a signature that does not hold or is another's, and for a receipt of another case, bag or head.
    """
    if unfinished(case.events()):
        with locks.idle(case):
            settle(case, root.absolute() / "reports")
    content, armoured = _small(receipt), _small(signature).decode("ascii", "replace")
    public = signing.embedded(armoured)
    found, expected = signing.fingerprint(public), _fingerprint(key)
    if found != expected:
        raise _refused(receipt, f"it was signed by the key {found}; {expected} was expected")
    if why := signing.refused(armoured, content, public, signing.RECEIPT):
        raise _refused(receipt, f"its signature does not hold: {why}")
    told = _read(content, receipt)
    end = _answered(case, told, receipt)
    details: dict[str, JSON] = {
        **{name: end.details[name] for name in ("answers", "answered", "bag", "manifest", "head")},
        "to": told["name"],
        "place": told["place"],
        "time": told["time"],
        "receipt": content.decode("utf-8"),
        "digest": str(hash_bytes(content)),
        "signature": armoured,
        "public": public,
        "fingerprint": found,
        "namespace": signing.RECEIPT,
    }
    return case.append(Deed(Action.RECEIVED, "", outcome=State.FINISHED, details=details))


def _answered(case: Case, told: dict[str, str], receipt: Path) -> Event:
    """Give the end of the hand-off that a receipt is about."""
    if told["case"] != case.id:
        raise _refused(receipt, f"it is of another case: {told['case']}; this one is {case.id}")
    ends = [one for one in case.events() if one.action is Action.HANDED_OFF and "manifest" in one.details]
    end = next((one for one in ends if one.details["manifest"] == told["manifest"]), None)
    if end is None:
        bags = ", ".join(f"{one.details['bag']} {one.details['manifest']}" for one in ends) or "none"
        raise _refused(receipt, f"no bag of this case has the manifest {told['manifest']}; handed over: {bags}")
    if end.details["head"] != told["head"]:
        raise _refused(receipt, f"it names the head {told['head']}; in that bag it is {end.details['head']}")
    received = [one for one in case.events() if one.action is Action.RECEIVED]
    if any(one.details["answers"] == end.details["answers"] for one in received):
        raise _refused(receipt, f"{end.details['bag']} was acknowledged already")
    return end


def _read(content: bytes, receipt: Path) -> dict[str, str]:
    def once(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name stands twice in it")
        return dict(pairs)

    try:
        told = json.loads(content.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise _refused(receipt, f"it cannot be read: {error}") from error
    if not isinstance(told, dict) or sorted(told) != sorted(FIELDS) or told["format"] != FORMAT:
        raise _refused(receipt, f"it is no receipt of format {FORMAT} with {', '.join(FIELDS[1:])}")
    words = {name: value for name, value in told.items() if isinstance(value, str)}
    if len(words) != len(FIELDS) or not words["name"].strip():
        raise _refused(receipt, "it does not say in words who received the bag")
    return words


def _fingerprint(key: str) -> str:
    if key.startswith("SHA256:"):
        return key
    try:
        return signing.fingerprint(Path(key).read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        remedy = "name the recipient's public key file, or its fingerprint SHA256:…"
        raise UsageError("the key cannot be read", where=key, why=str(error.strerror), remedy=remedy) from error


def _small(path: Path) -> bytes:
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            content = file.read(_LIMIT + 1)
    except ForensicsError as problem:
        raise UsageError("a receipt or its signature cannot be read", where=str(path), why=problem.why) from problem
    if len(content) > _LIMIT:
        raise UsageError("no receipt is as large as this", where=str(path), why=f"more than {_LIMIT} bytes")
    return content


def _refused(receipt: Path, why: str) -> Refused:
    return Refused("the receipt is not taken", where=str(receipt), why=why)
