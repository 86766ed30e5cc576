"""Digests: of files, of their pieces, and of nothing that is no file."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics import hashing
from forensics.errors import IntegrityError


def test_the_digest_is_what_sha256sum_says(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_001))
    told = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
    found = hashing.hash_file(path)
    assert (str(found.digest), found.size, found.pieces) == (f"sha256:{told}", 3_000_001, ())


@settings(max_examples=200)
@given(st.integers(0, 40), st.integers(1, 12), st.lists(st.integers(1, 15), max_size=8))
def test_pieces_are_cut_alike_however_the_bytes_come(size: int, piece: int, reads: list[int]) -> None:
    content = bytes(range(size))
    cuts: list[bytes] = []
    offset = 0
    for length in [*reads, size]:
        part = content[offset : offset + length]
        for begin, end in hashing._cuts(offset, len(part), piece):
            cuts.append(part[begin:end])
            assert begin == end or (offset + begin) // piece == (offset + end - 1) // piece
        offset += len(part)
    assert b"".join(cuts) == content


def test_every_piece_of_a_large_file_has_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2 * hashing.PIECE + 5)
        file.seek(hashing.PIECE)
        file.write(b"second")
    found = hashing.hash_file(path)
    content = path.read_bytes()
    expected = [content[begin : begin + hashing.PIECE] for begin in range(0, len(content), hashing.PIECE)]
    assert list(found.pieces) == [hashlib.sha256(one).hexdigest() for one in expected]


def test_a_terabyte_has_no_more_pieces_than_a_line_can_hold() -> None:
    piece = hashing._piece_for(1 << 40)
    assert (1 << 40) / piece <= hashing.PIECES


@pytest.mark.parametrize("kind", ["symlink", "folder", "fifo", "nothing"])
def test_what_is_no_file_is_refused_and_nothing_waits_for_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "it"
    (tmp_path / "file").write_bytes(b"x")
    if kind == "symlink":
        path.symlink_to(tmp_path / "file")
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(IntegrityError) as caught:
        hashing.hash_file(path)
    assert str(path) in caught.value.where


def test_a_tree_has_another_digest_when_any_file_is_changed_added_or_renamed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.py").write_text("2")
    seen = {str(hashing.hash_tree(tmp_path, ["*.py"]))}
    (tmp_path / "ignored.txt").write_text("3")
    assert str(hashing.hash_tree(tmp_path, ["*.py"])) in seen
    (tmp_path / "a.py").write_text("9")
    seen.add(str(hashing.hash_tree(tmp_path, ["*.py"])))
    (tmp_path / "b" / "c.py").rename(tmp_path / "b" / "d.py")
    seen.add(str(hashing.hash_tree(tmp_path, ["*.py"])))
    (tmp_path / "e.py").write_text("")
    seen.add(str(hashing.hash_tree(tmp_path, ["*.py"])))
    assert len(seen) == 4
