"""What the session and its worker process say to each other: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

from forensics.model import JSON, Outcome

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """What one plugin may use."""

    seconds: float = 1800.0  # of the wall clock
    memory: int = 2 * GIB  # bytes beyond what the session itself holds
    output: int = 2 * GIB  # bytes of rows


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is asked to do; all paths are absolute."""

    image: str
    table: str  # a symbol table (ISF), plain or compressed
    folder: str  # where rows are written: <item>.jsonl
    plugins: tuple[str, ...]
    children: int = 2  # plugins at the same time
    limits: Limits = field(default_factory=Limits)
    plugin_folders: tuple[str, ...] = ()
    places: tuple[int, ...] = ()  # physical addresses of the kernel's notes and banner, where they are known
    sources: tuple[str, ...] = ()  # exhibit numbers, for the heads of the tables
    arguments: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)  # by the name in `plugins`

    def encode(self) -> str:
        """Write it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, line: str) -> Job:
        """Read what `encode` wrote."""
        told = json.loads(line)
        told["limits"] = Limits(**told["limits"])
        for name in ("plugins", "plugin_folders", "places", "sources"):
            told[name] = tuple(told[name])
        return cls(**told)


@dataclass(frozen=True, slots=True)
class Opened:
    """The image was stacked, and has processes."""

    facts: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unusable:
    """No plugin can say anything about this image with this table, and why."""

    reason: str
    facts: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started:
    """A plugin was begun."""

    item: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A plugin has ended, or was not run."""

    item: str  # as the job names it, e.g. linux.pslist.PsList
    outcome: Outcome
    reason: str = ""
    kept: bool = False  # <item>.jsonl is there, with rows (or none, when the outcome is EMPTY)
    facts: Mapping[str, JSON] = field(default_factory=dict)
    files: tuple[tuple[str, str], ...] = ()  # that the plugin wrote: below the job's folder, and as it named them


Message: TypeAlias = Opened | Unusable | Started | Ended
_KINDS: Mapping[str, type[Message]] = {kind.__name__: kind for kind in (Opened, Unusable, Started, Ended)}


def encode(message: Message) -> str:
    """Write a message as one line."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}) + "\n"


def decode(line: str) -> Message:
    """Read what `encode` wrote; ValueError when it is not that."""
    told = json.loads(line)
    kind = _KINDS.get(told.pop("kind", "")) if isinstance(told, dict) else None
    if kind is None:
        msg = f"not a message of the worker: {line[:200]!r}"
        raise ValueError(msg)
    if kind is Ended:
        told["outcome"] = Outcome(told["outcome"])
        told["files"] = tuple((str(path), str(named)) for path, named in told["files"])
    return kind(**told)
