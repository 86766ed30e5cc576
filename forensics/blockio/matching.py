"""Which event closes which, place by place.

At one place of a disk an event opens a span and another closes it: queued and got, issued and completed. Where they
alternate, neighbours belong together. Where several spans are open at once (two reads of the same sector), the first
opened is the first closed: any other order has the same sum. Where an event was dropped, as few as possible are left
without a partner, and those are the ones that no order could pair: a close before any open, an open that is never
closed, in the sense of brackets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forensics.blockio.sorting import ROOM, Integers, bits

Pairs = tuple[Integers, Integers]


@dataclass(frozen=True, slots=True)
class Known:
    """Rows at places, in order."""

    keys: Integers
    order: Integers
    row_bits: int

    def before(self, asked: Pairs) -> Integers:
        """Give for each question which entry is the last at its place and ahead of its row, or -1."""
        if not len(self.keys):
            return np.full(len(asked[0]), -1)
        found = np.searchsorted(self.keys, (asked[0] << self.row_bits) | asked[1], side="left") - 1
        inside = np.maximum(found, 0)
        right = (found >= 0) & ((self.keys[inside] >> self.row_bits) == asked[0])
        return np.where(right, self.order[inside], -1)


@dataclass(frozen=True, slots=True)
class Places:
    """Numbers for places on disks, so that a place, a row and one bit more make one key."""

    rows: int  # how many rows there are
    row_bits: int

    def match(self, opens: Pairs, closes: Pairs) -> Pairs:
        """Give the rows of opening and closing events that belong together; each is given as (places, rows)."""
        keys = self._keys(opens, closes)
        keys.sort()
        step = keys[1:] ^ keys[:-1]
        closing = (keys & 1).astype(np.bool_)
        rows = keys
        rows >>= 1
        rows &= (1 << self.row_bits) - 1
        same = step < 2 << self.row_bits
        turns = (step & 1).astype(np.bool_)
        twice = same & ~turns
        pairs = np.flatnonzero(same & turns & closing[1:])
        if not bool(twice.any()):
            return rows.take(pairs), rows.take(pairs + 1)
        group = np.concatenate([[0], np.cumsum(~same)])
        crowded = np.zeros(int(group[-1]) + 1, np.bool_)
        crowded[group[1:][twice]] = True
        hard = np.flatnonzero(crowded[group])
        easy = pairs[~crowded[group[pairs]]]
        first, second = _brackets(group[hard], closing[hard], rows[hard])
        return np.concatenate([rows[easy], first]), np.concatenate([rows[easy + 1], second])

    def known(self, known: Pairs) -> Known:
        """Put what is known in order, to be asked what came before."""
        keys = (known[0] << self.row_bits) | known[1]
        order = np.argsort(keys)
        return Known(keys[order], order, self.row_bits)

    def _keys(self, opens: Pairs, closes: Pairs) -> Integers:
        count = len(opens[0])
        keys = np.empty(count + len(closes[0]), np.int64)
        keys[:count], keys[count:] = opens[0], closes[0]
        keys <<= self.row_bits
        keys[:count] |= opens[1]
        keys[count:] |= closes[1]
        keys <<= 1
        keys[count:] |= 1
        return keys


def room(rows: int, highest: int) -> bool:
    """Tell whether places up to the highest leave room for rows."""
    return bits(highest) + bits(rows) + 1 <= ROOM


def places(rows: int) -> Places:
    """Make keys for so many rows."""
    return Places(rows, bits(rows))


def _brackets(group: Integers, closing: npt.NDArray[np.bool_], rows: Integers) -> Pairs:
    """Pair within each group as brackets are balanced, then first opened with first closed."""
    step = np.where(closing, -1, 1)
    depth = np.cumsum(step)
    new = np.flatnonzero(np.diff(group, prepend=-1))
    base = np.repeat(depth[new] - step[new], np.diff(np.append(new, len(group))))
    depth -= base
    apart = (np.cumsum(np.diff(group, prepend=group[0]) != 0)) * (2 * len(group) + 2)
    least = np.minimum.accumulate(depth - apart) + apart
    earlier = np.concatenate([[0], least[:-1]])
    earlier[new] = 0
    stray = closing & (depth < np.minimum(earlier, 0))
    later = (np.minimum.accumulate((depth + apart)[::-1])[::-1]) - apart
    never = ~closing & (later >= depth)
    kept = ~(stray | never)
    return rows[kept & ~closing], rows[kept & closing]
