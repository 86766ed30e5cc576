"""Series on one time axis, one lane a sort, with marks through all lanes. The axis is cut where nothing was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise

from forensics.rendering.charts import BAR, FONT, INK, LINE, MARK, SOFT, WIDTH
from forensics.text import show

Points = Sequence[tuple[float, float]]
"""Seconds since 1970, and a value."""
_LEFT, _RIGHT, _LANE, _GAP, _ROOM = 12, WIDTH - 12, 96, 16, 40
_CUT = 90.0
"""Seconds without anything measured after which the axis is cut."""
_APART = 10.0
"""Seconds between two measurements after which no line is drawn from one to the other."""
_LEAST, _MOST = 0.14, 5
"""Share of the axis that a piece of it has at least, and how many pieces are drawn: the last ones."""
_PENS = ((BAR, ""), ("#b8860b", "5 2"), ("#3b7a57", "2 2"), (SOFT, "7 3 2 3"), ("#7a3b6a", "1 3"))


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane: what it shows, its unit in words for a value, and its series by name."""

    title: str
    series: Mapping[str, Points]
    said: Mapping[float, str]  # the highest value, in words


@dataclass(frozen=True, slots=True)
class _Axis:
    pieces: tuple[tuple[float, float, float, float], ...]  # begin and end in seconds, begin and end in the picture

    @classmethod
    def of(cls, times: Sequence[float]) -> _Axis:
        """Put times on an axis that is cut where a long time has none."""
        ordered = sorted(times)
        cuts = [0, *(at + 1 for at, (one, two) in enumerate(pairwise(ordered)) if two - one > _CUT), len(ordered)]
        spans = [(ordered[first], ordered[last - 1]) for first, last in pairwise(cuts)][-_MOST:]
        lengths = [max(end - begin, 1.0) for begin, end in spans]
        shares = [max(length / sum(lengths), _LEAST) for length in lengths]
        room = _RIGHT - _LEFT - _GAP * (len(spans) - 1)
        x, pieces = float(_LEFT), []
        for (begin, end), share in zip(spans, shares, strict=True):
            width = room * share / sum(shares)
            middle = (1.0 - (end - begin)) / 2 if end - begin < 1.0 else 0.0
            pieces.append((begin - middle, end + middle, x, x + width))
            x += width + _GAP
        return cls(tuple(pieces))

    def at(self, when: float) -> float | None:
        """Give the place of a moment; None for one that is before the first piece that is drawn."""
        for begin, end, left, right in self.pieces:
            if begin <= when <= end:
                return left + (when - begin) / (end - begin) * (right - left)
        return None


def draw(lanes: Sequence[Lane], marks: Sequence[tuple[float, str]]) -> tuple[bytes, int]:
    """Draw lanes one above the other with marks (moment, words); give the SVG, and how many marks are before its begin."""
    times = [when for lane in lanes for points in lane.series.values() for when, _ in points]
    axis = _Axis.of([*times, *(when for when, _ in marks)])
    top = 20 + 13 * min(len(marks), 4)
    parts = _marks(axis, marks, top + len(lanes) * (_LANE + _ROOM))
    for place, lane in enumerate(lanes):
        parts += _lane(axis, lane, top + place * (_LANE + _ROOM))
    height = top + len(lanes) * (_LANE + _ROOM)
    for begin, end, left, right in axis.pieces:
        parts += [_text(left, height + 10, _clock(begin)), _text(right, height + 22, _clock(end), anchor="end")]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + 30}" width="{WIDTH}" height="{height + 30}">'  # fmt: skip
    early = sum(axis.at(when) is None for when, _ in marks)
    return (head + "".join(parts) + "</svg>").encode(), early


def _lane(axis: _Axis, lane: Lane, top: int) -> list[str]:
    highest = max((value for points in lane.series.values() for _, value in points), default=0.0) or 1.0
    words = lane.said.get(highest, "")
    parts = [_text(_LEFT, top - 4, f"{lane.title}{f', up to {words}' if words else ''}", fill=INK)]
    for _, _, left, right in axis.pieces:
        parts.append(f'<rect x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{_LANE}" fill="none" stroke="{LINE}"/>')  # fmt: skip
    at = float(_LEFT)
    for (name, points), (colour, dash) in zip(lane.series.items(), _PENS * 9, strict=False):
        parts += _series(axis, points, (highest, top), f'stroke="{colour}" stroke-dasharray="{dash}"', colour)
        parts.append(f'<path d="M{at:.1f} {top + _LANE + 9}h22" stroke="{colour}" stroke-dasharray="{dash}" stroke-width="1.6"/>')  # fmt: skip
        parts.append(_text(at + 26, top + _LANE + 13, name))
        at += 40 + 6.2 * len(name[:40])
    return parts


def _series(axis: _Axis, points: Points, scale: tuple[float, int], pen: str, colour: str) -> list[str]:
    """Draw lines through what was measured in one go, and a dot for what stands alone: between them nothing is known."""
    highest, top = scale
    ordered = sorted(points)
    cuts = [0, *(at + 1 for at, (one, two) in enumerate(pairwise(ordered)) if two[0] - one[0] > _APART), len(ordered)]
    parts = []
    for first, last in pairwise(cuts):
        places = [(axis.at(when), top + _LANE - value / highest * (_LANE - 6)) for when, value in ordered[first:last]]
        drawn = [(x, y) for x, y in places if x is not None]
        if len(drawn) > 1:
            line = "L".join(f"{x:.1f} {y:.1f}" for x, y in drawn)
            parts.append(f'<path d="M{line}" fill="none" stroke-width="1.4" {pen}/>')
        elif drawn:
            parts.append(f'<circle cx="{drawn[0][0]:.1f}" cy="{drawn[0][1]:.1f}" r="2.6" fill="{colour}"/>')
    return parts


def _marks(axis: _Axis, marks: Sequence[tuple[float, str]], bottom: int) -> list[str]:
    parts = []
    for place, (when, words) in enumerate(sorted(marks)):
        x = axis.at(when)
        if x is None:
            continue
        y = 12 + 13 * (place % 4)
        side = "end" if x > WIDTH / 2 else "start"
        parts.append(f'<path d="M{x:.1f} {y + 2}V{bottom - _ROOM}" stroke="{MARK}" stroke-width="1.2"/>')
        parts.append(_text(x + (-4 if side == "end" else 4), y, f"{_clock(when)} {words}", anchor=side, fill=MARK))
    return parts


def _clock(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%H:%M:%S")


def _text(x: float, y: float, words: str, *, anchor: str = "start", fill: str = SOFT) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" {FONT}>{escape(show(words, 80))}</text>'
