"""Pictures of a trace as SVG: small in bytes, the same bytes every time, readable without colour vision.

Colours are those of Okabe and Ito. Points are one raster layer inside the vector picture, for a million circles make
an SVG of tens of megabytes that no viewer opens.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from forensics.blockio.events import Q
from forensics.blockio.latency import Requests
from forensics.blockio.trace import Trace
from forensics.text import show

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_OTHERS = "#777777"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "forensics",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "text.parse_math": False,
}
_SIZE = (6.7, 2.9)  # inches: the text width of A4
_MIB = 1 << 20


def draw(trace: Trace, requests: Requests) -> Mapping[str, bytes]:
    """Draw offset, throughput and latency over time; file name -> SVG."""
    zero = int(trace.time[0])
    makers: dict[str, Callable[[Axes], None]] = {
        "block-io-offsets.svg": lambda axes: _offsets(axes, trace, requests, zero),
        "block-io-throughput.svg": lambda axes: _throughput(axes, trace, zero),
        "block-io-latency.svg": lambda axes: _latency(axes, requests, zero),
    }
    return {name: _svg(make) for name, make in makers.items()}


def _svg(make: Callable[[Axes], None]) -> bytes:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained", dpi=200)
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        make(axes)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _offsets(axes: Axes, trace: Trace, requests: Requests, zero: int) -> None:
    """Every request at its place on the disk, coloured by process."""
    seconds, place = (requests.queued - zero) / 1e9, requests.sector * 512 / _MIB
    pids, counts = np.unique(requests.pid, return_counts=True)
    busiest = pids[np.argsort(-counts, kind="stable")][: len(_COLOURS)].tolist()
    rest = ~np.isin(requests.pid, busiest)
    if rest.any():
        axes.scatter(seconds[rest], place[rest], s=5, c=_OTHERS, linewidths=0, rasterized=True, label="others")
    for pid, colour in zip(busiest, _COLOURS, strict=False):
        rows = requests.pid == pid
        label = f"{show(trace.names.get(pid, 'process'), 24)} ({pid})"
        axes.scatter(seconds[rows], place[rows], s=5, c=colour, linewidths=0, rasterized=True, label=label)
    axes.set(xlabel="seconds since the first event", ylabel="offset on the disk, MiB")
    _legend(axes)


def _throughput(axes: Axes, trace: Trace, zero: int) -> None:
    """MiB queued in each second, read and written."""
    rows = trace.event == Q
    seconds = ((trace.time[rows] - zero) // 1_000_000_000).astype(np.int64)
    span = min(int(seconds.max(initial=0)) + 1, 100_000)
    inside = seconds < span
    for (label, colour), write in zip((("read", _COLOURS[0]), ("written", _COLOURS[1])), (False, True), strict=True):
        kind = inside & ((trace.category[rows] & 2 != 0) == write)
        amount = np.bincount(seconds[kind], trace.size[rows][kind] / _MIB, span)
        axes.stairs(amount, np.arange(span + 1), color=colour, label=label, fill=not write, alpha=0.9, linewidth=1.4)
    axes.set(xlabel="seconds since the first event", ylabel="MiB per second, as queued", xlim=(0, span))
    axes.set_ylim(bottom=0)
    _legend(axes)


def _latency(axes: Axes, requests: Requests, zero: int) -> None:
    """Milliseconds from queue to completion of every request, by direction, on a logarithmic scale."""
    times, rows = requests.times("Q2C")
    seconds = (requests.queued[rows] - zero) / 1e9
    for (label, colour), write in zip((("read", _COLOURS[0]), ("written", _COLOURS[1])), (False, True), strict=True):
        kind = requests.write[rows] == write
        if kind.any():
            shown = np.maximum(times[kind], 1) / 1e6
            axes.scatter(seconds[kind], shown, s=5, c=colour, linewidths=0, rasterized=True, label=label)
    axes.set(xlabel="seconds since the first event", ylabel="queue to completion, ms")
    if len(times):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    _legend(axes)


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes.legend(**place, ncols=4, frameon=False, fontsize=8, markerscale=2, columnspacing=1.2, handletextpad=0.4)
