"""The way of every request, and the times between its steps.

A bio is queued (Q), may be split (X) and mapped to another device (A), gets a request (G) or is merged into one (M
behind, F in front), the request is inserted (I), issued (D), perhaps put back (R) and issued again, and completed (C).
A merged bio shares the rest of its way with the request that took it in; the second half of a split bio begins where
it was cut, at the time its whole was queued. D and C are emitted by whoever ran them (a kernel worker, another
program's interrupt), so everything is charged to the process that queued, through any device it was mapped from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forensics.blockio import merging, parallel
from forensics.blockio.bios import NONE, Bios, Grid, gather, roots
from forensics.blockio.events import C, D, R, sizable
from forensics.blockio.matching import Pairs
from forensics.blockio.sorting import Integers
from forensics.blockio.trace import Trace

MEASURES: Mapping[str, tuple[str, str]] = {
    "Q2A": ("queued", "mapped"),
    "Q2G": ("queued", "got"),
    "G2I": ("got", "inserted"),
    "Q2M": ("queued", "merged"),
    "I2D": ("inserted", "issued"),
    "M2D": ("merged", "issued"),
    "Q2D": ("queued", "issued"),
    "D2C": ("issued", "completed"),
    "Q2C": ("queued", "completed"),
}
"""What is measured, from which step to which, in the order of a request's way."""
_PARTS = 64
"""In how many parts a request may be completed."""


@dataclass(frozen=True, slots=True)
class Requests:
    """One row a bio (or part of a split one): who queued it, and when it passed each step; -1 where it was not seen."""

    row: Integers  # the event that queued it
    pid: Integers
    device: npt.NDArray[np.uint32]
    sector: Integers
    size: Integers  # bytes as queued
    write: npt.NDArray[np.bool_]
    queued: Integers
    mapped: Integers
    got: Integers
    inserted: Integers
    merged: Integers
    issued: Integers
    completed: Integers
    leader: Integers  # the row that leads the request it is part of; its own when it was not merged
    below: npt.NDArray[np.bool_]  # it is another row, mapped to this device

    def __len__(self) -> int:
        return len(self.pid)

    def times(self, measure: str) -> tuple[Integers, Integers]:
        """Give the nanoseconds of a measure, and the rows for which both ends were seen."""
        first, last = (getattr(self, name) for name in MEASURES[measure])
        seen = np.flatnonzero((first != NONE) & (last >= first))
        if len(seen) == len(self):
            return last - first, seen
        return last.take(seen) - first.take(seen), seen


def pair(trace: Trace) -> Requests:
    """Follow every bio through its request."""
    kind = sizable(trace)
    grid = Grid.of(trace)
    bios = Bios.of(trace, kind, grid)
    taken, beside, closer = parallel.all_of(
        lambda: merging.take(trace, kind, grid, bios),
        lambda: merging.beside(kind, grid, bios),
        lambda: _closers(kind, grid),
    )
    joined = merging.join(kind, grid, bios, taken, beside)
    issued, completed = _driven(trace, kind, grid, joined, closer)
    if len(bios.row) != len(joined.leads):
        issued, completed = issued.take(joined.root), completed.take(joined.root)
    lost = (issued != NONE) & (joined.got > issued)
    got, inserted = np.where(lost, NONE, joined.got), np.where(lost, NONE, joined.inserted)
    mapped, owner, below = merging.mapped(trace, grid, bios)
    queued = bios.row.take(bios.origin)
    steps = {"got": got, "inserted": inserted, "merged": joined.merged, "issued": issued, "completed": completed}
    times = parallel.each(lambda row: gather(trace.time, row), steps.values())
    return Requests(
        row=queued,
        pid=trace.pid.take(bios.row.take(bios.origin.take(owner))).astype(np.int64),
        device=trace.device.take(bios.row),
        sector=bios.sector,
        size=bios.size,
        write=trace.category.take(queued) & 2 != 0,
        queued=trace.time.take(queued),
        mapped=gather(trace.time, mapped),
        leader=joined.root,
        below=below,
        **dict(zip(steps, times, strict=True)),
    )


