"""Clocks: how far one is off from ours, and what our own kernel says of ours."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics import clock


@given(st.floats(-1e8, 1e8), st.lists(st.floats(0.001, 5), min_size=1, max_size=5))
def test_the_true_offset_lies_within_the_uncertainty(off: float, trips: list[float]) -> None:
    """Wherever between asking and hearing the clock was read."""
    began = 1795467600.0
    readings = [
        (f"{began + off + trip * part:.9f}\n".encode(), "2026-11-23T21:00:00.000000Z", trip)
        for trip, part in zip(trips, (0.0, 1.0, 0.5, 0.25, 0.9), strict=False)
    ]
    told = clock.offset(readings)
    assert told is not None
    assert told.uncertainty == pytest.approx(min(trips) / 2, abs=1e-6)
    assert abs(told.seconds - off) <= told.uncertainty + 2e-6


def test_our_own_clock_is_read_as_any_other() -> None:
    before = datetime.now(UTC)
    said = subprocess.run(["date", "+%s.%N"], capture_output=True, check=True).stdout
    seconds = (datetime.now(UTC) - before).total_seconds()
    told = clock.offset([(said, before.isoformat(), seconds)])
    assert told is not None
    assert abs(told.seconds) <= told.uncertainty + 0.01


def test_what_is_no_reading_gives_no_offset() -> None:
    assert clock.offset([(b"not a time\n", "2026-11-23T21:00:00Z", 0.1), (b"", "", 0.1)]) is None


def test_our_kernel_says_whether_our_clock_is_kept_right() -> None:
    assert re.fullmatch(r"|not synchronised|synchronised, off by \d+\.\d{3} s at most", clock.keeping())
