"""What an image holds beside what the RAM map names."""

from __future__ import annotations

from pathlib import Path

from forensics.lime import completeness
from forensics.lime.format import header, walk
from forensics.model import MemoryRange

RAM = (MemoryRange(0x1000, 0x9FBFF), MemoryRange(0x100000, 0x3FFFFF))


def test_the_same_ranges_leave_only_the_partial_page() -> None:
    found = completeness.compare(RAM, RAM)
    assert (found.missing, found.beyond) == ((), ())
    assert found.remainder == (MemoryRange(0x9F000, 0x9FBFF),)


def test_an_image_without_the_partial_page_misses_nothing() -> None:
    held = (MemoryRange(0x1000, 0x9EFFF), RAM[1])
    assert completeness.compare(held, RAM).missing == ()


def test_what_is_missing_is_named() -> None:
    held = (RAM[0], MemoryRange(0x100000, 0x1FFFFF), MemoryRange(0x300000, 0x3FEFFF))
    assert completeness.compare(held, RAM).missing == (MemoryRange(0x200000, 0x2FFFFF), MemoryRange(0x3FF000, 0x3FFFFF))


def test_what_no_map_names_is_named() -> None:
    assert completeness.compare((*RAM, MemoryRange(0x500000, 0x500FFF)), RAM).beyond == (
        MemoryRange(0x500000, 0x500FFF),
    )


def test_one_byte_short_of_a_page_is_a_missing_page() -> None:
    held = (RAM[0], MemoryRange(0x100000, 0x3FFFFE))
    assert completeness.compare(held, RAM).missing == (MemoryRange(0x3FF000, 0x3FFFFF),)


def test_zeros_at_the_end_of_a_range_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "image"
    size = 3 << 20
    path.write_bytes(header(MemoryRange(0, size - 1)) + b"x" * (size - 1_500_000) + bytes(1_500_000))
    assert completeness.zero_tail(path, walk(path).segments[0]) == 1_500_000


def test_a_range_of_zeros_is_all_tail(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(
        header(MemoryRange(0, 0xFFF)) + bytes(0x1000) + header(MemoryRange(0x2000, 0x2FFF)) + b"y" * 0x1000
    )
    assert [completeness.zero_tail(path, one) for one in walk(path).segments] == [0x1000, 0]


def test_the_banner_is_found_without_its_line_break(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"a" * 5000 + b"Linux version 6.1.0\0")
    assert completeness.find_banner(path, b"Linux version 6.1.0\n") == 5000
    assert completeness.find_banner(path, b"Linux version 6.2.0\n") is None
