"""What a range is made of, counted as it passes, against plain counting of the whole."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from forensics.lime.census import PAGE, SAMPLED, Census

_PARTS = some.lists(
    some.tuples(
        some.sampled_from([b"\0", b"\0", b"x", b"\0y", b"z\0"]), some.sampled_from([1, 100, PAGE - 1, PAGE, 3 * PAGE])
    ),
    max_size=12,
)


def counted(content: bytes, cuts: list[int]) -> Census:
    found = Census(0x100000)
    edges = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    for begin, end in pairwise(edges):
        found.take(memoryview(content)[begin:end])
    return found


@given(_PARTS, some.lists(some.integers(0, 1 << 16), max_size=6))
def test_pages_of_zeros_are_counted_however_the_bytes_are_cut(parts: list[tuple[bytes, int]], cuts: list[int]) -> None:
    content = b"".join(one * count for one, count in parts)
    pages = [content[at : at + PAGE] for at in range(0, len(content) - PAGE + 1, PAGE)]
    signs = "".join("0" if page == bytes(PAGE) else "x" for page in pages)
    runs = [(len(run.group()), -run.start()) for run in re.finditer("0+", signs)]
    longest, place = max(runs, default=(0, 0))
    told = counted(content, cuts).told()
    assert told["zero_pages"] == signs.count("0")
    assert told["longest_zero_run"] == longest * PAGE
    assert told["longest_zero_run_at"] == (0x100000 - place * PAGE if longest else None)
    assert told["zero_tail"] == len(content) - len(content.rstrip(b"\0"))


def test_entropy_is_that_of_the_pages_that_are_looked_at() -> None:
    dice = random.Random(1)
    pages = [bytes(dice.choices(b"abcdefgh", k=PAGE)) for _ in range(3 * SAMPLED)]
    shares = [count / (3 * PAGE) for count in Counter(b"".join(pages[::SAMPLED])).values()]
    expected = -sum(one * math.log2(one) for one in shares)
    found = counted(b"".join(pages), [5, 10_000, 300_000]).entropy
    assert found == pytest.approx(expected)


def test_zeros_have_no_entropy_noise_has_eight_bits_and_nothing_has_none() -> None:
    assert counted(bytes(PAGE), []).entropy == 0
    noise = counted(random.Random(1).randbytes(PAGE * SAMPLED * 4), []).entropy
    assert noise is not None
    assert 7.9 < noise <= 8
    assert counted(b"", []).entropy is None
