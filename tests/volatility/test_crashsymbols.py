"""A kernel's list of symbols is found by its crash note; a note that does not hold adds nothing to the table."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from forensics.volatility.image import KERNEL, open_image
from tests.volatility import tiny

COUNT, NAMES = 600, 0x170000
HEADER = 32  # bytes of LiME's


def names() -> tuple[bytes, list[int]]:
    """Names as scripts/kallsyms.c packs them, one with a length of two bytes; and where each block of 256 begins."""
    packed, begins = b"", []
    for number in range(COUNT):
        if number % 256 == 0:
            begins.append(len(packed))
        length = 300 if number == 300 else 1 + number % 5
        packed += bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
        packed += b"\1" * length
    return packed, begins


def kernel(place: Path, markers: list[int] | None = None) -> dict[str, int]:
    """Give the addresses, as linked, that the table of an image with such a list has for it."""
    packed, begins = names()
    behind = -(-len(packed) // 8) * 8
    content = struct.pack("<I4x", COUNT) + packed.ljust(behind, b"\0")
    content += struct.pack(f"<{len(begins)}I", *(markers or begins))
    at = tiny.BASE + NAMES
    note = {"kallsyms_num_syms": at, "kallsyms_names": at + 8, "kallsyms_token_table": at + len(content)}
    image = tiny.image(place / "m.lime", note={f"SYMBOL({name})": f"{where:x}" for name, where in note.items()})
    with image.open("rb+") as file:
        file.seek(HEADER + NAMES)
        file.write(content)
    opened = open_image(image, tiny.table(place / "t.json"))
    module = opened.context.modules[KERNEL]
    wanted = [*note, "kallsyms_markers"]
    found = {name: module.get_symbol(name).address for name in wanted if module.has_symbol(name)}
    return {name: address - (at & 0xFFFF_FFFF_FFFF) for name, address in found.items()}  # the layer has 48 bits


def test_the_markers_are_found_behind_the_names(tmp_path: Path) -> None:
    found = kernel(tmp_path)
    behind = 8 + -(-len(names()[0]) // 8) * 8
    assert (found["kallsyms_num_syms"], found["kallsyms_names"], found["kallsyms_markers"]) == (0, 8, behind)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_markers_that_are_not_where_the_names_put_them_add_nothing(tmp_path: Path, number: int) -> None:
    markers = names()[1]
    markers[number] += 1
    assert kernel(tmp_path, markers) == {}