def _closers(kind: npt.NDArray[np.uint8], grid: Grid) -> Integers:
    """Tell for each row of an issue which row ended it: a completion, or that it was put back."""
    begun, closed = grid.keys.match(
        grid.pairs(np.flatnonzero(kind == D)), grid.pairs(np.flatnonzero((kind == C) | (kind == R)))
    )
    closer = np.full(len(kind), NONE, np.int64)
    closer[begun] = closed
    return closer


def _driven(
    trace: Trace, kind: npt.NDArray[np.uint8], grid: Grid, joined: merging.Joined, closer: Integers
) -> tuple[Integers, Integers]:
    """Find for each leading bio the issue that was completed (the last, when it was put back), and its completion."""
    backs = np.flatnonzero(kind == R)
    leads, ready = joined.leads, joined.ready[joined.leads]
    waiting = (joined.first[leads], ready)
    if len(backs):
        waiting = (np.concatenate([waiting[0], grid.at(backs)]), np.concatenate([ready, backs]))
    opened, issue = grid.keys.match(waiting, grid.pairs(np.flatnonzero(kind == D)))
    if len(backs):
        opened = _first_opener(opened, issue, closer)
    bio = np.full(len(trace), NONE, np.int64)
    bio[ready] = leads
    bio = bio.take(opened)
    if bool(np.any(bio == NONE)):
        bio, issue = bio[bio != NONE], issue[bio != NONE]
    issued = np.full(len(joined.root), NONE, np.int64)
    np.maximum.at(issued, bio, issue)
    done = gather(closer, issued)
    if len(backs):
        done[(done != NONE) & (kind[done] == R)] = NONE
    done = _wholly(trace, kind, grid, issued, done)
    return issued, _undriven(trace, kind, grid, (joined.first, joined.ready), leads[issued[leads] == NONE], done)


def _first_opener(opened: Integers, issue: Integers, closer: Integers) -> Integers:
    """Go back from a request that was put back, perhaps many times, to the row that opened it first."""
    put_back = np.full(len(closer), NONE, np.int64)  # a row of R -> the issue it ended
    ended = np.flatnonzero(closer != NONE)
    put_back[closer[ended]] = ended
    opener, earlier = np.full(len(closer), NONE, np.int64), np.arange(len(closer))
    opener[issue] = opened
    again = put_back[opened] != NONE
    earlier[issue[again]] = put_back[opened[again]]
    first = opener[roots(earlier)[issue]]
    return np.where(first == NONE, opened, first)


def _strays(kind: npt.NDArray[np.uint8], done: Integers) -> Integers:
    free = kind == C
    free[done[done != NONE]] = False
    return np.flatnonzero(free)


def _wholly(trace: Trace, kind: npt.NDArray[np.uint8], grid: Grid, issued: Integers, done: Integers) -> Integers:
    """Take for a request that was completed in parts the completion of its last part."""
    ours = np.flatnonzero(done != NONE)
    end = trace.sector[issued[ours]] + trace.size[issued[ours]] // 512
    for _ in range(_PARTS):
        reached = trace.sector[done[ours]] + trace.size[done[ours]] // 512
        short = np.flatnonzero(reached < end)
        if not len(short):
            break
        strays = _strays(kind, done)
        part = ours[short]
        first, second = grid.keys.match((grid.at(done[part], reached[short]), done[part]), grid.pairs(strays))
        if not len(first):
            break
        place = dict(zip(done[part].tolist(), part.tolist(), strict=True))
        done[[place[row] for row in first.tolist()]] = second
    return done


def _undriven(  # noqa: PLR0917 - the steps so far
    trace: Trace, kind: npt.NDArray[np.uint8], grid: Grid, ready: Pairs, left: Integers, done: Integers
) -> Integers:
    """Complete what no driver issued: bios of a device that has no requests, or whose issue was dropped."""
    strays = _strays(kind, done) if len(left) else left
    if len(strays):
        first, second = grid.keys.match((ready[0][left], ready[1][left]), grid.pairs(strays))
        bio = np.full(len(trace), NONE, np.int64)
        bio[ready[1][left]] = left
        done[bio[first]] = second
    return done
