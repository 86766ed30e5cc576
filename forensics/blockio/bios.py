"""Where events stand on their disks, and the bios that were queued there, whole or in the parts they were cut into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forensics.blockio.events import SECTOR, A, Q, X
from forensics.blockio.matching import Pairs, Places, places, room
from forensics.blockio.sorting import Integers, bits, numbered
from forensics.blockio.trace import Trace

NONE = -1
_HIGHEST = 1 << 62


def gather(values: Integers, rows: Integers) -> Integers:
    """Give the value of each row; -1 for no row."""
    if not len(values):
        return rows
    found = values.take(rows, mode="clip")
    none = rows == NONE
    if bool(none.any()):
        found[none] = NONE
    return found


@dataclass(frozen=True, slots=True)
class Grid:
    """One number for a device and a sector."""

    trace: Trace
    devices: npt.NDArray[np.unsignedinteger]
    code: Integers
    sector_bits: int
    knots: Integers | None  # sectors by rank, where the numbers themselves take too many bits
    keys: Places

    @classmethod
    def of(cls, trace: Trace) -> Grid:
        """Make the numbers as small as they can be."""
        devices, code = numbered(trace.device)
        above = trace.origin[trace.event[trace.said] == A]
        if len(above):  # numpy's sets bring a part of it that takes as long as all of this
            devices = np.union1d(devices, above)
            code = np.searchsorted(devices, trace.device)
        highest = int(trace.sector.max(initial=0)) + (int(trace.size.max(initial=0)) // SECTOR)
        lowest = int(trace.sector.min(initial=0))
        highest = max(highest, int(trace.other.max(initial=0)))
        knots = None
        if lowest < 0 or not room(len(trace), max(1, len(devices)) << bits(highest)):
            ends = _sane(trace.sector) + trace.size // SECTOR
            knots = np.unique(np.concatenate([_sane(trace.sector), ends, _sane(trace.other)]))
            highest = len(knots)
        return cls(trace, devices, code, bits(highest), knots, places(len(trace)))

    def at(self, rows: Integers, sectors: Integers | None = None) -> Integers:
        """Give the places of rows, or of other sectors on the devices of those rows."""
        sectors = self.trace.sector.take(rows) if sectors is None else sectors
        return self.on(self.code[rows] if len(self.devices) > 1 else rows, sectors)

    def pairs(self, rows: Integers) -> Pairs:
        """Give the places of rows, and the rows."""
        return self.at(rows), rows

    def on(self, code: Integers, sectors: Integers) -> Integers:
        """Give the places of sectors on devices."""
        if self.knots is not None:
            sectors = np.searchsorted(self.knots, _sane(sectors))
        return sectors if len(self.devices) < 2 else (code << self.sector_bits) | sectors


def _sane(sectors: Integers) -> Integers:
    """Keep a sector that is a damaged or a missing number within what can be added to."""
    return np.where((sectors < 0) | (sectors > _HIGHEST), _HIGHEST, sectors)


@dataclass(frozen=True, slots=True)
class Bios:
    """Where each bio starts and ends, the row at which it became known, and the bio it was cut from; by row."""

    row: Integers
    start: Integers  # places
    end: Integers
    sector: Integers
    size: Integers  # bytes
    origin: Integers  # which bio was queued; its own when it was not cut from another

    @classmethod
    def of(cls, trace: Trace, kind: npt.NDArray[np.uint8], grid: Grid) -> Bios:
        """Take every queued bio, and cut those that were split."""
        cuts = trace.said[(kind[trace.said] == X) & (trace.other >= 0)]
        if len(cuts):
            return _cut(trace, kind, grid)
        rows = np.flatnonzero(kind == Q)
        size = trace.size.take(rows).astype(np.int64)
        sector = trace.sector.take(rows)
        end = grid.at(rows, sector + size // SECTOR)
        return cls(rows, grid.at(rows), end, sector, size, np.arange(len(rows)))


def _cut(trace: Trace, kind: npt.NDArray[np.uint8], grid: Grid) -> Bios:
    second = np.full(len(trace), NONE, np.int64)
    second[trace.said] = trace.other
    rows = np.flatnonzero((kind == Q) | ((kind == X) & (second >= 0)))
    split = kind[rows] == X
    start = np.where(split, second[rows], trace.sector[rows])
    whole = np.arange(len(rows))
    halves = np.flatnonzero(split)
    known = (grid.at(rows, start), rows)
    whole[halves] = grid.keys.known(known).before(grid.pairs(rows[halves]))
    lost = whole == NONE  # cut from a bio that was queued before the trace began
    whole = np.where(lost, np.arange(len(rows)), whole)
    origin = roots(whole)
    end = (start + trace.size[rows] // SECTOR)[origin]
    cut = np.flatnonzero(split & ~lost)
    ends = np.maximum(end, start)
    np.minimum.at(ends, whole[cut], np.maximum(start[cut], start[whole[cut]]))
    keep = ~split[origin] & (ends > start)
    keep[origin[keep]] = True
    place = np.cumsum(keep) - 1
    rows, start, ends = rows[keep], start[keep], ends[keep]
    return Bios(rows, grid.at(rows, start), grid.at(rows, ends), start, (ends - start) * SECTOR, place[origin[keep]])


def roots(parent: Integers) -> Integers:
    """Follow parents to the last; each step doubles the way, so that a chain of any length takes few."""
    for _ in range(64):
        further = parent[parent]
        if bool(np.array_equal(further, parent)):
            break
        parent = further
    return parent
