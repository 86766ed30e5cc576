"""A stream of memory on its way to the disk: read, hashed, walked and written at the same time.

The network is read by a thread of its own into a bounded queue, and the disk is written by another, so that neither
waits for the other as long as there is room: a target's memory changes while it waits. hashlib and the system calls
release the interpreter's lock.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from forensics.errors import ForensicsError
from forensics.host import MIB, Channel, Piece
from forensics.lime.census import Census
from forensics.lime.format import Segment, Walk
from forensics.lime.writing import PIECES, Writer
from forensics.model import JSON, Digest, utc
from forensics.progress import Progress

IDLE = 120.0
"""Seconds without a byte after which the stream is given up."""

STALL = 0.5
"""Seconds without a byte that are put on record."""

_GLANCE = 0.5  # seconds between two questions whether it is to end
_END = b""


@dataclass
class Received:
    """What came, so far; true at every moment, so that a broken stream is described as well as a whole one."""

    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    written: int = 0  # bytes on disk, or handed to age
    whole: bool = False  # what came is on the disk, all of it, and age had its end
    reason: str = ""  # why it is not whole; "" when it ended as its headers promise
    walk: Walk = field(default_factory=Walk)
    entered: list[float] = field(default_factory=list)  # seconds at which each range began
    counted: list[Census] = field(default_factory=list)  # of each range
    stalls: list[tuple[float, float]] = field(default_factory=list)  # (seconds, how long)
    digest: Digest | None = None
    second: Digest | None = None  # by the case's second algorithm, where the file does not hold these bytes as they are

    @property
    def size(self) -> int:
        """Count the bytes that came."""
        return self.walk.total

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.size / self.seconds if self.seconds else 0.0

    def told(self) -> dict[str, JSON]:
        """Put it as the acquisition record has it."""
        ends = [*self.entered[1:], self.seconds]
        ranges: list[JSON] = [
            {
                "start": one.range.start,
                "end": one.range.end,
                "received": one.received,
                "began": round(began, 3),
                "seconds": round(end - began, 3),
                **counted.told(),
            }
            for one, began, end, counted in zip(self.walk.segments, self.entered, ends, self.counted, strict=False)
        ]
        return {
            "started": self.started,
            "ended": self.ended,
            "seconds": round(self.seconds, 3),
            "bytes": self.size,
            "bytes_written": self.written,
            "bytes_per_second": round(self.rate),
            "digest": str(self.digest) if self.digest else None,
            "reason": self.reason,
            "ranges": ranges,
            "stalls": [[round(at, 3), round(length, 3)] for at, length in self.stalls[:1000]],
        }


def never() -> str:
    """Find nothing that would end a stream."""
    return ""


@dataclass(frozen=True, slots=True)
class Sealed:
    """How a stream is encrypted on its way to the disk."""

    to: tuple[str, ...] = ()  # age recipients; none: not at all
    second: str = ""  # another algorithm by which the plain bytes are hashed


IN_CLEAR = Sealed()


def receive(
    channel: Channel,
    path: Path,
    received: Received,
    expected: int,
    progress: Progress,
    *,
    halted: Callable[[], str] = never,
    sealed: Sealed = IN_CLEAR,
) -> None:
    """Bring a stream in LiME format to a new file of mode 0600, encrypted where that is asked for, and fsync it.

    `received` is filled as bytes pass, also when this raises (KeyboardInterrupt); what the link or the disk did wrong
    does not raise, but is its `reason`, and the bytes that came are kept. The end of the stream has to be where a
    range ends: whether it was the last one is not for the stream to say. Once `halted` gives a reason, it is over.
    """
    begin = time.monotonic()
    received.started = utc(datetime.now(UTC))
    _follow(received, begin)
    digest = hashlib.sha256()
    other = hashlib.new(sealed.second) if sealed.to and sealed.second else None
    writer = Writer(path, sealed.to)
    reader = _Reader(channel)
    try:
        with progress.task("Receiving memory", expected or None) as came:
            for piece in _pieces(reader, received, begin, halted):
                if not writer.take(piece):
                    break
                digest.update(piece)
                if other:
                    other.update(piece)
                received.walk.feed(piece)
                came(len(piece))
    except KeyboardInterrupt:
        received.reason = f"it was interrupted; {received.walk.shortfall}".removesuffix("; ")
        raise
    finally:
        writer.finish()
        received.written = writer.written
        received.seconds = time.monotonic() - begin
        received.ended = utc(datetime.now(UTC))
        received.digest = Digest("sha256", digest.hexdigest())
        received.second = Digest(sealed.second, other.hexdigest()) if other else None
        received.whole = not writer.problem and writer.written == received.size
        received.reason = writer.problem or received.reason or received.walk.shortfall


def _follow(received: Received, begin: float) -> None:
    """Note when each range begins, and what it is made of."""

    def entered(segment: Segment) -> None:
        received.entered.append(time.monotonic() - begin)
        received.counted.append(Census(segment.range.start))

    def passed(data: memoryview) -> None:
        received.counted[-1].take(data)

    received.walk.entered, received.walk.passed = entered, passed


def _pieces(reader: _Reader, received: Received, begin: float, halted: Callable[[], str]) -> Iterator[Piece]:
    """Give what the network brings, until its end; notes stalls, and why it ended before its time."""
    asked = time.monotonic()
    while not (reason := halted()):
        try:
            piece = reader.pieces.get(timeout=min(_GLANCE, IDLE))
        except queue.Empty:
            if time.monotonic() - asked < IDLE:
                continue
            received.reason = f"not one byte came for {IDLE:.0f} seconds"
            return
        waited = time.monotonic() - asked
        if waited > STALL:
            received.stalls.append((asked - begin, waited))
        if not piece:
            received.reason = reader.problem
            return
        yield piece
        asked = time.monotonic()
    received.reason = reason


class _Reader(threading.Thread):
    """Reads the network into a queue; an empty piece is the end."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(name="network", daemon=True)
        self.pieces: queue.Queue[Piece] = queue.Queue(PIECES)
        self.problem = ""
        self._channel = channel
        self.start()

    def run(self) -> None:
        """Read to the end."""
        piece: Piece = b"begin"
        while piece:
            try:
                piece = self._channel.read(MIB)
            except ForensicsError as problem:
                self.problem, piece = str(problem), _END
            except (OSError, EOFError) as problem:
                self.problem, piece = f"the connection broke: {problem or type(problem).__name__}", _END
            try:
                self.pieces.put(piece, timeout=2 * IDLE)
            except queue.Full:
                return  # nobody takes any more


__all__ = ["Received", "Segment", "receive"]
