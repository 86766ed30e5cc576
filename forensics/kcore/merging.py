"""Several readers' bytes, made one stream in LiME format: in the order of addresses, each stripe checked by its mark.

A thread for each reader brings its bytes here, into a buffer with room for little more than a stripe: nobody waits
for another reader longer than that one needs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence

from forensics import text
from forensics.errors import ForensicsError, StageFailed
from forensics.host import MIB, Completed, Stream
from forensics.kcore.packing import unpacking
from forensics.kcore.stripes import OVER, STRIPE, Division, Stripe
from forensics.lime.format import header
from forensics.model import JSON

_ENDING = 30.0  # seconds for a thread to end once nobody takes its bytes any more


class Reader(threading.Thread):
    """Takes what one command on the target gives, unpacks it, and keeps it until it is asked for."""

    def __init__(self, stream: Stream, packed: str, room: int = STRIPE) -> None:
        super().__init__(name="kcore", daemon=True)
        self._stream = stream
        self._read = unpacking(self._travelled, packed)
        self._room = room
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._over = self._unwanted = False
        self._problem: Exception | None = None
        self._ended: Completed | None = None
        self.travelled = 0  # bytes as they came, packed
        self.start()

    def run(self) -> None:
        """Bring bytes to the end, or until nobody wants any more."""
        try:
            while (data := self._read(MIB)) and self._keep(data):
                pass
            if not self._unwanted:
                self._ended = self._stream.ended()
        except (ForensicsError, OSError, EOFError) as problem:
            self._problem = problem
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def take(self, size: int) -> bytes:
        """Give at least one byte and at most `size`; raises when they have ended, and says why they did."""
        with self._changed:
            self._changed.wait_for(lambda: self._kept or self._over)
            if not self._kept:
                raise self._problem or self._short()
            data = self._kept.popleft()
            if len(data) > size:
                self._kept.appendleft(data[size:])
                data = data[:size]
            self._size -= len(data)
            self._changed.notify_all()
            return data

    def expect(self, mark: bytes) -> None:
        """Take these bytes; StageFailed when others came: no byte after them can be trusted to be where it should."""
        came = b""
        while len(came) < len(mark):
            came += self.take(len(mark) - len(came))
            if not mark.startswith(came):
                raise StageFailed(
                    "a read of /proc/kcore did not give all that was asked for; nothing after it is taken",
                    why=f"{text.show(mark, 60)} was to come, and {text.show(came, 60)} came",
                )

    def leave(self) -> None:
        """Want no more; the thread ends as soon as its stream gives something, or ends."""
        with self._changed:
            self._unwanted = True
            self._kept.clear()
            self._changed.notify_all()

    def told(self) -> dict[str, JSON]:
        """Put it as the acquisition record has it; to be asked when its stream has been closed."""
        self.join(_ENDING)
        ended = self._ended
        return {
            "bytes_travelled": self.travelled,
            "status": ended.status if ended else None,
            "stderr": text.show(ended.stderr.strip(), 500) if ended else "",
            "problem": str(self._problem or ""),
        }

    def _travelled(self, size: int) -> bytes:
        data = bytes(self._stream.read(size))
        self.travelled += len(data)
        return data

    def _keep(self, data: bytes) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._size < self._room or self._unwanted)
            if self._unwanted:
                return False
            self._kept.append(data)
            self._size += len(data)
            self._changed.notify_all()
            return True

    def _short(self) -> StageFailed:
        said = self._ended.stderr if self._ended else b""
        status = self._ended.status if self._ended else None
        return StageFailed(
            "the target stopped reading /proc/kcore before its end",
            why=f"the command ended with {status}: {text.show(said.strip(), 300) or 'no word'}",
            remedy="see the kernel's messages on the target; another engine may work",
        )


class Merged:
    """The stream as one `host.Channel`."""

    def __init__(self, division: Division, readers: Sequence[Reader]) -> None:
        self._pieces = _merged(division, readers)
        self._rest = b""

    def read(self, size: int = MIB) -> bytes:
        """Give at least one byte and at most `size`; b"" at the end."""
        data = self._rest or next(self._pieces, b"")
        data, self._rest = data[:size], data[size:]
        return data


def _merged(division: Division, readers: Sequence[Reader]) -> Iterator[bytes]:
    """Give header after header, each with the bytes that follow it; no header before the first byte is there."""
    for piece, stripes in division.stripes():
        head = header(piece.range)
        for stripe in stripes:
            for data in _stripe(stripe, readers[stripe.reader]):
                if head:
                    yield head
                    head = b""
                yield data
    for reader in readers:
        reader.expect(OVER)
    for reader in readers:
        reader.join(_ENDING)


def _stripe(stripe: Stripe, reader: Reader) -> Iterator[bytes]:
    reader.expect(stripe.mark)
    left = stripe.size
    while left:
        data = reader.take(left)
        left -= len(data)
        yield data
