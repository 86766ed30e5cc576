"""The events of all files as columns, in order of time.

All are cut at the same moments, so that each piece is put in order by itself: in a processor's cache, and several at
the same time. Events of one moment stay as they stood, those of an earlier file first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from forensics.blockio import parallel
from forensics.blockio.records import CGROUP, Integers, Octets, Records

U, UT, X, A = 10, 11, 13, 15
_SAYS = np.zeros(256, np.bool_)
_SAYS[[U, UT, X, A]] = True
BLOCK = 1 << 14
"""Records that are copied at a time: few enough for a processor's cache."""
_COLUMNS: dict[str, type[np.generic]] = {
    "sector": np.int64,
    "size": np.uint32,
    "event": np.uint8,
    "category": np.uint32,
    "pid": np.uint32,
    "device": np.uint32,
    "cpu": np.uint16,
    "error": np.uint16,
}
Columns = dict[str, npt.NDArray[Any]]
Said = tuple[Integers, Integers, npt.NDArray[np.uint32]]
"""Rows that say more, and what: see Trace."""
_Talking = tuple[int, Integers, Integers]
"""A file, rows of the whole that say more, and which of its records they are."""
_Cut = tuple[slice, list[slice]]
"""Rows of the whole, and of each file."""


@dataclass(frozen=True, slots=True)
class Events:
    """The events of one file in order of time, not yet copied out of it."""

    records: Records
    time: Integers

    @classmethod
    def of(cls, records: Records, time: Integers) -> Events:
        """Put them in order; those of one moment stay as they stood."""
        if bool(np.any(time[1:] < time[:-1])):
            order = np.argsort(time, kind="stable")
            records, time = records.only(order), time[order]
        return cls(records, time)


def in_time(parts: Sequence[Events], *, sequences: bool) -> tuple[Integers, Columns, Said]:
    """Give times, the other columns, and what some rows say more; `sequences`: with each event's number."""
    kinds: dict[str, type[np.generic]] = {"time": np.int64, **_COLUMNS}
    if sequences:
        kinds["sequence"] = np.uint32
    columns: Columns = {name: np.empty(sum(len(part.time) for part in parts), kind) for name, kind in kinds.items()}
    talking = parallel.each(lambda cut: _fill(columns, parts, cut), _cuts(parts))
    told = [_said(part.records, number, talking) for number, part in enumerate(parts)]
    said, other, origin = (np.concatenate(column) for column in zip(*told, strict=True))
    order = np.argsort(said)
    return columns.pop("time"), columns, (said[order], other[order], origin[order])


def _cuts(parts: Sequence[Events]) -> list[_Cut]:
    """Cut all files at the same moments, into pieces of about a block of each."""
    moments = np.sort(np.concatenate([part.time[:: BLOCK * len(parts)][1:] for part in parts]))
    edges = [[0, *np.searchsorted(part.time, moments).tolist(), len(part.time)] for part in parts]
    pieces = [[slice(first, behind) for first, behind in pairwise(each)] for each in edges]
    whole = [sum(each) for each in zip(*edges, strict=True)]
    return [
        (slice(first, behind), list(rows))
        for first, behind, *rows in zip(whole, whole[1:], *pieces, strict=False)
        if first < behind
    ]


def _fill(columns: Columns, parts: Sequence[Events], cut: _Cut) -> list[_Talking]:
    """Copy one piece to its place; tell which rows say more."""
    place, pieces = cut
    count = place.stop - place.start
    some = [(number, rows) for number, rows in enumerate(pieces) if rows.start < rows.stop]
    made: Columns = {name: column[place] for name, column in columns.items()}
    if len(some) > 1:
        made = {name: np.empty(count, column.dtype) for name, column in columns.items()}
    talking: list[_Talking] = []
    first = 0
    for number, rows in some:
        behind = first + rows.stop - rows.start
        _copy({name: column[first:behind] for name, column in made.items()}, parts[number].records.heads(rows))
        said = np.flatnonzero(_SAYS.take(made["event"][first:behind]))
        talking.append((number, said + first, said + rows.start))
        first = behind
    after = np.arange(place.start, place.stop)
    if len(some) > 1:
        order = np.argsort(made["time"], kind="stable")
        for name, column in columns.items():
            np.take(made[name], order, out=column[place], mode="clip")
        after[order] = after.copy()
    return [(number, after[said], rows) for number, said, rows in talking]


def _copy(made: Columns, heads: npt.NDArray[np.void]) -> None:
    action = heads["action"]
    made["event"][:] = action
    made["category"][:] = action >> 16
    for name in made.keys() - {"event", "category"}:
        made[name][:] = heads[name]


def _said(records: Records, number: int, talking: Sequence[Sequence[_Talking]]) -> Said:
    """Read what the rows of one file say more."""
    ours = [one for piece in talking for one in piece if one[0] == number]
    none = np.zeros(0, np.int64)
    records = records.only(np.concatenate([none, *(rows for _, _, rows in ours)]))
    return np.concatenate([none, *(said for _, said, _ in ours)]), *_others(records, records.heads())


def _others(records: Records, heads: npt.NDArray[np.void]) -> tuple[Integers, npt.NDArray[np.uint32]]:
    """Read the payloads that count, big-endian everywhere: X second sector, A device and sector, U and UT depth."""
    action, lengths = heads["action"], heads["length"].astype(np.int64)
    starts = (records.starts + records.words) * 4
    grouped = action & CGROUP != 0
    starts[grouped] += 8
    lengths[grouped] -= 8
    origin, other = np.zeros(len(starts), np.uint32), np.full(len(starts), -1, np.int64)
    mapped = (action & 0xFF == A) & (lengths >= 16)
    other[mapped] = _big(records.raw, starts[mapped] + 8, 8)
    origin[mapped] = _big(records.raw, starts[mapped], 4)
    plain = (action & 0xFF != A) & (lengths >= 8)
    other[plain] = _big(records.raw, starts[plain], 8)
    other[other < 0] = -1
    return other, origin


def _big(raw: Octets, starts: Integers, width: int) -> Integers:
    number = np.zeros(len(starts), np.int64)
    for place in range(width):
        number = (number << 8) | raw[starts + place]
    return number
