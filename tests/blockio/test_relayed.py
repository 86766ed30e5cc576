"""Zeros that the kernel's relay gives out behind its records are not called unread, and nothing else is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics import blockio
from forensics.blockio import relayed
from forensics.collectors import Part
from forensics.collectors.block_io import BlockIo
from forensics.host import Completed
from forensics.model import Outcome
from tests.blockio.traces import Made, Q

CAPTURED = (Path(__file__).parent.parent / "collectors/captured/block_io/bookworm/trace").read_bytes()
REST = bytes(512 * 1024 - 32)  # as a lab gave it


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("payload", [b"", bytes(8), b"odd"])
def test_the_rest_of_a_sub_buffer_is_no_record_wherever_it_stands(order: str, payload: bytes) -> None:
    first = Made(order).event(1000, Q, 8, 8, payload=payload).content
    second = Made(order).event(2000, Q, 8, 8, payload=payload).content
    assert relayed.records(first + REST + second + REST) == first + second


def test_a_captured_trace_is_whole_with_them_and_without(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_bytes(CAPTURED + REST)
    done = Completed(("blktrace",), 0, b"", b"", "", "2026-11-26T02:00:00Z", 30.0)
    judged = BlockIo().judge({"trace": Part("trace", trace, trace.stat().st_size, done, accepted=True)})
    assert (judged.outcome, judged.reason) == (Outcome.DONE, "")
    assert judged.facts["events"] == len(blockio.read([CAPTURED]))


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(CAPTURED + CAPTURED[:3] + REST, id="behind what is no whole record"),
        pytest.param(CAPTURED + REST + b"\xff" + CAPTURED, id="before something else"),
        pytest.param(CAPTURED + bytes(5 << 20), id="more than a sub-buffer"),
        pytest.param(CAPTURED[:200] + REST + CAPTURED[200:], id="in the middle of a record"),
        pytest.param(REST, id="zeros alone"),
    ],
)
def test_zeros_for_which_there_is_no_such_reason_stay_unread(stream: bytes) -> None:
    assert relayed.records(stream) == stream


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(bytes(2000)), st.just(CAPTURED[:104])), max_size=8))
def test_nothing_but_zeros_is_ever_left_out(pieces: list[bytes]) -> None:
    stream = CAPTURED[:48] + b"".join(pieces)
    kept = relayed.records(stream)
    assert kept.replace(b"\0", b"") == stream.replace(b"\0", b"")
