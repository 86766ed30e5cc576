"""Counts of a trace by device, processor and event, in the way of blkparse; depths and seeks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forensics.blockio.events import PC, SECTOR, UT, WRITE, C, D, F, M, Q, R, U
from forensics.blockio.sorting import Integers, numbered
from forensics.blockio.trace import Trace

_EVENTS, _WAYS = 32, 4
_BLOCK = 1 << 14
"""Events that are counted at a time: few enough for a processor's cache."""
_MOVES = np.zeros(256, np.bool_)
_MOVES[[D, C, R]] = True


@dataclass(frozen=True, slots=True)
class Counts:
    """How many events there are of each kind, and their bytes: axes are device, processor, event, written, SCSI."""

    devices: tuple[int, ...]
    cpus: tuple[int, ...]
    events: Integers
    size: npt.NDArray[np.float64]  # whole numbers of bytes, exact up to 2**53

    def of(
        self, event: int, *, write: bool, pc: bool = False, device: int | None = None, cpu: int | None = None
    ) -> int:
        """Count one kind of event."""
        return int(self._chosen(self.events, event, (write, pc), device, cpu))

    def kib(
        self, event: int, *, write: bool, pc: bool = False, device: int | None = None, cpu: int | None = None
    ) -> float:
        """Give the KiB of one kind of event; of issues without what was requeued, as blkparse (account_requeue)."""
        size = int(self._chosen(self.size, event, (write, pc), device, cpu))
        if event == D:
            size -= int(self._chosen(self.size, R, (write, pc), device, cpu))
        return size / 1024

    def any(self, event: int, device: int | None = None, cpu: int | None = None) -> int:
        """Count one kind of event in both directions."""
        return sum(self.of(event, write=write, device=device, cpu=cpu) for write in (False, True))

    def merges(self, *, write: bool, device: int | None = None, cpu: int | None = None) -> tuple[int, float]:
        """Count merges at either end, and their KiB."""
        counts = [self.of(event, write=write, device=device, cpu=cpu) for event in (M, F)]
        return sum(counts), sum(self.kib(event, write=write, device=device, cpu=cpu) for event in (M, F))

    def unplugs(self, *, timer: bool, device: int | None = None, cpu: int | None = None) -> int:
        """Count how often a queue was unplugged."""
        return self.any(UT if timer else U, device, cpu)

    def total(self, device: int | None = None, cpu: int | None = None) -> int:
        """Count all events."""
        chosen = self.events if device is None else self.events[device : device + 1]
        return int((chosen if cpu is None else chosen[:, cpu : cpu + 1]).sum())

    @staticmethod
    def _chosen(
        table: npt.NDArray[np.generic], event: int, way: tuple[bool, bool], device: int | None, cpu: int | None
    ) -> float:
        chosen = table[:, :, event, int(way[0]), int(way[1])]
        chosen = chosen if device is None else chosen[device : device + 1]
        return float((chosen if cpu is None else chosen[:, cpu : cpu + 1]).sum())


def count(trace: Trace) -> Counts:
    """Count every event once."""
    devices, device = _places(trace.device)
    cpus, cpu = _places(trace.cpu)
    shape = (len(devices), len(cpus), _EVENTS, 2, 2)
    room = len(devices) * len(cpus) * _EVENTS * _WAYS
    events, size = np.zeros(room, np.int64), np.zeros(room)
    block = max(_BLOCK, 4 * room)
    for first in range(0, len(trace), block):
        part = slice(first, first + block)
        kind = trace.event[part].astype(np.uint32)
        category = trace.category[part]
        kind <<= 2
        kind |= category & WRITE  # the second bit
        kind |= (category & PC) // PC
        of = kind.astype(np.int64)
        if len(cpus) > 1:
            of += cpu(trace.cpu[part]) * (_EVENTS * _WAYS)
        if len(devices) > 1:
            of += device(trace.device[part]) * (len(cpus) * _EVENTS * _WAYS)
        events += np.bincount(of, minlength=room)[:room]
        size += np.bincount(of, trace.size[part], room)[:room]
    return Counts(tuple(devices), tuple(cpus), events.reshape(shape), size.reshape(shape))


