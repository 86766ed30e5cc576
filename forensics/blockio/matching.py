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
class Places:
    """Numbers for places on disks, so that a place, a row and one bit more make one key."""

    rows: int  # how many rows there are
    row_bits: int

    def match(self, opens: Pairs, closes: Pairs) -> Pairs:
        """Give the rows of opening and closing events that belong together; each is given as (places, rows)."""
        keys = self._keys(opens, closes)
        keys.sort()
        closing = (keys & 1).astype(np.bool_)
        place = keys >> (self.row_bits + 1)
        same = place[1:] == place[:-1]
        rows = keys
        rows >>= 1
        rows &= (1 << self.row_bits) - 1
        twice = same & (closing[1:] == closing[:-1])
        pairs = np.flatnonzero(same & closing[1:] & ~closing[:-1])
        if not bool(twice.any()):
            return rows.take(pairs), rows.take(pairs + 1)
        group = np.concatenate([[0], np.cumsum(~same)])
        crowded = np.zeros(int(group[-1]) + 1, np.bool_)
        crowded[group[1:][twice]] = True
        hard = np.flatnonzero(crowded[group])
        easy = pairs[~crowded[group[pairs]]]
        first, second = _brackets(group[hard], closing[hard], rows[hard])
        return np.concatenate([rows[easy], first]), np.concatenate([rows[easy + 1], second])

    def before(self, known: Pairs, asked: Pairs) -> Integers:
        """Give for each question which entry of the known is the last at its place and ahead of its row, or -1."""
        keys = self._plain(*known)
        order = np.argsort(keys)
        keys = keys[order]
        found = np.searchsorted(keys, self._plain(*asked), side="left") - 1
        if not len(keys):
            return np.full(len(asked[0]), -1)
        inside = np.maximum(found, 0)
        right = (found >= 0) & ((keys[inside] >> self.row_bits) == asked[0])
        return np.where(right, order[inside], -1)

    def _plain(self, places: Integers, rows: Integers) -> Integers:
        return (places << self.row_bits) | rows

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
