"""What was packed on a target: whole, cut, forged, and far larger than it looks."""

from __future__ import annotations

import io
import random
import shutil
import subprocess

import pytest

from forensics.errors import StageFailed, Unreachable
from forensics.host import MIB
from forensics.kcore.packing import WORDS, Read, unpacking
from tests.sshd import skip

CONTENT = random.Random(4).randbytes(300_000) + bytes(9 << 20)


def packed(name: str, content: bytes = CONTENT) -> bytes:
    """Pack with the program itself, as a target does."""
    if not shutil.which(name):
        skip(f"{name} is missing: install the package {name}")
    return subprocess.run([name, *WORDS[name]], input=content, capture_output=True, check=True).stdout


def drain(take: Read) -> None:
    while take(MIB):
        pass


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("most", [1000, MIB])
def test_what_the_program_packed_comes_out_as_it_went_in(name: str, most: int) -> None:
    source = io.BytesIO(packed(name))
    take = unpacking(lambda size: source.read(min(size, most)), name)
    pieces = []
    while data := take(MIB):
        assert len(data) <= MIB
        pieces.append(data)
    assert b"".join(pieces) == CONTENT


@pytest.mark.parametrize("name", WORDS)
def test_no_more_is_unpacked_than_is_asked_for(name: str) -> None:
    bomb = packed(name, bytes(64 << 20))
    taken = []
    source = io.BytesIO(bomb)
    take = unpacking(source.read, name)
    taken.append(len(take(4096)))
    assert 0 < taken[0] <= 4096


@pytest.mark.parametrize("name", WORDS)
def test_bytes_that_are_not_packed_are_refused(name: str) -> None:
    take = unpacking(io.BytesIO(b"sudo: a password is required" * 20).read, name)
    with pytest.raises(StageFailed, match="cannot be unpacked"):
        drain(take)


@pytest.mark.parametrize("name", WORDS)
def test_a_lost_connection_is_told_as_what_it_is(name: str) -> None:
    source = io.BytesIO(packed(name)[:200_000])

    def read(size: int) -> bytes:
        if data := source.read(size):
            return data
        raise Unreachable("the connection was lost")

    take = unpacking(read, name)
    with pytest.raises(Unreachable):
        drain(take)
