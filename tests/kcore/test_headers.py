"""The headers of /proc/kcore: of a real kernel, of made-up ones, and of anything that a target may send."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from forensics.kcore import headers
from forensics.kcore.headers import Headers, Piece
from forensics.model import MemoryRange
from forensics.survey import transcript
from tests.kcore.files import DIRECT_MAP, NOWHERE, PAGE, TEXT, VMCOREINFO, Load, head, note, whole
from tests.known import RAM

CAPTURED = Path(__file__).parents[1] / "survey" / "bookworm"


def captured() -> bytes:
    answers = transcript.read((CAPTURED / "survey.jsonl").read_bytes(), lambda name: (CAPTURED / name).read_bytes())
    return next(one.said.stdout for one in answers if one.name == "kcore notes")


def test_a_real_kernels_memory_is_found_without_its_text_modules_and_vmalloc() -> None:
    told = headers.read(captured())
    assert told.problem == ""
    # The guest's /proc/iomem names 0x1000-0x9fbff and 0x100000-0xffdbfff.
    assert [one.range for one in told.memory] == [MemoryRange(0x1000, 0x9EFFF), MemoryRange(0x100000, 0xFFDBFFF)]
    assert told.passed_over == 5
    assert told.vmcoreinfo.startswith(b"OSRELEASE=6.1.0-56-cloud-amd64\n")


def test_text_that_lies_in_memory_a_second_time_is_not_taken_twice() -> None:
    told = headers.read(head(whole(RAM), note(b"VMCOREINFO", VMCOREINFO)))
    assert [one.range for one in told.memory] == [MemoryRange(0x1000, 0x9EFFF), MemoryRange(0x100000, 0x4FFFFF)]
    assert told.vmcoreinfo == VMCOREINFO
    assert told.passed_over == 3


def test_a_kernel_that_tells_no_physical_address_is_refused_with_the_reason() -> None:
    told = headers.read(head([Load(DIRECT_MAP, 0, 1 << 20, 1 << 20), Load(TEXT, 0, 1 << 20, 1 << 22)]))
    assert told.memory == ()
    assert "4.11" in told.problem


def test_headers_that_need_more_bytes_say_how_many() -> None:
    content = head(whole(RAM), note(b"VMCOREINFO", VMCOREINFO))
    short = headers.read(content[:100])
    assert short.memory == ()
    assert 100 < short.needed <= len(content)
    without_notes = headers.read(content[: short.needed])
    assert without_notes.memory
    assert without_notes.needed == len(content)
    assert without_notes.vmcoreinfo == b""


def test_segments_that_overlap_or_are_not_of_whole_pages_are_passed_over_and_counted() -> None:
    loads = [
        Load(DIRECT_MAP + 0x100000, 0x100000, 1 << 20, 1 << 20),
        Load(DIRECT_MAP + 0x180000, 0x180000, 1 << 20, 1 << 24),
        Load(DIRECT_MAP + 0x900000, 0x900000, 5000, 1 << 25),
        Load(DIRECT_MAP + 0xA00000, 0xA00000, 1 << 20, (1 << 26) + 12),
        Load(NOWHERE, NOWHERE, 1 << 20, 1 << 27),
    ]
    told = headers.read(head(loads))
    assert [one.range for one in told.memory] == [MemoryRange(0x100000, 0x1FFFFF)]
    assert told.passed_over == 4


@given(st.binary(max_size=400), st.integers(0, 200), st.binary(max_size=60))
def test_whatever_a_target_sends_is_read_or_refused(start: bytes, place: int, change: bytes) -> None:
    for content in (start, b"\x7fELF\x02\x01" + start):
        assert isinstance(headers.read(content), Headers)
    changed = bytearray(head(whole(RAM), note(b"VMCOREINFO", VMCOREINFO)))
    changed[place : place + len(change)] = change
    told = headers.read(bytes(changed))
    for before, after in zip(told.memory, told.memory[1:], strict=False):
        assert before.range.end < after.range.start
    assert all(not (one.offset | one.range.start | one.range.size) % PAGE for one in told.memory)


def test_what_the_map_names_is_cut_to_what_there_is() -> None:
    memory = (Piece(MemoryRange(0x1000, 0x4FFF), 0x10000), Piece(MemoryRange(0x8000, 0xFFFF), 0x90000))
    ram = (MemoryRange(0x1000, 0x27FF), MemoryRange(0x3000, 0x8FFF), MemoryRange(0x20000, 0x2FFFF))
    assert headers.within(memory, ram) == (
        Piece(MemoryRange(0x1000, 0x1FFF), 0x10000),
        Piece(MemoryRange(0x3000, 0x4FFF), 0x12000),
        Piece(MemoryRange(0x8000, 0x8FFF), 0x90000),
    )


def test_neighbours_in_memory_and_in_the_file_are_one_piece() -> None:
    memory = (Piece(MemoryRange(0x1000, 0x1FFF), 0x10000), Piece(MemoryRange(0x2000, 0x2FFF), 0x11000))
    assert headers.within(memory, (MemoryRange(0x1000, 0x2FFF),)) == (Piece(MemoryRange(0x1000, 0x2FFF), 0x10000),)
    apart = (memory[0], Piece(MemoryRange(0x2000, 0x2FFF), 0x71000))
    assert headers.within(apart, (MemoryRange(0x1000, 0x2FFF),)) == apart
