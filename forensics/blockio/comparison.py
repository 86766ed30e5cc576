"""Pictures of several captures side by side, on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from forensics.blockio.drawing import COLOURS, OTHERS, Clock, Floats, Paint, dots, legend, svg
from forensics.blockio.events import PC, SECTOR, C
from forensics.blockio.sides import Compared, names
from forensics.text import show

_MIB = 1 << 20


def draw(captures: Sequence[Compared]) -> Mapping[str, bytes]:
    """Draw all; file name -> SVG."""
    span = max(Clock.of(capture.trace).span for capture in captures)
    clocks = [Clock.over(int(capture.trace.time[0]), span) for capture in captures]
    height = 0.6 + 1.5 * len(captures)
    return {
        "compare-latency.svg": svg(lambda figure: _latency(figure, captures), 2.9),
        "compare-throughput.svg": svg(lambda figure: _throughput(figure, captures, clocks), 3.4),
        "compare-offsets.svg": svg(lambda figure: _offsets(figure, captures, clocks), height),
    }


def _colours(captures: Sequence[Compared]) -> Mapping[str, str]:
    return dict(zip(names(captures), (*COLOURS, OTHERS), strict=False))


def _latency(figure: Figure, captures: Sequence[Compared]) -> None:
    """The share of requests that were done within a time."""
    panels = figure.subplots(1, 2, sharey=True)
    measures = (("Q2C", "queue to completion"), ("D2C", "issue to completion"))
    for axes, (measure, words) in zip(panels, measures, strict=True):
        for capture, colour in zip(captures, _colours(captures).values(), strict=True):
            times = np.sort(capture.requests.times(measure)[0])
            if len(times):
                part = np.linspace(0, 1, min(len(times), 400))
                within = np.maximum(np.quantile(times, part), 1) / 1e6
                axes.step(within, part * 100, color=colour, linewidth=1.3, where="post")
        axes.set(xscale="log", xlabel=f"{words}, ms", ylim=(0, 100))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panels[0].set_ylabel("% of requests")
    legend(panels[0], _colours(captures))


def _throughput(figure: Figure, captures: Sequence[Compared], clocks: Sequence[Clock]) -> None:
    """MiB and requests completed a second, since the beginning of each."""
    upper, lower = figure.subplots(2, 1, sharex=True)
    for capture, clock, colour in zip(captures, clocks, _colours(captures).values(), strict=True):
        trace = capture.trace
        rows = np.flatnonzero((trace.event == C) & (trace.category & PC == 0))
        amount = clock.per_second(trace.time[rows], trace.size[rows] / _MIB)
        for axes, rate in ((upper, amount), (lower, clock.per_second(trace.time[rows]))):
            axes.stairs(rate, clock.edges, color=colour, linewidth=1.2)
    upper.set(ylabel="MiB/s", xlim=(0, clocks[0].edges[-1]))
    lower.set(ylabel="requests/s", xlabel=f"seconds since the first event of each, in steps of {clocks[0].step:g} s")
    for axes in (upper, lower):
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(4))
    legend(upper, _colours(captures))


def _offsets(figure: Figure, captures: Sequence[Compared], clocks: Sequence[Clock]) -> None:
    """Every request at its place on the disk, one panel a capture, all on one scale."""
    panels = figure.subplots(len(captures), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    places: list[Floats] = [np.asarray(one.requests.sector * (SECTOR / _MIB), np.float64) for one in captures]
    high = max(float(place.max(initial=0)) for place in places)
    low = min(float(place.min(initial=high)) for place in places)
    room = max((high - low) / 40, high * 1e-6, 0.1)
    for axes, capture, clock, place, label in zip(panels, captures, clocks, places, names(captures), strict=True):
        clouds = Paint.by_process(capture.trace, capture.requests).clouds(clock.seconds(capture.requests.queued), place)
        dots(axes, clouds, (0, clock.span, max(0.0, low - room), high + room))
        axes.set_ylabel(f"{show(label, 22)}\nMiB", fontsize=8)
    panels[-1].set_xlabel("seconds since the first event of each")
