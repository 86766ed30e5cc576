"""The host's pen: what is done on a target, written to the ledger before it is done."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.casefile import Case, deviation
from forensics.events import Action, Deed, Event, State
from forensics.host import Change
from forensics.model import JSON


class LedgerRecorder:
    """Implements `forensics.host.Recorder` for one target; the pipeline sets stage, attempt and boot id."""

    def __init__(self, case: Case, target: str) -> None:
        self._case = case
        self.target = target
        self.stage = ""
        self.attempt = 0
        self.boot_id = ""

    def command(self, argv: Sequence[str], *, root: bool) -> None:
        """Record that a command is about to be run."""
        self._append(Action.COMMAND, {"argv": list(argv), "root": root})

    def intend(self, change: Change) -> int:
        """Record a change that is about to be made; durable when this gives the event's sequence number."""
        details = {**_describe(change), "boot_id": self.boot_id}
        return self._append(Action.CHANGE_INTENDED, details, "", State.STARTED, change.deviation).sequence

    def restored(self, intent: int, change: Change, *, proven: bool, reason: str = "") -> None:
        """Record that a change was undone, and whether looking for it found nothing."""
        details: dict[str, JSON] = {**_describe(change), "intent": intent, "proven": proven}
        self._append(Action.CHANGE_RESTORED, details, reason, State.FINISHED if proven else State.FAILED)

    def connected(self, facts: dict[str, str]) -> None:
        """Record a connection: address, account, host key and how it was checked, algorithms."""
        self._append(Action.CONNECTED, dict(facts))

    def host_key_accepted(self, fingerprint: str, reason: str) -> None:
        """Record that the analyst accepts a host key that was not known."""
        self._append(Action.HOST_KEY_ACCEPTED, {"fingerprint": fingerprint}, reason)

    def dangling(self) -> Sequence[tuple[int, Change, str]]:
        """Give what was put on this target and not proven gone, oldest first: (intent, change, boot id)."""
        found: dict[int, tuple[int, Change, str]] = {}
        for event in self._case.events():
            if event.target != self.target:
                continue
            if event.action is Action.CHANGE_INTENDED:
                found[event.sequence] = (event.sequence, _change(event), str(event.details["boot_id"]))
            elif event.action is Action.CHANGE_RESTORED and event.details["proven"] is True:
                found.pop(int(str(event.details["intent"])), None)
        return tuple(found.values())

    def _append(
        self,
        action: Action,
        details: dict[str, JSON],
        reason: str = "",
        outcome: State | None = None,
        otherwise: str = "",
    ) -> Event:
        asked = deviation(self._case, otherwise) if otherwise else None
        return self._case.append(
            Deed(
                action, reason, self.target, self.stage, self.attempt, outcome=outcome, details=details, deviation=asked
            )
        )


def _describe(change: Change) -> dict[str, JSON]:
    return {
        "kind": change.kind,
        "subject": change.subject,
        "undo": list(change.undo),
        "gone": list(change.gone),
        "details": change.details,
    }


def _change(event: Event) -> Change:
    details = event.details
    return Change(
        kind=str(details["kind"]),
        subject=str(details["subject"]),
        undo=_words(details["undo"]),
        gone=_words(details["gone"]),
        details=str(details["details"]),
    )


def _words(value: JSON) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()
