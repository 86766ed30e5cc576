"""Papers are read as people write them, and one that names another file says nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from forensics.imports import Unreadable, papers
from forensics.model import Digest

MD5, SHA1 = "9dd4e461268c8034f5c8564e155c67a6", "11f6ad8ec52a2984abaafd7c3b516503785c2072"  # of "x"
SHA256 = hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{MD5}  web01.vmcore\n", [f"md5:{MD5}"]),
        (f"{SHA1} *./dumps/web01.vmcore\r\n", [f"sha1:{SHA1}"]),
        (f"SHA256 (web01.vmcore) = {SHA256}\n", [f"sha256:{SHA256}"]),
        (f"{SHA256.upper()}\n", [f"sha256:{SHA256}"]),
        (f"MD5 checksum:    {MD5} : verified\nSHA-1 checksum: {SHA1}\n", [f"md5:{MD5}", f"sha1:{SHA1}"]),
        (f"{MD5}  db02.vmcore\n", []),
        (f"MD5 (db02.vmcore) = {MD5}\n", []),
        (f"machine id {MD5}\n", []),
        ("taken by night, nobody wrote a digest down\n", []),
    ],
)
def test_digests_are_found_where_they_are_of_this_image(tmp_path: Path, text: str, found: list[str]) -> None:
    paper = tmp_path / "paper"
    paper.write_text(text)
    assert [str(one.digest) for one in papers.read(paper, "web01.vmcore")] == found


def test_a_claim_is_compared_by_its_own_algorithm() -> None:
    claims = (papers.given(f"md5:{MD5}"), papers.given(f"sha1:{'0' * 40}"))
    hashers = papers.hashers(papers.algorithms(claims))
    assert set(hashers) == {"md5", "sha1", "sha256"}
    for one in hashers.values():
        one.update(b"x")
    computed = [Digest(name, one.hexdigest()) for name, one in hashers.items()]
    assert [one.agrees for one in papers.compare(claims, computed)] == [True, False]


@pytest.mark.parametrize("word", ["", "md5", "md5:12", f"sha1:{MD5}", f"crc32:{MD5}", "md5:" + "z" * 32])
def test_what_is_no_digest_is_refused(word: str) -> None:
    with pytest.raises(Unreadable, match="no digest"):
        papers.given(word)


def test_a_second_image_among_the_papers_is_none(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(papers.LARGEST + 1)
    with pytest.raises(Unreadable, match="no paper"):
        papers.read(tmp_path / "large", "image")
