"""Small drawings of our own as SVG: bars and a timeline. Deterministic, a few kilobytes, readable in grey."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from forensics.text import show

INK, SOFT, LINE, BAR, MARK = "#1c2430", "#5a6675", "#d5dbe3", "#1f4e79", "#a61b1b"
WIDTH = 720
FONT = 'font-family="Inter, DejaVu Sans, sans-serif" font-size="11"'


def bars(rows: Sequence[tuple[str, float, str]], *, baseline: float | None = None, said: str = "") -> bytes:
    """Draw horizontal bars: (label, value, value in words); `baseline` is a line through all, `said` names it."""
    top = max([value for _, value, _ in rows] + [baseline or 0, 1e-9])
    left, right = 190, WIDTH - 110
    scale = (right - left) / top
    parts = []
    for place, (label, value, words) in enumerate(rows):
        y = 8 + place * 20
        parts.append(_text(left - 8, y + 11, label[:30], anchor="end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{max(value * scale, 1):.1f}" height="14" fill="{BAR}"/>')
        parts.append(_text(left + max(value * scale, 1) + 6, y + 11, words, fill=SOFT))
    height = 16 + len(rows) * 20
    if baseline is not None:
        x = left + baseline * scale
        parts.append(f'<path d="M{x:.1f} 2V{height - 4}" stroke="{MARK}" stroke-dasharray="4 3"/>')
        parts.append(_text(x, height + 8, said, anchor="middle", fill=MARK))
        height += 14
    return _svg(height, parts)


def spans(moments: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Fold (name, time) into (name, first, last), in the order of the first times."""
    folded: dict[str, tuple[str, str]] = {}
    for name, at in moments:
        begin, end = folded.get(name, (at, at))
        folded[name] = (min(begin, at), max(end, at))
    return sorted(((name, begin, end) for name, (begin, end) in folded.items()), key=lambda one: one[1])


def timeline(rows: Sequence[tuple[str, str, str]]) -> bytes:
    """Draw spans of time, (name, begin, end) in RFC 3339, on one axis."""
    begin = min(_seconds(row[1]) for row in rows)
    end = max(_seconds(row[2]) for row in rows)
    left, right = 110, WIDTH - 20
    scale = (right - left) / max(end - begin, 1.0)
    parts = []
    for place, (name, first, last) in enumerate(rows):
        y = 8 + place * 20
        x, to = left + (_seconds(first) - begin) * scale, left + (_seconds(last) - begin) * scale
        parts.append(_text(left - 8, y + 11, name, anchor="end"))
        parts.append(f'<path d="M{left} {y + 17}H{right}" stroke="{LINE}"/>')
        parts.append(f'<rect x="{x:.1f}" y="{y}" width="{max(to - x, 3):.1f}" height="14" fill="{BAR}"/>')
    height = 8 + len(rows) * 20
    marks = [(0.0, rows[0][1]), (1.0, max(row[2] for row in rows))]
    for share, stamp in marks:
        x = left + share * (right - left)
        parts.append(_text(x, height + 14, stamp[11:19], anchor="start" if share == 0 else "end", fill=SOFT))
    return _svg(height + 22, parts)


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _text(x: float, y: float, words: str, *, anchor: str = "start", fill: str = INK) -> str:
    safe = escape(show(words, 60))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" {FONT}>{safe}</text>'


def _svg(height: int, parts: Sequence[str]) -> bytes:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    return (head + "".join(parts) + "</svg>").encode()
