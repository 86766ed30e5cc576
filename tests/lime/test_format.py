"""The LiME header walker: nothing that is not a whole image ends well."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from forensics.lime.format import HEADER, MAGIC, Walk, header, walk
from forensics.model import MemoryRange


def image(*ranges: tuple[int, int]) -> bytes:
    return b"".join(header(MemoryRange(start, end)) + bytes([7]) * (end - start + 1) for start, end in ranges)


GOOD = image((0x1000, 0x2FFF), (0x100000, 0x101FFF))


def walked(data: bytes, piece: int = 1 << 20) -> Walk:
    found = Walk()
    for at in range(0, len(data), piece):
        found.feed(data[at : at + piece])
    return found


@given(st.integers(1, 5000))
def test_pieces_of_any_size_give_the_same_ranges(piece: int) -> None:
    found = walked(GOOD, piece)
    assert found.ended_well
    assert [(one.range.start, one.range.end, one.received) for one in found.segments] == [
        (0x1000, 0x2FFF, 0x2000),
        (0x100000, 0x101FFF, 0x2000),
    ]
    assert found.total == len(GOOD)


@given(st.integers(0, len(GOOD) - 1))
def test_a_cut_image_ends_well_only_where_a_range_ends(length: int) -> None:
    found = walked(GOOD[:length])
    assert found.ended_well == (length == 32 + 0x2000)


def test_one_byte_more_is_told() -> None:
    assert "1 bytes into a header" in walked(GOOD + b"E").shortfall


def test_nothing_at_all_is_no_image() -> None:
    assert not Walk().ended_well


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_a_crash(data: bytes) -> None:
    found = walked(data, 7)
    assert found.total == len(data)
    assert isinstance(found.shortfall, str)


def test_damaged_headers_are_named() -> None:
    good = (MAGIC, 1, 0x1000, 0x1FFF, bytes(8))
    damaged = {
        "none: magic": (0x12345678, *good[1:]),
        "version 2": (MAGIC, 2, *good[2:]),
        "impossible": (MAGIC, 1, 0x2000, 0x1FFE, bytes(8)),
        "impossible range": (MAGIC, 1, 0, (1 << 64) - 1, bytes(8)),
        "is none": (MAGIC, 1, 0x1000, 0x1FFF, b"12345678"),
    }
    for words, fields in damaged.items():
        assert words in walked(HEADER.pack(*fields) + bytes(4096)).shortfall


def test_ranges_that_overlap_or_go_back_are_named() -> None:
    assert "overlaps" in walked(image((0x1000, 0x2FFF), (0x2000, 0x3FFF))).shortfall
    assert "overlaps" in walked(image((0x8000, 0x8FFF), (0x1000, 0x1FFF))).shortfall


def test_a_file_is_walked_as_its_bytes_are(tmp_path: Path) -> None:
    for number, data in enumerate((GOOD, GOOD[:-1], GOOD + b"x", b"", GOOD[:40], b"nothing of the kind" * 9)):
        path = tmp_path / str(number)
        path.write_bytes(data)
        assert walk(path).shortfall == walked(data).shortfall
