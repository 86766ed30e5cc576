"""Orders of many numbers: keys that carry their row are sorted in place, which is several times as fast as argsort."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
ROOM = 63
"""Bits of a key."""
_SMALL = 1 << 16


def bits(number: int) -> int:
    """Tell how many bits a number takes; at least one."""
    return max(1, int(number).bit_length())


def order_of(values: Integers) -> Integers:
    """Give the order that sorts values; equal ones stay as they stood."""
    if not len(values):
        return np.zeros(0, np.int64)
    low = int(values.min())
    row_bits = bits(len(values))
    if bits(int(values.max()) - low) + row_bits > ROOM:
        return np.argsort(values, kind="stable")
    keys = values - low
    keys <<= row_bits
    keys |= np.arange(len(values))
    keys.sort()
    keys &= (1 << row_bits) - 1
    return keys


def numbered(values: npt.NDArray[np.unsignedinteger]) -> tuple[npt.NDArray[np.unsignedinteger], Integers]:
    """Give the different values in order, and for each row which of them it is."""
    if not len(values) or bool((values == values[0]).all()):
        return values[:1].copy(), np.broadcast_to(np.int64(0), len(values))  # takes no room
    highest = int(values.max())
    if highest <= max(_SMALL, 4 * len(values)):
        there = np.zeros(highest + 1, np.bool_)
        there[values] = True
        return np.flatnonzero(there).astype(values.dtype), (np.cumsum(there) - 1).take(values)
    few = np.unique(values[:: max(1, len(values) // 1024)])
    code = np.minimum(np.searchsorted(few, values), len(few) - 1)
    if bool(np.array_equal(few[code], values)):
        return few, code
    order = order_of(values.astype(np.int64))
    in_order = values[order]
    new = np.empty(len(values), np.bool_)
    new[0] = True
    np.not_equal(in_order[1:], in_order[:-1], out=new[1:])
    code[order] = np.cumsum(new) - 1
    return in_order[new], code
