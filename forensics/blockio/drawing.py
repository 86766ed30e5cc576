"""How pictures of a trace are drawn: small in bytes, the same bytes every time, readable without colour vision.

Colours are those of Okabe and Ito. Few points are drawn as vectors; many are painted into one small image inside the
vector picture, for a million circles make an SVG of tens of megabytes that no viewer opens.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from forensics.blockio.latency import Requests
from forensics.blockio.reading import name_of
from forensics.blockio.sorting import Integers, numbered
from forensics.blockio.trace import Trace
from forensics.text import show

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
OTHERS = "#777777"
WAYS = (("read", COLOURS[0]), ("written", COLOURS[1]))
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
WIDTH = 6.7
"""Inches: the text width of A4."""
_FEW = 1_500
"""Points that are drawn as vectors."""
_MANY = 20_000
"""Points from which on each is painted smaller."""
_PIXELS = (900, 330)
_BINS = 150

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cloud:
    """Points of one colour; `label` stands in the legend."""

    x: Floats
    y: Floats
    colour: str
    label: str


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of a picture: where it begins, how long it is, and steps of a round length."""

    zero: int  # nanoseconds
    span: float  # seconds
    step: float

    @classmethod
    def of(cls, trace: Trace) -> Clock:
        """Take a trace's time, in at most about 150 steps of 1, 2 or 5 times a power of ten."""
        return cls.over(int(trace.time[0]), float(trace.time[-1] - trace.time[0]) / 1e9)

    @classmethod
    def over(cls, zero: int, span: float) -> Clock:
        """Take so many seconds."""
        span = max(span, 1e-6)
        power = 10.0 ** math.floor(math.log10(span / _BINS))
        step = next(power * round_ for round_ in (1, 2, 5, 10) if power * round_ >= span / _BINS * 0.999)
        return cls(zero, span, step)

    @property
    def count(self) -> int:
        """How many steps there are."""
        return max(1, math.ceil(self.span / self.step - 1e-9))

    @property
    def edges(self) -> Floats:
        """Where each step begins, and the end of the last."""
        return np.asarray(np.arange(self.count + 1) * self.step, np.float64)

    def seconds(self, time: Integers) -> Floats:
        """Give seconds since the beginning."""
        return np.asarray((time - self.zero) / 1e9, np.float64)

    def per_second(self, time: Integers, weights: npt.ArrayLike | None = None) -> Floats:
        """Give a rate in each step: of events, or of what they weigh."""
        place = np.minimum((self.seconds(time) / self.step).astype(np.int64), self.count - 1)
        return np.asarray(np.bincount(place, weights, self.count) / self.step, np.float64)


@dataclass(frozen=True, slots=True)
class Paint:
    """Which processes have a colour of their own, and which of them each request is of."""

    labels: tuple[str, ...]
    colours: tuple[str, ...]
    of: Integers

    @classmethod
    def by_process(cls, trace: Trace, requests: Requests) -> Paint:
        """Give the busiest names colours, by requests; processes of one name share one, and the rest is grey."""
        pids, place = numbered(requests.pid.astype(np.uint32))
        names = [name_of(trace, int(pid)) for pid in pids.tolist()]
        counts = np.bincount(place, minlength=len(names)).tolist()
        totals: dict[str, int] = {}
        for name, count in zip(names, counts, strict=True):
            totals[name] = totals.get(name, 0) + count
        ranked = sorted(totals, key=lambda name: (-totals[name], name))
        own = ranked[: len(COLOURS)]
        rank = np.array([own.index(name) if name in own else len(own) for name in names] or [0], np.int64)
        numbers: dict[str, list[int]] = {}
        for pid, name in zip(pids.tolist(), names, strict=True):
            numbers.setdefault(name, []).append(pid)
        labels = [_label(name, numbers[name]) for name in own]
        rest = len(ranked) - len(own)
        if rest:
            labels.append(f"{rest} others")
        return cls(tuple(labels), (*COLOURS[: len(own)], OTHERS)[: len(labels)], rank[place])

    def clouds(self, x: Floats, y: Floats) -> list[Cloud]:
        """Give the points of each, what is busiest first."""
        chosen = [self.of == number for number in range(len(self.labels))]
        return [
            Cloud(x[rows], y[rows], colour, label)
            for rows, colour, label in zip(chosen, self.colours, self.labels, strict=True)
        ]


