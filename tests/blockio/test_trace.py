"""The trace reader: what is there is read, what cannot be read is counted, and nothing crashes it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forensics import blockio
from tests.blockio.traces import DISK, HEAD, C, D, Made, Q

CAPTURED = Path(__file__).parent.parent / "collectors/captured/block_io/bookworm/trace"


def request(made: Made, at: int = 1000, sector: int = 8) -> Made:
    return made.event(at, Q, sector, 8).event(at + 10, D, sector, 8).event(at + 30, C, sector, 8)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_say_the_same(order: str) -> None:
    trace = blockio.read([request(Made(order).name(100, b"dd").clock(500, 1_795_460_200, 500)).content])
    assert trace.time.tolist() == [1000, 1010, 1030]
    assert (trace.sector.tolist(), trace.size.tolist(), trace.device.tolist()) == ([8] * 3, [4096] * 3, [DISK] * 3)
    assert trace.names == {100: "dd"}
    assert trace.notes.epoch == 1_795_460_200_000_000_000
    assert trace.unread == 0


def test_files_of_several_processors_become_one_in_order_of_time() -> None:
    trace = blockio.read([request(Made(), 5000).content, request(Made(), 1000).content])
    assert trace.time.tolist() == [1000, 1010, 1030, 5000, 5010, 5030]


@pytest.mark.parametrize("cut", [1, 20, 47])
def test_a_truncated_tail_is_counted_in_bytes(cut: int) -> None:
    content = request(Made()).content
    trace = blockio.read([content[: len(content) - cut]])
    assert (len(trace), trace.unread) == (2, HEAD - cut)


def test_damage_in_the_middle_costs_the_damaged_bytes_only() -> None:
    first, second = request(Made()).content, request(Made(), 9000).content
    trace = blockio.read([first + b"\xff" * 13 + second])
    assert (len(trace), trace.unread) == (6, 13)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("lost", [1, 17, HEAD, HEAD + 3])
def test_damage_at_the_very_beginning_costs_the_damaged_records_only(order: str, lost: int) -> None:
    made = request(request(Made(order=order)))
    damaged = bytes(lost) + made.content[lost:]
    trace = blockio.read([damaged])
    first = 1 if lost <= HEAD else 2
    assert (len(trace), trace.unread) == (len(blockio.read([made.content])) - first, first * HEAD)


def test_a_message_of_odd_length_hides_nothing_behind_it() -> None:
    made = request(Made())
    made.note(2, b"bfq: a word.\x07")
    trace = blockio.read([request(made, 7000).content])
    assert (len(trace), trace.unread) == (6, 0)


def test_a_payload_that_looks_like_a_record_is_a_payload() -> None:
    inner = request(Made()).content
    trace = blockio.read([request(Made().note(2, inner[:48])).content])
    assert (len(trace), trace.unread) == (3, 0)


@pytest.mark.parametrize(("word", "why"), [(b"\x09tae", "version 9"), (b"ea" + b"t\x09", "version 9")])
def test_another_version_is_refused_with_its_number(word: bytes, why: str) -> None:
    with pytest.raises(blockio.TraceRefused, match=why):
        blockio.read([word + bytes(60)])


@pytest.mark.parametrize("order", ["<", ">"])
def test_version_8_is_read_by_its_magic(order: str) -> None:
    head = struct.pack(
        f"{order}IIQQIIQIIHH12x", 0x65617408, 1, 1000, 8, 4096, 100, (0x400000 | 2 | 0x10) << 16 | Q, DISK, 3, 0, 0
    )
    trace = blockio.read([head + head])
    assert (trace.time.tolist(), trace.event.tolist(), trace.pid.tolist()) == ([1000] * 2, [Q] * 2, [100] * 2)
    assert (trace.cpu.tolist(), trace.category.tolist(), trace.unread) == ([3] * 2, [0x400012] * 2, 0)


def test_an_event_of_a_cgroup_is_that_event() -> None:
    made = request(Made()).event(2000, Q | 0x100, 8, 8, payload=bytes(8))
    trace = blockio.read([made.content])
    assert (trace.event.tolist(), trace.unread) == ([Q, D, C, Q], 0)


@pytest.mark.parametrize("content", [b"", b"\x7fELF" + bytes(60), b"\x07"])
def test_what_is_no_trace_is_refused(content: bytes) -> None:
    with pytest.raises(blockio.TraceRefused):
        blockio.read([content])


@pytest.mark.parametrize(
    ("words", "piped", "lost"),
    [
        (b"  Total:               299367 events (dropped 637),    14033 KiB data\n", False, 637),
        (b"\nYou have 1127 (  1.4%) dropped events\nConsider using a larger buffer size (-b)\n", True, 1127),
        (b"", True, 0),
        (b"", False, None),
    ],
)
def test_drops_are_what_blktrace_says_at_its_end(words: bytes, piped: bool, lost: int | None) -> None:  # noqa: FBT001
    assert blockio.dropped(words, piped=piped) == lost


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=400), st.integers(0, 2000))
@example(b"", 0)
def test_no_bytes_crash_the_reader(noise: bytes, at: int) -> None:
    content = request(request(Made().name(1, b"x")), 9000).content
    at = min(at, len(content))
    damaged = content[:at] + noise + content[at + len(noise) // 2 :]
    try:
        trace = blockio.read([damaged])
    except blockio.TraceRefused:
        return
    assert trace.unread <= len(damaged)
    blockio.tables(trace, blockio.pair(trace))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 17), st.integers(0, 30), st.integers(0, 9)), max_size=60))
def test_no_order_of_events_crashes_the_pairing(events: list[tuple[int, int, int, int]]) -> None:
    made = Made()
    for time, event, sector, size in events:
        made.event(time, event, sector, size, payload=bytes(7) + bytes([size + 3]) if event in {13, 15} else b"")
    if events:
        requests = blockio.pair(blockio.read([made.content]))
        for measure in ("Q2D", "D2C", "Q2C", "Q2G", "G2I", "I2D"):
            assert (requests.times(measure)[0] >= 0).all()


def test_a_whole_captured_trace_is_read() -> None:
    assert blockio.read([CAPTURED.read_bytes()]).unread == 0


def test_half_of_a_captured_trace_is_read_to_its_last_whole_record() -> None:
    raw = CAPTURED.read_bytes()
    half = blockio.read([raw[: len(raw) // 2]])
    assert len(half) > 1000
    assert half.unread < HEAD + 64
