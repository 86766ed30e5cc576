# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""The search for several words of memory that end alike, as addresses of one kernel's do: by their common end first.

linux.psscan looks for five addresses within a kilobyte. As one regular expression that is tried at every byte (2.28.2,
MultiStringScanner); `bytes.find` of what they have in common passes over memory many times as fast.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from volatility3.framework.layers import scanners

_LEAST = 4  # bytes in common
_Scanner = scanners.MultiStringScanner
_begin = _Scanner.__init__
_look = _Scanner.search


def quicken() -> None:
    """Put these in place of Volatility's own: in the worker's process only."""
    _Scanner.__init__ = _init
    _Scanner.search = search


def _init(self: Any, patterns: Sequence[bytes]) -> None:
    """MultiStringScanner.__init__, which keeps what the patterns have in common."""
    _begin(self, patterns)
    end = os.path.commonprefix([one[::-1] for one in patterns])[::-1]  # noqa: RUF071 (of bytes, not of paths)
    alike = len({len(one) for one in patterns}) == 1 and len(set(patterns)) > 1 and len(end) >= _LEAST
    self._alike = (end, frozenset(one[: -len(end)] for one in patterns)) if alike else None


def search(self: Any, haystack: bytes) -> Iterator[tuple[int, bytes]]:
    """MultiStringScanner.search: each place, the first first; none overlaps the one before."""
    if not self._alike:
        yield from _look(self, haystack)
        return
    end, heads = self._alike
    before = len(next(iter(heads)))
    free, at = 0, haystack.find(end)
    while at >= 0:
        start = at - before
        if start >= free and haystack[start:at] in heads:
            free = at + len(end)
            yield start, haystack[start:free]
        at = haystack.find(end, at + 1)
