"""A stream that is read no faster than it may be; what is not read waits on the target, for SSH's window is bounded."""

from __future__ import annotations

import re
import time

from forensics.errors import UsageError
from forensics.host import MIB, Channel, Piece
from forensics.text import show

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SHARES = 10  # parts of a second's bytes: no pause is longer than such a part
_LEAST = 4096  # bytes a second; with less, a stream would pass for one that has stopped


class Paced:
    """A `host.Channel` that gives at most `rate` bytes a second, from its first byte on."""

    def __init__(self, channel: Channel, rate: int) -> None:
        self._channel = channel
        self._rate = rate
        self._share = max(rate // _SHARES, 1)
        self._due = 0.0

    def read(self, size: int = MIB) -> Piece:
        """Give at least one byte and at most `size`, when it is time for them; b"" at the end."""
        data = self._channel.read(min(size, self._share))
        now = time.monotonic()
        self._due = max(self._due, now) + len(data) / self._rate
        time.sleep(self._due - now)
        return data


def rate(words: str) -> int:
    """Read a number of bytes such as 50M or 800K (K, M and G count by 1024); "" and 0 are 0: nothing is asked for."""
    if words in {"", "0"}:
        return 0
    found = re.fullmatch(r"(\d{1,9})([KMG]?)(?:i?B)?(?:/s)?", words.strip(), re.IGNORECASE)
    number = int(found[1]) * _UNITS[found[2].upper()] if found else 0
    if number < _LEAST:
        raise UsageError(
            f"{show(words, 40)} is no number of bytes that can be used here",
            remedy="give 4K or more, such as 50M (K, M and G count by 1024)",
        )
    return number
