"""What the ledger says of a target's attempts and stages: which began, which ended, and what each left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from forensics.casefile import exhibit_of, result_of
from forensics.events import Action, Event, State
from forensics.model import Exhibit, Result


@dataclass(frozen=True, slots=True)
class Pass:
    """One stage from its first start over its resumptions: the same attempt, materials and settings throughout."""

    stage: str
    attempt: int
    key: str  # digest of materials, settings and, for stages without a host, of our code
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
        str(first.details["boot_id"]),
        str(first.details["release"]),
        tuple(event for event in starts if event.sequence >= first.sequence),
        tuple(exhibit_of(event) for event in since if event.action is Action.EXHIBIT_ENTERED),
        tuple(result_of(event) for event in since if event.action is Action.ITEM_ENDED),
        ends[-1] if ends else None,
    )


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
