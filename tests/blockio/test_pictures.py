"""Pictures of a trace: all there, small, the same every time, whatever the trace holds."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from forensics import blockio
from forensics.blockio import pictures
from forensics.blockio.captions import TITLES
from forensics.blockio.drawing import Clock, Paint
from tests.blockio.traces import C, D, Made, Q

CAPTURED = Path(__file__).parent.parent / "collectors/captured/block_io/bookworm/trace"
NAMES = {f"{name}.svg" for name in TITLES}


def drawn(made: Made) -> dict[str, bytes]:
    trace = blockio.read([made.content])
    return dict(pictures.draw(trace, blockio.pair(trace)))


def test_pictures_are_small_and_the_same_every_time() -> None:
    raw = CAPTURED.read_bytes()
    first, second = blockio.interpret(raw, 0).pictures, blockio.interpret(raw, 0).pictures
    assert first == second
    assert set(first) == NAMES
    for name, svg in first.items():
        assert len(svg) < 150_000, name
        assert b"<text" not in svg, "letters are paths, so that no font is missing anywhere"
        assert b"<dc:date" not in svg


def test_many_points_are_one_small_image_and_not_a_mark_each() -> None:
    made = Made()
    for number in range(4000):
        at = number * 1000
        made.event(at, Q, number * 8, 8).event(at + 10, D, number * 8, 8).event(at + 500, C, number * 8, 8)
    pictured = drawn(made)
    for name in ("block-io-offsets.svg", "block-io-latency.svg"):
        assert pictured[name].count(b"<image") == 1, name
        assert pictured[name].count(b"<use") < 400, name
        assert len(pictured[name]) < 100_000, name


@pytest.mark.parametrize(
    "made",
    [
        Made().event(1000, Q, 8, 8),
        Made().event(1000, C, 8, 8),
        Made().event(1000, Q, 8, 8).event(1000, D, 8, 8).event(1000, C, 8, 8),
        Made().event(1000, Q, 1 << 62, 8).event(10**18, C, 8, 8),
        Made().name(100, b"$x$ <b>\x1b[31m").event(1000, Q, 8, 8).event(2000, C, 8, 8),
    ],
    ids=["queued only", "completed only", "one moment", "far apart", "a hostile name"],
)
def test_every_trace_with_an_event_can_be_drawn(made: Made) -> None:
    for name, svg in drawn(made).items():
        assert ET.fromstring(svg).tag.endswith("svg"), name  # noqa: S314 - ours


def test_processes_of_one_name_share_a_colour_and_the_rest_is_counted() -> None:
    made = Made()
    for pid in range(20):
        made.name(pid, b"fio" if pid < 5 else b"job%d" % pid)
        for number in range(21 - pid):
            made.event(1000 + number, Q, (pid * 100 + number) * 8, 8, pid=pid)
    trace = blockio.read([made.content])
    paint = Paint.by_process(trace, blockio.pair(trace))
    assert paint.labels == ("fio (5 processes)", *(f"job{pid} ({pid})" for pid in range(5, 10)), "10 others")
    assert np.bincount(paint.of).tolist() == [21 + 20 + 19 + 18 + 17, 16, 15, 14, 13, 12, sum(range(2, 12))]


def test_a_rate_is_by_the_second_whatever_the_steps_are() -> None:
    clock = Clock.over(1_000, 3.0)
    assert (clock.step, clock.count) == (0.02, 150)
    rate = clock.per_second(np.array([1_000, 1_000 + 5_000_000, 3_000_001_000]))
    assert (rate[0], rate[-1]) == (100.0, 50.0)
    assert rate.sum() * clock.step == pytest.approx(3)
