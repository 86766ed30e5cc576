"""A recorder that keeps everything in memory, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from forensics.host import Change


@dataclass
class MemoryRecorder:
    """Implements `host.Recorder`; `events` is what a ledger would hold."""

    boot_id: str = ""
    events: list[tuple[object, ...]] = field(default_factory=list)
    intents: dict[int, tuple[Change, str]] = field(default_factory=dict)
    connections: list[dict[str, str]] = field(default_factory=list)

    def command(self, argv: Sequence[str], *, root: bool) -> None:
        self.events.append(("command", tuple(argv), root))

    def intend(self, change: Change) -> int:
        self.events.append(("intend", change))
        self.intents[len(self.events)] = (change, self.boot_id)
        return len(self.events)

    def restored(self, intent: int, change: Change, *, proven: bool, reason: str = "") -> None:
        self.events.append(("restored", intent, change, proven, reason))
        if proven:
            self.intents.pop(intent, None)

    def connected(self, facts: dict[str, str]) -> None:
        self.events.append(("connected", dict(facts)))
        self.connections.append(facts)

    def dangling(self) -> Sequence[tuple[int, Change, str]]:
        return [(intent, change, boot) for intent, (change, boot) in self.intents.items()]

    def restorations(self) -> list[tuple[str, bool]]:
        return [(str(event[2].subject), bool(event[3])) for event in self.events if event[0] == "restored"]  # type: ignore[attr-defined]

    def commands(self) -> list[tuple[str, ...]]:
        return [event[1] for event in self.events if event[0] == "command"]  # type: ignore[misc]
