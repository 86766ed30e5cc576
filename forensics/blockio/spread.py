"""Counts, averages and percentiles of many groups at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from forensics.blockio.sorting import ROOM, Integers, bits

Spread = tuple[int, float, float, float, float, float, float]
"""Count; minimum, average, median, 95th and 99th percentile (linear between neighbours) and maximum in seconds."""
_NANO = 1e9


def spread(times: Integers) -> Spread:
    """Describe one group of nanoseconds, at least one."""
    values = times.astype(_width(bits(int(times.max()))))
    values.sort()
    return next(_described(values, np.array([0]), np.array([len(times)])))


def spreads(times: Integers, groups: Integers, count: int) -> dict[int, Spread]:
    """Describe each group that has a value; `groups` gives for each value which of `count` groups it is of."""
    if not len(times):
        return {}
    width = bits(int(times.max()))
    if bits(count) + width > ROOM:
        order = np.lexsort((times, groups))
        values = times[order]
    else:
        kind = _width(bits(count) + width)
        values = groups.astype(kind)
        values <<= kind(width)
        values |= times.astype(kind, copy=False)
        values.sort()
        values &= kind((1 << width) - 1)
    sizes = np.bincount(groups, minlength=count)
    starts = np.cumsum(sizes) - sizes
    filled = np.flatnonzero(sizes)
    return dict(zip(filled.tolist(), _described(values, starts[filled], sizes[filled]), strict=True))


def _width(wanted: int) -> type[np.uint32 | np.int64]:
    """Give the smaller kind of number where that holds so many bits: half as wide is sorted in half the time."""
    return np.uint32 if wanted <= 32 else np.int64


def _described(values: npt.NDArray[Any], starts: Integers, sizes: Integers) -> Iterator[Spread]:
    columns = [values[starts], np.add.reduceat(values, starts, dtype=np.int64) / sizes]
    for part in (0.50, 0.95, 0.99):
        place = (sizes - 1) * part
        low = place.astype(np.int64)
        below = values[starts + low].astype(np.int64)
        above = values[starts + np.minimum(low + 1, sizes - 1)].astype(np.int64)
        columns.append(below + (above - below) * (place - low))
    columns.append(values[starts + sizes - 1])
    rounded = [np.round(column / _NANO, 12).tolist() for column in columns]
    yield from zip(sizes.tolist(), *rounded, strict=True)