def _label(name: str, pids: Sequence[int]) -> str:
    return f"{show(name, 24)} ({pids[0] if len(pids) == 1 else f'{len(pids)} processes'})"


def svg(make: Callable[[Figure], None], height: float) -> bytes:
    """Draw one picture of the text's width, and of this height in inches."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained", dpi=150)
        FigureCanvasSVG(figure)
        make(figure)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def dots(axes: Axes, clouds: Sequence[Cloud], box: tuple[float, float, float, float]) -> None:
    """Draw points within a box (left, right, bottom, top); the largest cloud lies lowest, so that it hides no other."""
    layers = sorted(clouds, key=lambda cloud: -len(cloud.x))
    count = sum(len(cloud.x) for cloud in clouds)
    if count <= _FEW:
        for cloud in layers:
            axes.plot(cloud.x, cloud.y, ".", markersize=3.5, markeredgewidth=0, color=cloud.colour)
    else:
        image(axes, _painted(layers, box, 3 if count < _MANY else 2), box)
    axes.set(xlim=box[:2], ylim=box[2:])
    legend(axes, {cloud.label: cloud.colour for cloud in clouds if len(cloud.x)})


def image(axes: Axes, pixels: npt.NDArray[Any], box: tuple[float, float, float, float], **more: Any) -> AxesImage:
    """Draw an image as it is, pixel by pixel, from the bottom up, in front of the grid."""
    return axes.imshow(pixels, extent=box, aspect="auto", interpolation="none", origin="lower", zorder=1.5, **more)


def _painted(clouds: Sequence[Cloud], box: tuple[float, float, float, float], size: int) -> npt.NDArray[np.uint8]:
    """Paint squares of some pixels into an image, transparent where there is none."""
    width, height = _PIXELS
    pixels = np.zeros((height, width), np.uint32)
    left, right, bottom, top = box
    for cloud in clouds:
        x = ((cloud.x - left) * (width - 1) / (right - left)).astype(np.int64)
        y = ((cloud.y - bottom) * (height - 1) / (top - bottom)).astype(np.int64)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        place = np.zeros(width * height, np.bool_)
        place[(y * width + x)[inside]] = True
        pixels[_grown(place.reshape(height, width), size)] = 0xFF << 24 | int(cloud.colour[1:], 16)
    return np.stack([(pixels >> shift & 255).astype(np.uint8) for shift in (16, 8, 0, 24)], axis=-1)


def _grown(place: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
    for axis in (0, 1):
        wide = place.copy()
        for shift in range(1, size):
            if axis:
                wide[:, shift:] |= place[:, :-shift]
            else:
                wide[shift:] |= place[:-shift]
        place = wide
    return place


def legend(axes: Axes, labels: Mapping[str, str]) -> None:
    """Name colours above a picture, in rows of four."""
    if labels:
        signs = [Line2D([], [], linestyle="", marker="s", markersize=5, color=colour) for colour in labels.values()]
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        look: dict[str, Any] = {"frameon": False, "fontsize": 8, "columnspacing": 1.2, "handletextpad": 0.3}
        axes.legend(signs, list(labels), ncols=4, **place, **look)


def powers(axes: Axes, low: float, high: float) -> None:
    """Mark the y axis, which holds logarithms, with round numbers between two of them."""
    inside = range(math.floor(low), math.ceil(high) + 1)
    rounds = (1,) if high - low > 3 else (1, 2, 5)
    ticks = [power + math.log10(round_) for power in inside for round_ in rounds]
    ticks = [tick for tick in ticks if low <= tick <= high]
    ticks = ticks[:: max(1, -(-len(ticks) // 9))]
    axes.set_yticks(ticks, [f"{10.0**tick:.6g}" for tick in ticks])
