"""A stream with a limit is no faster than that, and loses nothing."""

from __future__ import annotations

import os
import time

import pytest

from forensics.errors import UsageError
from forensics.guarding.pace import Paced, rate


class Bytes:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int = 1 << 20) -> bytes:
        piece, self._content = self._content[:size], self._content[size:]
        return piece


def test_no_second_has_more_than_the_limit_and_every_byte_comes() -> None:
    content = os.urandom(3 << 20)
    paced, came, began = Paced(Bytes(content), 6 << 20), b"", time.monotonic()
    while piece := paced.read():
        came += bytes(piece)
    assert came == content
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize(
    ("words", "number"),
    [("50M", 50 << 20), ("800k", 800 << 10), ("1GiB/s", 1 << 30), ("4096", 4096), ("", 0), ("0", 0)],
)
def test_rates_are_read_as_people_write_them(words: str, number: int) -> None:
    assert rate(words) == number


@pytest.mark.parametrize("words", ["fast", "-1M", "1", "5T", "1.5M", "M", "99999999999M"])
def test_what_is_no_rate_is_refused(words: str) -> None:
    with pytest.raises(UsageError):
        rate(words)
