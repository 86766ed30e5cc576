"""What the ledger says of a target's attempts and stages: which began, which ended, and what each left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from forensics import provenance
from forensics.casefile import exhibit_of, result_of
from forensics.events import Action, Event, State
from forensics.hashing import hash_bytes
from forensics.model import JSON, Exhibit, Outcome, Result
from forensics.stage import Stage

PARTIAL = "partial-image"
"""Kind of what had arrived of an image when its stage was ended; it is evidence, and no stage's product."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One stage from its first start over its resumptions: the same attempt, materials and settings throughout."""

    stage: str
    attempt: int
    key: str  # digest of materials, settings and, for stages without a host, of our code
    settings: Mapping[str, JSON]
    boot_id: str
    release: str
    starts: tuple[Event, ...]
    exhibits: tuple[Exhibit, ...]
    results: tuple[Result, ...]
    end: Event | None  # of the last start; None while it runs, or when it was killed

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return self.end is not None and self.end.outcome is State.FINISHED


def last_pass(events: Iterable[Event], target: str, stage: str) -> Pass | None:
    """Give the last pass of a stage on a target, None when it never began."""
    own = [event for event in events if event.target == target and event.stage == stage]
    starts = [event for event in own if event.action is Action.STAGE_STARTED]
    if not starts:
        return None
    first = next(event for event in reversed(starts) if event.details["resumes"] is False)
    since = [event for event in own if event.sequence >= first.sequence]
    ends = [event for event in since if event.action is Action.STAGE_ENDED and event.sequence > starts[-1].sequence]
    return Pass(
        stage,
        first.attempt,
        str(first.details["key"]),
        _mapping(first.details["settings"]),
        str(first.details["boot_id"]),
        str(first.details["release"]),
        tuple(event for event in starts if event.sequence >= first.sequence),
        _whole(since, starts[-1].sequence),
        tuple(result_of(event) for event in since if event.action is Action.ITEM_ENDED),
        ends[-1] if ends else None,
    )


def short(results: tuple[Result, ...]) -> tuple[str, ...]:
    """Give the items that are short of complete, each with outcome and reason."""
    last = {one.item: one for one in results}
    full = {Outcome.DONE, Outcome.EMPTY}
    return tuple(f"{one.item}: {one.outcome}, {one.reason}" for one in last.values() if one.outcome not in full)


def withheld(before: Pass) -> bool:
    """Tell whether something was not run because an exhibit was encrypted and no identity given."""
    return any(one.facts.get("withheld") is True for one in before.results)


def _mapping(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, dict) else {}


def _whole(events: list[Event], start: int) -> tuple[Exhibit, ...]:
    """Give a pass's exhibits: of earlier starts those only whose item ended, since the others are made again."""
    ended = {result_of(one).item for one in events if one.action is Action.ITEM_ENDED and one.sequence < start}
    entered = [exhibit_of(one) for one in events if one.action is Action.EXHIBIT_ENTERED]
    return tuple(one for one in entered if one.kind != PARTIAL and (one.sequence > start or one.item in ended))


def dangling(events: Iterable[Event], target: str) -> tuple[Event, ...]:
    """Give the starts of stages on a target that have no end, oldest first."""
    open_starts: dict[str, Event] = {}
    for event in events:
        if event.target != target:
            continue
        if event.action is Action.STAGE_STARTED:
            open_starts[event.stage] = event
        elif event.action is Action.STAGE_ENDED:
            open_starts.pop(event.stage, None)
    return tuple(open_starts.values())


def attempt_of(events: Iterable[Event], target: str) -> int:
    """Give the number of the attempt on a target that is open: 1 until another was asked for."""
    opened = [event.attempt for event in events if event.target == target and event.action is Action.ATTEMPT_OPENED]
    return max(opened, default=1)


def boot_of(events: Iterable[Event], target: str, attempt: int) -> tuple[str, str]:
    """Give boot id and kernel release with which an attempt began, ("", "") when it has not touched the target."""
    for event in events:
        if event.action is Action.STAGE_STARTED and (event.target, event.attempt) == (target, attempt):
            boot_id = str(event.details["boot_id"])
            if boot_id:
                return boot_id, str(event.details["release"])
    return "", ""


def materials_of(given: tuple[object, ...]) -> tuple[Exhibit, ...]:
    """Give the exhibits among a stage's arguments: anything with `.exhibits` stands for its exhibits."""
    found = {one.number: one for part in given for one in getattr(part, "exhibits", ())}
    return tuple(found.values())


def settings_of(given: tuple[object, ...]) -> dict[str, JSON]:
    """Give the settings among a stage's arguments, by the name of their type."""
    chosen = {
        type(one).__name__: asdict(one)
        for one in given
        if is_dataclass(one) and not isinstance(one, type) and not hasattr(one, "exhibits")
    }
    plain: dict[str, JSON] = json.loads(json.dumps(chosen, default=str))
    return plain


def key_of(stage: Stage[Any, Any], materials: tuple[Exhibit, ...], settings: Mapping[str, JSON]) -> str:
    """Digest what a stage is given, and our code where it alone decides; the same key gives the same product."""
    made_of = {
        "stage": stage.name,
        "materials": [[one.number, str(one.digest)] for one in materials],
        "settings": settings,
        "code": "" if stage.touches_target else provenance.code_digest(),
    }
    return str(hash_bytes(json.dumps(made_of, sort_keys=True).encode()))
