"""What a range is made of, counted as bytes pass: pages of zeros, the longest run of them, zeros at the end, entropy.

A page is looked at beyond its first bytes only when these are zeros; entropy (Shannon's, of single bytes) is of one
page in `SAMPLED`, for of every byte it would take as long as hashing. No byte is read a second time for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from forensics.model import JSON

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAGE = 4096
SAMPLED = 64
"""Of so many pages one is looked at for entropy: the first, and then each so many further."""

_GLANCE = 16  # bytes of a page that tell nearly all pages that are not zeros


@dataclass(slots=True)
class Census:
    """One range, so far. Pages are counted from the range's beginning."""

    start: int  # address
    pages: int = 0
    zero_pages: int = 0
    longest: int = 0  # pages
    longest_at: int = 0  # page
    run: int = 0  # pages of zeros that the bytes so far end with
    _last: bytes = b""  # of the last page that is not zeros
    _rest: bytearray = field(default_factory=bytearray)  # of a page that is not full
    _seen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))

    def take(self, data: memoryview) -> None:
        """Count the next bytes."""
        if self._rest:
            wanted = PAGE - len(self._rest)
            self._rest += data[:wanted]
            data = data[wanted:]
            if len(self._rest) < PAGE:
                return
            whole, self._rest = self._rest, bytearray()
            self._count(memoryview(whole))
        full = len(data) // PAGE * PAGE
        if full:
            self._count(data[:full])
        self._rest += data[full:]

    @property
    def zero_tail(self) -> int:
        """Count the zero bytes that the range ends with."""
        for part, before in ((bytes(self._rest), 0), (self._last, len(self._rest) + self.run * PAGE)):
            kept = part.rstrip(b"\0")
            if kept:
                return before + len(part) - len(kept)
        return len(self._rest) + self.run * PAGE

    @property
    def entropy(self) -> float | None:
        """Give bits a byte, 0 to 8, of the pages that were looked at; None when there was none."""
        total = int(self._seen.sum())
        if not total:
            return None
        shares = self._seen[self._seen > 0] / total
        return float(abs((shares * np.log2(shares)).sum()))

    def told(self) -> dict[str, JSON]:
        """Put it as the acquisition record has it; addresses are physical, sizes are bytes."""
        entropy = self.entropy
        return {
            "zero_tail": self.zero_tail,
            "zero_pages": self.zero_pages,
            "longest_zero_run": self.longest * PAGE,
            "longest_zero_run_at": self.start + self.longest_at * PAGE if self.longest else None,
            "entropy": None if entropy is None else round(entropy, 3),
        }

    def _count(self, data: memoryview) -> None:
        pages = np.frombuffer(data, np.uint8).reshape(-1, PAGE)
        filled: NDArray[np.bool_] = np.any(pages[:, :_GLANCE], axis=1)
        perhaps = np.flatnonzero(~filled)
        if len(perhaps):
            filled[perhaps] = pages[perhaps].any(axis=1)
        first = -self.pages % SAMPLED
        if first < len(pages):
            self._seen += np.bincount(pages[first::SAMPLED].ravel(), minlength=256)
        self._runs(filled)
        places = np.flatnonzero(filled)
        if len(places):
            self._last = pages[places[-1]].tobytes()
        self.pages += len(pages)

    def _runs(self, filled: NDArray[np.bool_]) -> None:
        self.zero_pages += int(len(filled) - np.count_nonzero(filled))
        edges = [-1 - self.run, *(int(one) for one in np.flatnonzero(filled)), len(filled)]
        if len(edges) == len(filled) + 2 and not self.run:
            return  # the usual case: no page of zeros
        for before, after in pairwise(edges):
            if after - before - 1 > self.longest:
                self.longest, self.longest_at = after - before - 1, self.pages + before + 1
        self.run = edges[-1] - edges[-2] - 1
