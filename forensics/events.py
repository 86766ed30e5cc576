"""What one line of the custody ledger says, and the bytes that say it.

A line is one JSON object in ASCII without floats. `previous` is the digest of the whole line before; the last field,
`digest`, is over the line's own bytes before `,"digest":`. Nothing is canonical: bytes are kept and hashed as written.
A float (a rate, say) is written as `{"$float": "93.25"}`, so that no reader rounds it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum

from forensics.errors import IntegrityError
from forensics.hashing import hash_bytes
from forensics.model import JSON, Exhibit

SCHEMA = "forensics-custody-1"
LINE_LIMIT = 1 << 20
"""Bytes of a line; a longer one is neither written nor read."""
FIRST = "sha256:" + "0" * 64
"""`previous` of the first line."""
_SEAM = b',"digest":"'


class Action(StrEnum):
    """Everything that can be recorded; the list is closed."""

    CASE_OPENED = "case opened"
    CASE_CLOSED = "case closed"
    CASE_REOPENED = "case reopened"
    ATTEMPT_OPENED = "attempt opened"
    STAGE_STARTED = "stage started"
    STAGE_ENDED = "stage ended"
    EXHIBIT_ENTERED = "exhibit entered"
    ITEM_ENDED = "item ended"
    CONNECTED = "connected"
    HOST_KEY_ACCEPTED = "host key accepted"
    COMMAND = "command"
    CHANGE_INTENDED = "change intended"
    CHANGE_RESTORED = "change restored"
    DEBRIS_LISTED = "debris listed"
    LEDGER_REPAIRED = "ledger repaired"
    CLOCK_WARNING = "clock warning"
    INTEGRITY_LOST = "integrity lost"
    SEALED = "sealed"
    SIGNED = "signed"
    TIME_STAMPED = "time stamped"
    VERIFIED = "verified"
    HANDED_OFF = "handed off"
    RECEIVED = "received"
    NOTE = "note"
    DEVIATION = "deviation"
    ACCESSED = "accessed"
    TRANSFERRED = "transferred"
    DISPOSED = "disposed"


class State(StrEnum):
    """How what an event tells of ended."""

    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RECOVERED = "recovered"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, and from which account of which machine."""

    name: str
    role: str
    contact: str
    organisation: str
    key: str  # fingerprint of the signing key
    account: str
    host: str


@dataclass(frozen=True, slots=True)
class Tool:
    """The program that did it: version, digest of its installed files, digest of the lock of what it stands on."""

    name: str
    version: str
    digest: str
    lock: str
    argv: tuple[str, ...]  # secrets removed


@dataclass(frozen=True, slots=True)
class Thing:
    """An exhibit as it was when it was touched."""

    exhibit: str
    digest: str
    size: int

    @classmethod
    def of(cls, exhibit: Exhibit) -> Thing:
        """Name an exhibit by number, digest and size."""
        return cls(exhibit.number, str(exhibit.digest), exhibit.size)


@dataclass(frozen=True, slots=True)
class Deviation:
    """What was done otherwise than planned, and who accepted it."""

    text: str
    accepted: str


@dataclass(frozen=True, slots=True)
class Deed:
    """What the caller knows of an event; the ledger adds who, when and where in the chain."""

    action: Action
    reason: str = ""
    target: str = ""
    stage: str = ""
    attempt: int = 0  # of the target; 0 when it belongs to none
    materials: tuple[Thing, ...] = ()
    products: tuple[Thing, ...] = ()
    outcome: State | None = None
    details: Mapping[str, JSON] = field(default_factory=dict)
    deviation: Deviation | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the ledger, read."""

    schema: str
    case: str
    sequence: int
    previous: str
    time: str
    zone: str
    monotonic: int  # ns since boot of the analyst's machine, sleep included
    boot: str
    actor: Actor
    action: Action
    reason: str
    target: str
    stage: str
    attempt: int
    materials: tuple[Thing, ...]
    products: tuple[Thing, ...]
    tool: Tool
    outcome: State | None
    details: Mapping[str, JSON]
    deviation: Deviation | None
    digest: str
    line: str  # digest of the whole line: what the next one calls `previous`


NAMES = tuple(one.name for one in fields(Event) if one.name != "line")
"""The fields of a line, in their order."""


def encode(body: Mapping[str, object]) -> bytes:
    """Write the fields (without `digest`) as a line with its digest and newline; ValueError when it is too long."""
    text = json.dumps(_plain(body), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    own = text.encode("ascii")[:-1]
    line = own + _SEAM + str(hash_bytes(own)).encode() + b'"}\n'
    if len(line) > LINE_LIMIT:
        msg = f"a ledger line of {len(line)} bytes; {LINE_LIMIT} is the limit"
        raise ValueError(msg)
    return line


def decode(line: bytes, where: str) -> Event:
    """Read a line (without newline) and check its own digest; IntegrityError says what is wrong with it."""
    try:
        own, seam, rest = line.rpartition(_SEAM)
        value = json.loads(
            line.decode("ascii"), object_pairs_hook=_once, parse_float=_no_float, parse_constant=_no_float
        )
        if not seam or rest != str(hash_bytes(own)).encode() + b'"}':
            raise IntegrityError("a ledger line is not what its own digest says", where=where)
        return _event(value, str(hash_bytes(line)))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError("a ledger line cannot be read", where=where, why=str(error)) from error


def _event(value: dict[str, JSON], line: str) -> Event:
    if tuple(value) != NAMES:
        msg = f"fields {', '.join(value)}; expected {', '.join(NAMES)}"
        raise ValueError(msg)
    known: dict[str, object] = dict(value)
    tool = _mapping(value["tool"])
    known["actor"] = Actor(**_mapping(value["actor"]))  # type: ignore[arg-type]
    known["tool"] = Tool(**{**tool, "argv": tuple(tool["argv"])})  # type: ignore[arg-type]
    known["action"] = Action(str(value["action"]))
    known["outcome"] = None if value["outcome"] is None else State(str(value["outcome"]))
    known["deviation"] = None if value["deviation"] is None else Deviation(**_mapping(value["deviation"]))  # type: ignore[arg-type]
    for name in ("materials", "products"):
        listed = value[name]
        known[name] = tuple(Thing(**_mapping(one)) for one in listed)  # type: ignore[arg-type,union-attr]
    known["details"] = _rich(value["details"])
    return Event(**known, line=line)  # type: ignore[arg-type]


def _mapping(value: JSON) -> dict[str, JSON]:
    if not isinstance(value, dict):
        msg = f"not an object: {value!r}"
        raise TypeError(msg)
    return value


def _plain(value: object) -> JSON:
    if isinstance(value, float):
        if not math.isfinite(value):
            msg = "neither infinity nor NaN can be recorded"
            raise ValueError(msg)
        return {"$float": repr(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (Actor, Tool, Thing, Deviation)):
        return _plain(asdict(value))
    if value is None or isinstance(value, (bool, int, str)):
        return value
    msg = f"cannot be recorded: {type(value).__name__}"
    raise TypeError(msg)


def _rich(value: JSON) -> JSON:
    if isinstance(value, dict):
        if list(value) == ["$float"]:
            return float(str(value["$float"]))
        return {key: _rich(one) for key, one in value.items()}
    return [_rich(one) for one in value] if isinstance(value, list) else value


def _once(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a name stands twice in one object"
        raise ValueError(msg)
    return found


def _no_float(text: str) -> JSON:
    msg = f"a number that is no integer: {text}"
    raise ValueError(msg)
