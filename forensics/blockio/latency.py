"""Pairs of events, and the times between them.

A request is followed by (device, sector): queued (Q), got (G), inserted (I), issued (D), completed (C). A bio that is
merged (M behind, F in front) shares the rest of its way with the request that took it in; the second half of a split
bio (X) begins where it was cut, at the time its whole was queued. D and C are emitted by whoever ran them (a kernel
worker, another program's interrupt), so everything is charged to the process that queued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from forensics.blockio.trace import Integers, Trace

Q, M, F, G, R, D, C, U, I, X, A = 1, 2, 3, 4, 6, 7, 8, 10, 12, 13, 15  # noqa: E741
MEASURES: Mapping[str, tuple[str, str]] = {
    "Q2D": ("queued", "issued"),
    "D2C": ("issued", "completed"),
    "Q2C": ("queued", "completed"),
    "Q2G": ("queued", "got"),
    "G2I": ("got", "inserted"),
    "I2D": ("inserted", "issued"),
}
SECTOR = 512
_NONE = -1


@dataclass(frozen=True, slots=True)
class Requests:
    """One row a bio (or part of a split one): who queued it, and when it passed each step; -1 where it was not seen."""

    pid: Integers
    device: Integers
    sector: Integers
    size: Integers  # bytes as queued
    write: npt.NDArray[np.bool_]
    queued: Integers
    got: Integers
    inserted: Integers
    issued: Integers
    completed: Integers

    def __len__(self) -> int:
        return len(self.pid)

    def times(self, measure: str) -> tuple[Integers, Integers]:
        """Give the nanoseconds of a measure, and the rows for which both ends were seen."""
        first, last = (getattr(self, name) for name in MEASURES[measure])
        seen = np.flatnonzero((first != _NONE) & (last != _NONE) & (last >= first))
        return (last - first)[seen], seen


class _Index:
    """Rows of events at places, to find the first behind (or the last ahead of) a row at a place."""

    def __init__(self, places: Integers, rows: Integers) -> None:
        self._order = np.lexsort((rows, places))
        self._places, self._rows = places[self._order], rows[self._order]
        self._known, self._starts = np.unique(self._places, return_index=True)
        self._base = int(rows.max(initial=0)) + 2
        self._keys = np.repeat(np.arange(len(self._known)), np.diff([*self._starts, len(places)])) * self._base
        self._keys += self._rows

    def after(self, places: Integers, rows: Integers) -> Integers:
        """Give, for each question, which entry is the first behind the row at the place, or -1."""
        return self._seek(places, rows, "right", 0)

    def before(self, places: Integers, rows: Integers) -> Integers:
        """Give, for each question, which entry is the last ahead of the row at the place, or -1."""
        return self._seek(places, rows, "left", -1)

    def _seek(self, places: Integers, rows: Integers, side: Literal["left", "right"], step: int) -> Integers:
        if not len(self._keys):
            return np.full(len(places), _NONE)
        known = np.minimum(np.searchsorted(self._known, places), len(self._known) - 1)
        keys = known * self._base + np.clip(rows, 0, self._base - 1)
        found = np.searchsorted(self._keys, keys, side=side) + step
        inside = np.clip(found, 0, len(self._keys) - 1)
        right = (found >= 0) & (found < len(self._keys)) & (self._places[inside] == places)
        return np.where(right, self._order[inside], _NONE)


@dataclass(slots=True)
class _Bios:
    """Where each bio starts and ends, the row at which it became known, and the bio it was cut from."""

    row: Integers
    device: Integers
    start: Integers
    end: Integers
    origin: Integers  # which bio was queued


def pair(trace: Trace) -> Requests:
    """Follow every bio through its request."""
    device = np.unique(trace.device, return_inverse=True)[1].astype(np.int64) << 44
    sector = np.clip(trace.sector, 0, (1 << 44) - 1)
    bios = _bios(trace, device, sector)
    root = _merged(trace, bios, device + sector)
    last = np.full(len(bios.row), _NONE)
    np.maximum.at(last, root, bios.row)
    first = bios.start.copy()
    np.minimum.at(first, root, bios.start)
    rows = _steps(trace, device + sector, bios, first, last)
    queued = bios.row[bios.origin]
    seen = {name: _times(trace.time, row[root]) for name, row in rows.items()}
    return Requests(
        trace.pid[queued],
        trace.device[queued],
        bios.start,
        (bios.end - bios.start) * SECTOR,
        trace.category[queued] & 2 != 0,
        trace.time[queued],
        **seen,
    )


def _times(time: Integers, rows: Integers) -> Integers:
    return np.where(rows == _NONE, _NONE, time[np.clip(rows, 0, None)]) if len(time) else rows


def _bios(trace: Trace, device: Integers, sector: Integers) -> _Bios:
    fine = (trace.size > 0) & (trace.category & 0x200 == 0)
    rows = np.flatnonzero(((trace.event == Q) & fine) | ((trace.event == X) & (trace.other >= 0)))
    split = trace.event[rows] == X
    start = np.where(split, np.clip(trace.other[rows], 0, (1 << 44) - 1), sector[rows])
    end = np.where(split, start, start + trace.size[rows] // SECTOR)
    index = _Index(device[rows] + start, rows)
    whole = np.where(split, index.before(device[rows] + sector[rows], rows), np.arange(len(rows)))
    lost = whole == _NONE  # cut from a bio that was queued before the trace began
    origin = _roots(np.where(lost, np.arange(len(rows)), whole))
    end = np.maximum(end[origin], start)
    cut = np.flatnonzero(split & ~lost)
    end[whole[cut]] = np.minimum(end[whole[cut]], np.maximum(start[cut], start[whole[cut]]))
    keep = ~split[origin]
    place = np.cumsum(keep) - 1
    return _Bios(rows[keep], device[rows][keep], start[keep], end[keep], place[origin[keep]])


def _roots(parent: Integers) -> Integers:
    """Follow parents to the last; each step doubles the way, so that a chain of any length takes few."""
    for _ in range(64):
        further = parent[parent]
        if bool(np.array_equal(further, parent)):
            break
        parent = further
    return parent


def _merged(trace: Trace, bios: _Bios, place: Integers) -> Integers:
    """Tell for each bio which one leads its request."""
    parent = np.arange(len(bios.row))
    starts = _Index(bios.device + bios.start, bios.row)
    ends = _Index(bios.device + bios.end, bios.row)
    for event, where in ((M, ends), (F, starts)):
        rows = np.flatnonzero(trace.event == event)
        bio = starts.before(place[rows], rows)
        rows, bio = rows[bio != _NONE], bio[bio != _NONE]
        meets = bios.start[bio] if event == M else bios.end[bio]
        leader = where.before(bios.device[bio] + meets, bios.row[bio])
        known = leader != _NONE
        parent[bio[known]] = leader[known]  # a leader was queued earlier, so there is no circle
    return _roots(parent)


def _steps(trace: Trace, place: Integers, bios: _Bios, first: Integers, last: Integers) -> dict[str, Integers]:
    """Find the rows of each step for the bios that lead a request (for the others, what is given is not used)."""
    own, shared = bios.device + bios.start, bios.device + first
    queues = _Index(own, bios.row)
    until = _row_at(bios.row, queues.after(own, np.maximum(bios.row, last)), len(trace))
    until_shared = _row_at(bios.row, queues.after(shared, np.maximum(bios.row, last)), len(trace))
    found: dict[str, Integers] = {}
    for name, event in (("got", G), ("inserted", I)):
        rows = np.flatnonzero(trace.event == event)
        step = _row_at(rows, _Index(place[rows], rows).after(own, bios.row), len(trace))
        found[name] = np.where(step < until, step, _NONE)
    found |= _issued(trace, place, shared, np.maximum(bios.row, last), until_shared)
    return found


def _issued(trace: Trace, place: Integers, where: Integers, last: Integers, until: Integers) -> dict[str, Integers]:
    """Find the issue that was completed (the last, when a request was put back and issued again) and its completion."""
    issues = np.flatnonzero((trace.event == D) & (trace.size > 0))
    ends = np.flatnonzero(trace.event == C)
    issued = _Index(place[issues], issues)
    once = _row_at(issues, issued.after(where, last), len(trace))
    once = np.where(once < until, once, _NONE)
    done = _row_at(ends, _Index(place[ends], ends).after(where, once), len(trace))
    again = _row_at(issues, issued.before(where, done), _NONE)
    ours = (once != _NONE) & (done < len(trace)) & (again < until)
    return {"issued": np.where(ours, again, once), "completed": np.where(ours, done, _NONE)}


def _row_at(rows: Integers, entries: Integers, missing: int) -> Integers:
    return (
        np.where(entries == _NONE, missing, rows[np.clip(entries, 0, None)]) if len(rows) else (entries * 0 + missing)
    )
