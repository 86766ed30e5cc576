"""What the search by the common end finds is what Volatility's own search finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from volatility3.framework.layers import scanners

from forensics.volatility import scanning

END = b"\0\xa7\xff\xff"
HEADS = st.lists(st.sampled_from([b"ab", b"aa", b"\0\xa7", b"\xff\xff", b".\n"]), min_size=1, max_size=4)
PARTS = st.lists(st.sampled_from([b"a", b"b", END, b"ab" + END, b"\0\xa7" + END, b"\xff", b".\n", b"\0"]), max_size=20)


@given(HEADS, PARTS)
def test_the_same_is_found_as_by_volatilitys_own_search(heads: list[bytes], parts: list[bytes]) -> None:
    needles, haystack = [head + END for head in heads], b"".join(parts)
    expected = list(scanners.MultiStringScanner(needles).search(haystack))
    ours = scanners.MultiStringScanner(needles)
    scanning._init(ours, needles)
    assert list(scanning.search(ours, haystack)) == expected
