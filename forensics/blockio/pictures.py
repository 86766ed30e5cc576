"""Pictures of one trace: where, how much, how long, how far, how deep, over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forensics.blockio.counting import outstanding, seeks
from forensics.blockio.drawing import COLOURS, WAYS, Clock, Cloud, Floats, Paint, dots, image, legend, powers, svg
from forensics.blockio.events import PC, SECTOR, WRITE, C, Q
from forensics.blockio.latency import Requests
from forensics.blockio.sorting import Integers
from forensics.blockio.trace import Trace

_MIB = 1 << 20
_SECONDS = "seconds since the first event"


def draw(trace: Trace, requests: Requests) -> Mapping[str, bytes]:
    """Draw all; file name -> SVG."""
    clock = Clock.of(trace)
    makers: dict[str, tuple[float, Callable[[Figure], None]]] = {
        "block-io-offsets": (2.9, lambda figure: _offsets(figure, trace, requests, clock)),
        "block-io-throughput": (3.4, lambda figure: _throughput(figure, trace, clock)),
        "block-io-latency": (2.9, lambda figure: _latency(figure, requests, clock)),
        "block-io-latency-heat": (2.9, lambda figure: _heat(figure, requests, clock)),
        "block-io-seeks": (3.6, lambda figure: _seeks(figure, trace, clock)),
        "block-io-depth": (2.2, lambda figure: _depth(figure, trace, clock)),
    }
    return {f"{name}.svg": svg(make, height) for name, (height, make) in makers.items()}


def _offsets(figure: Figure, trace: Trace, requests: Requests, clock: Clock) -> None:
    """Every request at its place on the disk, coloured by process."""
    place = np.asarray(requests.sector * (SECTOR / _MIB), np.float64)
    clouds = Paint.by_process(trace, requests).clouds(clock.seconds(requests.queued), place)
    high = float(place.max(initial=0))
    low = float(place.min(initial=high))
    room = max((high - low) / 40, high * 1e-6, 0.1)
    axes = figure.add_subplot(xlabel=_SECONDS, ylabel="offset on the disk, MiB")
    dots(axes, clouds, (0, clock.span, max(0.0, low - room), high + room))


def _throughput(figure: Figure, trace: Trace, clock: Clock) -> None:
    """MiB and requests completed in each second, read and written."""
    upper, lower = figure.subplots(2, 1, sharex=True)
    done = np.flatnonzero((trace.event == C) & (trace.category & PC == 0))
    done = done if len(done) else np.flatnonzero(trace.event == Q)
    word = "completed" if len(done) and trace.event[done[0]] == C else "queued"
    for (_, colour), write in zip(WAYS, (False, True), strict=True):
        rows = done[(trace.category[done] & WRITE != 0) == write]
        amount = clock.per_second(trace.time[rows], trace.size[rows] / _MIB)
        for axes, rate in ((upper, amount), (lower, clock.per_second(trace.time[rows]))):
            axes.stairs(rate, clock.edges, color=colour, fill=not write, alpha=0.9, linewidth=1.3)
    upper.set(ylabel=f"MiB/s {word}", xlim=(0, clock.edges[-1]))
    lower.set(ylabel=f"requests/s {word}", xlabel=f"{_SECONDS}, in steps of {clock.step:g} s")
    for axes in (upper, lower):
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(4))
    legend(upper, dict(WAYS))


def _latency(figure: Figure, requests: Requests, clock: Clock) -> None:
    """Milliseconds from queue to completion of every request, by direction, on a logarithmic scale."""
    times, rows = requests.times("Q2C")
    seconds, wait = clock.seconds(requests.queued[rows]), _logarithm(times)
    write = requests.write[rows]
    kinds = zip(WAYS, (~write, write), strict=True)
    clouds = [Cloud(seconds[kind], wait[kind], colour, label) for (label, colour), kind in kinds]
    axes = figure.add_subplot(xlabel=_SECONDS, ylabel="queue to completion, ms")
    low, high = _ends(wait)
    dots(axes, clouds, (0, clock.span, low, high))
    powers(axes, low, high)


def _heat(figure: Figure, requests: Requests, clock: Clock) -> None:
    """Requests by the time at which they were queued and the time they took, at the disk and altogether."""
    upper, lower = figure.subplots(1, 2, sharey=True)
    waits = [(axes, name, *requests.times(name)) for axes, name in ((upper, "Q2C"), (lower, "D2C"))]
    low, high = _ends(_logarithm(np.concatenate([times for _, _, times, _ in waits])))
    ranges = ((0.0, clock.span), (low, high))
    counts = [
        np.histogram2d(clock.seconds(requests.queued[rows]), _logarithm(times), (100, 50), ranges)[0].T
        for _, _, times, rows in waits
    ]
    most = max(2.0, *(float(count.max(initial=0)) for count in counts))
    for (axes, name, _, _), count in zip(waits, counts, strict=True):
        box = (*ranges[0], *ranges[1])
        drawn = image(axes, np.ma.masked_equal(count, 0), box, norm=LogNorm(1, most), cmap="cividis_r")
        axes.set(xlabel="seconds", xlim=ranges[0], ylim=ranges[1])
        axes.set_title("queue to completion" if name == "Q2C" else "issue to completion", loc="left", fontsize=9)
    upper.set_ylabel("ms")
    powers(upper, low, high)
    number = FuncFormatter(lambda value, _: f"{value:g}")
    figure.colorbar(drawn, ax=[upper, lower], label="requests", pad=0.01, format=number)


def _seeks(figure: Figure, trace: Trace, clock: Clock) -> None:
    """How often requests did not begin where the one before ended, and how far off each was."""
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    found = [seeks(trace, device) for device in np.unique(trace.device).tolist()]
    gaps, rows = (np.concatenate(column) for column in zip(*found, strict=True))
    far = gaps != 0
    gaps, rows = gaps[far], rows[far]
    upper.stairs(clock.per_second(trace.time[rows]), clock.edges, color=COLOURS[2], fill=True, alpha=0.9)
    upper.set(ylabel="seeks/s")
    upper.set_ylim(bottom=0)
    upper.yaxis.set_major_locator(MaxNLocator(4))
    signed = np.sign(gaps) * np.log10(1 + np.abs(gaps) * (SECTOR / 1024))
    reach = float(np.abs(signed).max(initial=1)) * 1.05
    write = trace.category[rows] & WRITE != 0
    kinds = zip(WAYS, (~write, write), strict=True)
    seconds = clock.seconds(trace.time[rows])
    clouds = [Cloud(seconds[kind], signed[kind], colour, label) for (label, colour), kind in kinds]
    lower.set(ylabel="distance, + is forward", xlabel=f"{_SECONDS}; steps of {clock.step:g} s")
    dots(lower, clouds, (0, clock.span, -reach, reach))
    _distances(lower, reach)


def _distances(axes: Axes, reach: float) -> None:
    """Mark an axis that holds signed logarithms of KiB."""
    marks = [(number, f"{sign}{word}") for number, word in _marks(reach) for sign in ("−", "+")]
    ticks = [-np.log10(1 + number) if word.startswith("−") else np.log10(1 + number) for number, word in marks]
    axes.set_yticks([0, *ticks], ["0", *(word for _, word in marks)])


def _marks(reach: float) -> Iterator[tuple[float, str]]:
    for number, word in ((64, "64 KiB"), (16 << 10, "16 MiB"), (4 << 20, "4 GiB"), (1 << 30, "1 TiB")):
        if np.log10(1 + number) <= reach:
            yield float(number), word


def _depth(figure: Figure, trace: Trace, clock: Clock) -> None:
    """The most, and the mean, that were with the disks in each step."""
    times, depth = outstanding(trace)
    seconds = clock.seconds(times)
    at = np.searchsorted(seconds, clock.edges)
    before = np.concatenate([[0], depth])[at]
    most = np.array([max(depth[a:b].max(initial=0), c) for a, b, c in zip(at[:-1], at[1:], before[:-1], strict=True)])
    axes = figure.add_subplot(xlabel=f"{_SECONDS}, in steps of {clock.step:g} s", ylabel="requests at the disks")
    axes.stairs(most, clock.edges, color=COLOURS[5], fill=True)
    axes.stairs(_mean(seconds, depth, clock), clock.edges, color=COLOURS[0], linewidth=1.3)
    axes.set(xlim=(0, clock.edges[-1]))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    legend(axes, {"most": COLOURS[5], "mean": COLOURS[0]})


def _mean(seconds: Floats, depth: Integers, clock: Clock) -> Floats:
    """Give the mean over the time of each step."""
    moments = np.concatenate([[0.0], seconds, [clock.edges[-1]]])
    held = np.concatenate([[0], depth])
    area = np.concatenate([[0.0], np.cumsum(np.diff(moments) * held)])
    return np.asarray(np.diff(np.interp(clock.edges, moments, area)) / clock.step, np.float64)


def _logarithm(times: Integers) -> Floats:
    """Give the power of ten of nanoseconds in milliseconds."""
    return np.log10(np.maximum(times, 1)) - 6


def _ends(values: Floats) -> tuple[float, float]:
    if not len(values):
        return -3.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = max((high - low) / 30, 0.1)
    return low - room, high + room
