"""Which bios became one request, and which bio is another one mapped to a device below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forensics.blockio.bios import NONE, Bios, Grid, roots
from forensics.blockio.events import A, F, G, I, M
from forensics.blockio.matching import Known, Pairs
from forensics.blockio.sorting import Integers
from forensics.blockio.trace import Trace

_NO_ROWS = np.zeros(0, np.int64)
Beside = tuple[Pairs, Known]
Taken = tuple[Integers, Integers, Integers]
"""The row of each bio's G, that of its M or F, and for each row which bio's G it is."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What happened to each bio until its request was ready to be issued; rows of events, -1 where not seen."""

    got: Integers
    inserted: Integers
    merged: Integers
    root: Integers  # the bio that leads the request
    leads: Integers  # the bios that lead one
    first: Integers  # the place at which a request starts (for those that lead one)
    ready: Integers  # the row of the last that was merged into it (for those that lead one)


def beside(kind: npt.NDArray[np.uint8], grid: Grid, bios: Bios) -> Beside:
    """Pair each G with its I, and put in order where bios end, which those that are merged into them ask for."""
    known = grid.keys.known((bios.end, bios.row) if bool((kind == M).any()) else (_NO_ROWS, _NO_ROWS))
    return _inserts(kind, grid), known


def _inserts(kind: npt.NDArray[np.uint8], grid: Grid) -> Pairs:
    return grid.keys.match(grid.pairs(np.flatnonzero(kind == G)), grid.pairs(np.flatnonzero(kind == I)))


def join(kind: npt.NDArray[np.uint8], grid: Grid, bios: Bios, taken: Taken, beside: Beside) -> Joined:
    """Find what each bio got: a request of its own, or a place in another's."""
    (got, merged, bio_of), (inserts, behind) = taken, beside
    inserted = np.full(len(bios.row), NONE, np.int64)
    begun, put = inserts
    bio = bio_of.take(begun)
    ours = bio != NONE
    inserted[bio[ours]] = put[ours]
    everyone = np.arange(len(bios.row))
    members = np.flatnonzero(merged != NONE)
    if not len(members):
        return Joined(got, inserted, merged, everyone, everyone, bios.start, bios.row)
    root = _led(kind, grid, bios, behind, members, merged[members])
    first, ready = bios.start.copy(), bios.row.copy()
    np.minimum.at(first, root[members], bios.start[members])
    np.maximum.at(ready, root[members], merged[members])
    return Joined(got, inserted, merged, root, np.flatnonzero(root == everyone), first, ready)


def take(trace: Trace, kind: npt.NDArray[np.uint8], grid: Grid, bios: Bios) -> Taken:
    """Find the row of each bio's G, and of its M or F; and the bio of each G."""
    index = np.full(len(trace), NONE, np.int64)
    index[bios.row] = np.arange(len(bios.row))
    taking = np.flatnonzero((kind == G) | (kind == M) | (kind == F))
    queued, taken = grid.keys.match((bios.start, bios.row), grid.pairs(taking))
    bio, gets = index.take(queued), kind.take(taken) == G
    got, merged = (np.full(len(bios.row), NONE, np.int64) for _ in range(2))
    got[bio[gets]] = taken[gets]
    merged[bio[~gets]] = taken[~gets]
    bio_of = index
    bio_of[bios.row] = NONE
    bio_of[taken[gets]] = bio[gets]
    late = taking[(kind[taking] != G)]
    if len(late) != int(np.count_nonzero(~gets)):
        _whole_requests(grid, bios, np.setdiff1d(late, taken[~gets]), got, merged)
    return got, merged, bio_of


def _whole_requests(grid: Grid, bios: Bios, rows: Integers, got: Integers, merged: Integers) -> None:
    """Take a merge of what has its request already for one of that whole request (blk_add_trace_rq_merge)."""
    bio = grid.keys.known((bios.start, bios.row)).before(grid.pairs(rows))
    known = bio != NONE
    bio, rows = bio[known], rows[known]
    fits = (got[bio] != NONE) & (got[bio] < rows) & (merged[bio] == NONE)
    merged[bio[fits]] = rows[fits]


def _led(  # noqa: PLR0917 - what is known of the bios
    kind: npt.NDArray[np.uint8], grid: Grid, bios: Bios, behind: Known, members: Integers, rows: Integers
) -> Integers:
    """Tell for each bio which one leads its request; its own number when that one was queued before the trace."""
    parent = np.arange(len(bios.row))
    for event, meets in ((M, bios.start), (F, bios.end)):
        chosen = kind[rows] == event
        bio = members[chosen]
        if not len(bio):
            continue
        known = grid.keys.known((bios.start, bios.row)) if event == F else behind
        leader = known.before((meets[bio], rows[chosen]))
        earlier = (leader != NONE) & (leader < bio)  # a leader was queued earlier, so there is no circle
        parent[bio[earlier]] = leader[earlier]
    return roots(parent)


def mapped(trace: Trace, grid: Grid, bios: Bios) -> tuple[Integers, Integers, npt.NDArray[np.bool_]]:
    """Find the row at which a bio was mapped to another device, the bio that each one was first, and those below."""
    everyone = np.arange(len(bios.row))
    none = np.full(len(bios.row), NONE, np.int64)
    chosen = (trace.event[trace.said] == A) & (trace.other >= 0)
    rows = trace.said[chosen]
    if not len(rows) or not len(bios.row):
        return none, everyone, np.zeros(len(bios.row), np.bool_)
    above = grid.on(np.searchsorted(grid.devices, trace.origin[chosen]), trace.other[chosen])
    upper = grid.keys.known((bios.start, bios.row)).before((above, rows))
    none[upper[upper != NONE]] = rows[upper != NONE]
    index = np.full(len(trace), NONE, np.int64)
    index[rows] = upper
    begun, queued = grid.keys.match(grid.pairs(rows), (bios.start, bios.row))
    place = np.full(len(trace), NONE, np.int64)
    place[bios.row] = everyone
    lower, source = place[queued], index[begun]
    known = (source != NONE) & (source < lower)
    parent = everyone.copy()
    parent[lower[known]] = source[known]
    return none, roots(parent), parent != everyone
