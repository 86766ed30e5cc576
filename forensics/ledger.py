"""The custody ledger: append-only, hash-chained, one JSON object a line.

Rules, kept by `append`:

1. The file is locked (`flock`) for one append; whoever is killed frees it. Readers are never blocked.
2. Sequence and `previous` are read again from the file's end under the lock, at a cost that does not grow with it.
3. A torn last line (no newline) is set aside below `work/`, and the repair is recorded. Nothing else is ever repaired.
4. One write of the whole line, then fsync. A failed fsync is final: it is never tried again, and this process writes
   nothing more; the kernel may have dropped the pages, and a second fsync could succeed without them.
5. Order comes from the sequence. A clock that jumped is recorded as a warning before the event that showed it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from forensics import clock
from forensics.errors import CaseError, IntegrityError
from forensics.events import (
    FIRST,
    LINE_LIMIT,
    SCHEMA,
    Action,
    Actor,
    Deed,
    Deviation,
    Event,
    State,
    Tool,
    decode,
    encode,
)
from forensics.hashing import hash_bytes
from forensics.model import JSON, utc

LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Signature:
    """What stands in every line that this process writes."""

    case: str
    actor: Actor
    tool: Tool


class Ledger:
    """One case's custody.jsonl."""

    def __init__(self, path: Path, signature: Signature, aside: Path) -> None:
        self.path = path
        self.signature = signature
        self._aside = aside
        self._broken = ""
        self._held: Tail | None = None
        self._threads = threading.RLock()

    def append(self, deed: Deed) -> Event:
        """Write one event durably and give it as it stands there.

        Raises CaseError when it could not be written, IntegrityError when the last line is not what it should be.
        """
        with self.locked() as tail:
            return tail.append(deed)

    @contextmanager
    def locked(self) -> Iterator[Tail]:
        """Hold the lock over several appends and what stands between them; may be nested."""
        with self._threads:
            if self._held is not None:
                yield self._held
                return
            with self._open() as tail:
                tail.mend()
                self._held = tail
                try:
                    yield tail
                finally:
                    self._held = None

    @contextmanager
    def _open(self) -> Iterator[Tail]:
        if self._broken:
            raise CaseError(
                "nothing more is written after a write to the ledger failed",
                where=str(self.path),
                why=self._broken,
                remedy="make room on this disk, or see to it, and run again",
            )
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _lock(descriptor, self.path)
            yield Tail(descriptor, self)
        finally:
            os.close(descriptor)

    def events(self, offset: int = 0, after: Event | None = None) -> Iterator[tuple[Event, int]]:
        """Read events with the offset behind each, checking chain, digests and sequence; a torn last line is left out.

        To go on reading, give the last event that was read, and the offset behind it. IntegrityError names the line.
        """
        with self.path.open("rb") as file:
            file.seek(offset)
            while line := file.readline(LINE_LIMIT + 1):
                if not line.endswith(b"\n"):
                    if len(line) > LINE_LIMIT:
                        raise IntegrityError("a ledger line is too long", where=_line(self.path, after))
                    return
                event = decode(line[:-1], _line(self.path, after))
                follow(event, after, self.signature.case, _line(self.path, after))
                offset += len(line)
                yield event, offset
                after = event

    def breaks(self, why: str) -> None:
        """Write nothing more in this process."""
        self._broken = why

    def set_aside(self, torn: bytes, sequence: int) -> str:
        """Keep the torn bytes in a new file and give its name."""
        for number in range(1, 1000):
            path = self._aside / f"ledger-torn-{sequence}-{number}"
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            with os.fdopen(descriptor, "wb") as file:
                file.write(torn)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self._aside)
            return path.name
        raise CaseError("too many torn lines were set aside", where=str(self._aside))


