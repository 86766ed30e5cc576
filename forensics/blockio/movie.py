"""The disk in motion: every request lights up where it is on the disk, and fades; WebP or GIF, drawn by Pillow.

The disk is a rectangle of cells, read like a page: the first sectors at the top left. What is bright was completed (or
queued, where the trace has no completions) in this frame; it keeps its process's colour while it fades.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from forensics.blockio.bios import NONE
from forensics.blockio.captions import SUFFIXES
from forensics.blockio.drawing import Paint
from forensics.blockio.events import SECTOR
from forensics.blockio.latency import Requests
from forensics.blockio.sorting import Integers
from forensics.blockio.trace import Trace

_CELL = 5  # pixels
_GRID = (128, 72)
_MARGIN, _HEAD, _FOOT = 12, 44, 62
_FADE = 0.82
"""What is left of a cell's light in the next frame."""
_FAR = 512
"""Cells that one request may cover: larger ones are cut."""
_ROWS = 1 << 15
_BACK, _EMPTY, _INK, _SOFT = (250, 250, 250), (232, 234, 238), (28, 36, 48), (90, 102, 117)

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Script:
    """How a movie runs."""

    seconds: float = 20.0  # of the movie
    rate: int = 12  # frames a second

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return max(2, round(self.seconds * self.rate))


def film(trace: Trace, requests: Requests, path: Path, script: Script | None = None) -> int:
    """Write a movie of all requests, as WebP or GIF by the file's ending; give the number of its frames.

    Raises ValueError when the ending is another, or nothing was queued.
    """
    script = script or Script()
    if path.suffix.lower() not in SUFFIXES or not len(requests):
        msg = f"no movie of {len(requests)} requests as {path.suffix or 'a file without ending'}"
        raise ValueError(msg)
    frames = _frames(trace, requests, script)
    first = next(frames)
    look: dict[str, Any] = (
        {"quality": 70, "method": 2} if path.suffix.lower() == ".webp" else {"optimize": False, "disposal": 1}
    )
    first.save(path, save_all=True, append_images=frames, duration=round(1000 / script.rate), loop=0, **look)
    return script.frames


def _frames(trace: Trace, requests: Requests, script: Script) -> Iterator[Image.Image]:
    stage = _Stage(trace, requests)
    moment = np.where(requests.completed == NONE, requests.queued, requests.completed)
    order = np.argsort(moment, kind="stable")
    zero, span = int(trace.time[0]), max(1, int(trace.time[-1] - trace.time[0]))
    edges = zero + np.arange(script.frames + 1) * (span / script.frames)
    edges[-1] += 1
    place = np.searchsorted(moment[order], edges)
    step = span / script.frames / 1e9
    for number in range(script.frames):
        rows = order[place[number] : place[number + 1]]
        stage.fade()
        stage.light(rows)
        yield stage.picture(f"{(number + 1) * step:9.3f} s", _rates(requests, rows, step))


def _rates(requests: Requests, rows: Integers, step: float) -> str:
    size, write = requests.size[rows], requests.write[rows]
    read, written = (float(size[kind].sum()) / step / (1 << 20) for kind in (~write, write))
    return f"{read:9,.1f} MiB/s read   {written:9,.1f} MiB/s written   {len(rows) / step:9,.0f} requests/s"


class _Stage:
    """The cells of the disk, how bright each is and in which colour."""

    def __init__(self, trace: Trace, requests: Requests) -> None:
        paint = Paint.by_process(trace, requests)
        self._labels = list(zip(paint.labels, paint.colours, strict=True))
        rgb = [tuple(bytes.fromhex(colour[1:])) for colour in paint.colours]
        self._colours = np.array(rgb, np.float32)
        self._of = paint.of
        count = _GRID[0] * _GRID[1]
        low, high = int(requests.sector.min()), int((requests.sector + requests.size // SECTOR).max())
        self._sectors = max(1, math.ceil((high - low) / count))
        self._bounds = low * SECTOR, high * SECTOR
        self._first = (requests.sector - low) // self._sectors
        last = (requests.sector + np.maximum(requests.size // SECTOR, 1) - 1 - low) // self._sectors
        self._length = np.minimum(np.minimum(last, count - 1) - self._first + 1, _FAR)
        self._level = np.zeros(count, np.float32)
        self._colour = np.zeros(count, np.int64)
        font = Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf")
        self._font, self._small = ImageFont.truetype(font, 14), ImageFont.truetype(font, 10)

    def fade(self) -> None:
        """Let everything lose some of its light."""
        self._level *= _FADE
        self._level[self._level < 0.03] = 0

    def light(self, rows: Integers) -> None:
        """Light the cells of some requests; of several at one place the last has the colour."""
        for first in range(0, len(rows), _ROWS):
            self._light(rows[first : first + _ROWS])

    def _light(self, rows: Integers) -> None:
        length = self._length[rows]
        begin = np.repeat(self._first[rows] - (np.cumsum(length) - length), length)
        cells = begin + np.arange(int(length.sum()))
        self._level[cells] = 1
        self._colour[cells] = np.repeat(self._of[rows], length)

    def picture(self, left: str, right: str) -> Image.Image:
        """Draw the disk as it is now."""
        width, height = _GRID[0] * _CELL, _GRID[1] * _CELL
        level = self._level[:, None]
        cells = self._colours[self._colour] * level + np.array(_EMPTY, np.float32) * (1 - level)
        grid = Image.fromarray(cells.astype(np.uint8).reshape(_GRID[1], _GRID[0], 3))
        canvas = Image.new("RGB", (width + 2 * _MARGIN, height + _HEAD + _FOOT), _BACK)
        canvas.paste(grid.resize((width, height), Image.Resampling.NEAREST), (_MARGIN, _HEAD))
        draw = ImageDraw.Draw(canvas)
        draw.text((_MARGIN, 12), left, _INK, self._font)
        draw.text((_MARGIN + width, 14), right, _SOFT, self._small, anchor="ra")
        self._legend(draw, height)
        return canvas

    def _legend(self, draw: ImageDraw.ImageDraw, height: int) -> None:
        low, high = (f"{bound / (1 << 20):,.0f} MiB" for bound in self._bounds)
        said = f"{low} at the top left, {high} at the bottom right; a cell is {self._sectors * SECTOR / 1024:,.1f} KiB"
        draw.text((_MARGIN, _HEAD + height + 5), said, _SOFT, self._small)
        for number, (label, colour) in enumerate(self._labels):
            x, y = _MARGIN + number % 4 * 162, _HEAD + height + 24 + number // 4 * 17
            draw.rectangle((x, y + 2, x + 9, y + 11), fill=colour)
            draw.text((x + 14, y), label[:24], _INK, self._small)
