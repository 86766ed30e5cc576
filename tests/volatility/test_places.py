"""Where the survey told what stands somewhere, that place is looked at first; told wrongly, all is searched as ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from volatility3.framework import contexts
from volatility3.framework.layers import scanners

from forensics.lime import format as lime_format
from forensics.model import MemoryRange
from forensics.volatility.image import _AROUND, _memory

WORD = b"VMCOREINFO\0\0"
RANGES = (MemoryRange(0x1000, 0x4FFF), MemoryRange(0x100000, 0x10FFFF))
EARLY, LATE = 0x2000, 0x10F000


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with the word at two places."""
    path = tmp_path / "memory.lime"
    out = bytearray()
    for one in RANGES:
        content = bytearray(one.size)
        for place in (EARLY, LATE):
            if one.start <= place <= one.end:
                content[place - one.start : place - one.start + len(WORD)] = WORD
        out += lime_format.header(one) + content
    path.write_bytes(out)
    return path


def found(image: Path, *places: int) -> list[int]:
    context = contexts.Context()
    memory = _memory(context, image)
    memory.likely = tuple((max(one - _AROUND, 0), 2 * _AROUND) for one in places)
    hits = [int(one) for one in memory.scan(context, scanners.BytesScanner(WORD))]
    context.layers["file"].destroy()  # closes it
    return hits


def test_the_place_that_was_told_comes_first(image: Path) -> None:
    assert found(image) == [EARLY, LATE]
    assert found(image, LATE) == [LATE, EARLY, LATE]


@pytest.mark.parametrize("place", [0, 0x8000, 0xFFFFF, 0x110000, 1 << 40], ids=hex)
def test_a_place_that_was_told_wrongly_costs_nothing(image: Path, place: int) -> None:
    assert found(image, place)[-2:] == [EARLY, LATE]