class Tail:
    """The end of the locked file."""

    def __init__(self, descriptor: int, ledger: Ledger) -> None:
        self._descriptor = descriptor
        self._ledger = ledger
        self._last: Event | None = None

    def mend(self) -> None:
        """Read the last line; set a torn one aside and record that."""
        size = os.fstat(self._descriptor).st_size
        end, torn = self._torn(size)
        self._last = self._last_line(end)
        if not torn:
            return
        if self._completed(torn):
            return
        after = self._last.sequence + 1 if self._last else 0
        name = self._ledger.set_aside(torn, after)
        os.ftruncate(self._descriptor, end)
        os.fsync(self._descriptor)
        details: dict[str, JSON] = {"size": len(torn), "digest": str(hash_bytes(torn)), "file": name}
        text = (
            "the last line was torn when its writer was killed: it is kept aside, and what it told of is not on record"
        )
        deviation = Deviation(text, self._ledger.signature.actor.name)
        self.append(Deed(Action.LEDGER_REPAIRED, text, outcome=State.RECOVERED, details=details, deviation=deviation))

    def append(self, deed: Deed) -> Event:
        """Write an event behind the last, after a warning when the clock has jumped."""
        jump = self._clock_jump()
        if jump and deed.action is not Action.CLOCK_WARNING:
            self._write(Deed(Action.CLOCK_WARNING, jump, target=deed.target, stage=deed.stage, attempt=deed.attempt))
        return self._write(deed)

    def _clock_jump(self) -> str:
        last = self._last
        return clock.jump(last.time, last.monotonic, last.boot) if last else ""

    def _write(self, deed: Deed) -> Event:
        line = encode(_body(deed, self._ledger.signature, self._last))
        size = os.fstat(self._descriptor).st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            self._ledger.breaks(f"{error.strerror}: {deed.action}")
            os.ftruncate(self._descriptor, size)  # nobody was told that the event is on record
            raise CaseError(
                "the ledger could not be written",
                where=str(self._ledger.path),
                why=error.strerror or str(error),
                remedy="make room on this disk, or see to it, and run again; nothing further was done",
            ) from error
        self._last = decode(line[:-1], str(self._ledger.path))
        return self._last

    def _torn(self, size: int) -> tuple[int, bytes]:
        """Give the offset behind the last newline, and what stands after it."""
        tail = b""
        begin = size
        while begin > 0 and b"\n" not in tail:
            if len(tail) > LINE_LIMIT:
                raise IntegrityError("the ledger's last line is too long", where=str(self._ledger.path))
            step = min(begin, 4096)
            begin -= step
            tail = os.pread(self._descriptor, step, begin) + tail
        end = begin + tail.rfind(b"\n") + 1
        return end, tail[end - begin :]

    def _last_line(self, end: int) -> Event | None:
        if end == 0:
            return None
        before, _ = self._torn(end - 1)
        event = decode(os.pread(self._descriptor, end - 1 - before, before), f"{self._ledger.path}, last line")
        if event.case != self._ledger.signature.case:
            raise IntegrityError("the ledger's last line belongs to another case", where=str(self._ledger.path))
        return event

    def _completed(self, torn: bytes) -> bool:
        """Write the newline that a whole last line lacks; a line with more than that behind it was changed."""
        where = str(self._ledger.path)
        whole = torn[: torn.rfind(b"}") + 1]
        try:
            event = decode(whole, where)
        except IntegrityError:
            return False
        if whole != torn:
            raise IntegrityError("the ledger's last line is whole, but its end was changed", where=where)
        follow(event, self._last, self._ledger.signature.case, where)
        os.write(self._descriptor, b"\n")
        os.fsync(self._descriptor)
        self._last = event
        return True


def follow(event: Event, after: Event | None, case: str, where: str) -> None:
    """Check that an event follows another in this case's chain; IntegrityError says what is off."""
    expected = after.line if after else FIRST
    number = after.sequence + 1 if after else 0
    if event.sequence != number:
        raise IntegrityError("the ledger's sequence is broken", where=where, why=f"{event.sequence}, expected {number}")
    if event.previous != expected:
        why = f"it follows {event.previous}; the line before it is {expected}"
        raise IntegrityError("the ledger's chain is broken", where=where, why=why)
    if event.case != case:
        raise IntegrityError("a ledger line belongs to another case", where=where, why=f"{event.case}, expected {case}")
    if event.schema != SCHEMA:
        raise IntegrityError("a ledger line is of a schema that is not known", where=where, why=event.schema)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(path: Path, after: Event | None) -> str:
    return f"{path}, line {after.sequence + 2 if after else 1}"


def _lock(descriptor: int, path: Path) -> None:
    limit = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > limit:
                why = f"another process holds it for more than {LOCK_SECONDS:.0f} s"
                raise CaseError("the ledger is locked", where=str(path), why=why) from error
            time.sleep(0.005)
        else:
            return


def _body(deed: Deed, signature: Signature, last: Event | None) -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        "schema": SCHEMA,
        "case": signature.case,
        "sequence": last.sequence + 1 if last else 0,
        "previous": last.line if last else FIRST,
        "time": utc(now),
        "zone": now.astimezone().strftime("%Z %z"),
        "monotonic": clock.since_boot(),
        "boot": clock.boot_id(),
        "actor": signature.actor,
        "action": deed.action.value,
        "reason": deed.reason,
        "target": deed.target,
        "stage": deed.stage,
        "attempt": deed.attempt,
        "materials": deed.materials,
        "products": deed.products,
        "tool": signature.tool,
        "outcome": deed.outcome.value if deed.outcome else None,
        "details": deed.details,
        "deviation": deed.deviation,
    }