def _places(values: npt.NDArray[np.unsignedinteger]) -> tuple[list[int], Callable[[npt.NDArray[Any]], Integers]]:
    """Give the different values in order, and what tells for some of the values which of them each is."""
    if not len(values) or bool((values == values[0]).all()):
        return values[:1].tolist(), lambda some: np.zeros(len(some), np.int64)
    if values.dtype == np.uint16:
        there = np.zeros(1 << 16, np.bool_)
        there[values] = True
        at = np.cumsum(there) - 1
        few = np.flatnonzero(there)
        if few[-1] == len(few) - 1:
            return few.tolist(), lambda some: some.astype(np.int64)
        return few.tolist(), at.take
    devices, _ = numbered(values)
    return devices.tolist(), lambda some: np.searchsorted(devices, some)


def depths(trace: Trace, device: int) -> tuple[int, int]:
    """Give the most reads and the most writes that were issued and not completed at one moment, as blkparse counts."""
    moves = _moves(trace)
    step = _steps(trace, moves)
    step *= trace.device.take(moves) == device
    writes = step * ((trace.category.take(moves) & WRITE) != 0)
    return int(_running(step - writes).max(initial=0)), int(_running(writes).max(initial=0))


def outstanding(trace: Trace) -> tuple[Integers, Integers]:
    """Give the moments at which something was issued or completed, and how many were with the disks from then on."""
    moves = _moves(trace)
    return trace.time[moves], _running(_steps(trace, moves))


def _steps(trace: Trace, moves: Integers) -> npt.NDArray[np.int8]:
    """Give 1 for what was issued, and -1 for what was completed or put back."""
    step: npt.NDArray[np.int8] = (trace.event.take(moves) == D).view(np.int8)
    step += step
    step -= 1
    return step


def _moves(trace: Trace) -> Integers:
    moves = np.flatnonzero(_MOVES.take(trace.event))
    scsi = (trace.category.take(moves) & PC) != 0
    return moves[~scsi] if bool(scsi.any()) else moves


def _running(step: npt.NDArray[np.int8]) -> Integers:
    """Add up, and never go below zero: what was issued before the trace began is completed in it."""
    depth = np.cumsum(step, dtype=np.int64)
    return depth - np.minimum(np.minimum.accumulate(depth), 0) if len(depth) else depth


def seeks(trace: Trace, device: int, event: int = D) -> tuple[Integers, Integers]:
    """Give for each request but the first the sectors from the end of the one before, and its row."""
    rows = issues(trace, device, event)
    return distances(trace, rows), rows[1:]


def issues(trace: Trace, device: int, event: int = D) -> Integers:
    """Give the rows at which something of a size was issued to a device."""
    rows = np.flatnonzero(trace.event == event)
    ours: Integers = rows[(trace.device.take(rows) == device) & (trace.size.take(rows) > 0)]
    return ours


def distances(trace: Trace, rows: Integers) -> Integers:
    """Give for each row but the first the sectors from the end of the one before."""
    starts = trace.sector.take(rows)
    ends = starts + trace.size.take(rows) // SECTOR
    gaps: Integers = starts[1:] - ends[:-1]
    return gaps


def arrivals(trace: Trace) -> Integers:
    """Give the rows of what was queued."""
    return np.flatnonzero((trace.event == Q) & (trace.category & PC == 0))


def device_name(device: int) -> str:
    """Name a device as blkparse does."""
    return f"{device >> 20},{device & 0xFFFFF}"


def directions() -> Iterator[tuple[str, bool]]:
    """Give both directions with their words."""
    yield "reads", False
    yield "writes", True
