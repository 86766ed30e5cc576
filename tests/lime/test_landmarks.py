"""What the target told of two places is compared with the image's bytes there, and the image is not searched."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

from forensics.lime import format as lime_format
from forensics.lime import landmarks
from forensics.model import Facts, MemoryRange
from tests.known import facts

RAM = (MemoryRange(0x1000, 0x4FFF), MemoryRange(0x100000, 0x10FFFF))
BANNER = b"Linux version 6.1.0-99-test-amd64\n"
INFO = b"OSRELEASE=6.1.0-99-test-amd64\nBUILD-ID=00\n"
NOTE = struct.pack("<III", 11, len(INFO), 0) + b"VMCOREINFO\0\0" + INFO
KNOWN = facts(proc_version=BANNER, vmcoreinfo=INFO, ram=RAM, places={"linux_banner": 0x100FF0, "vmcoreinfo": 0x108000})


def image(path: Path, cut: int = 0, **changes: bytes) -> Path:
    """Write an image with banner and note at their places, or with other bytes there."""
    memory = {0x100FF0: changes.get("banner", BANNER + b"\0"), 0x108000: changes.get("note", NOTE)}
    out = bytearray()
    for one in RAM:
        content = bytearray(one.size)
        for place, what in memory.items():
            if one.start <= place <= one.end:
                content[place - one.start : place - one.start + len(what)] = what
        out += lime_format.header(one) + content
    path.write_bytes(out[: len(out) - cut])
    return path


def looked(path: Path, known: Facts = KNOWN) -> tuple[landmarks.Landmark, landmarks.Landmark]:
    segments = lime_format.walk(path).segments
    return landmarks.banner(path, segments, known), landmarks.vmcoreinfo(path, segments, known)


def test_both_stand_at_their_places(tmp_path: Path) -> None:
    path = image(tmp_path / "i")
    banner, info = looked(path)
    assert (banner.agrees, info.agrees) == (True, True)
    assert banner.offset == path.read_bytes().index(BANNER)
    assert (banner.address, info.address) == (0x100FF0, 0x108000)


def test_one_other_byte_is_told_with_the_place(tmp_path: Path) -> None:
    banner, info = looked(image(tmp_path / "i", banner=BANNER.replace(b"99", b"98"), note=NOTE[:-1] + b"x"))
    assert (banner.agrees, info.agrees) == (False, False)
    assert "0x100ff0" in banner.why
    assert "0x108000" in info.why


def test_a_banner_elsewhere_in_the_image_does_not_count(tmp_path: Path) -> None:
    path = image(tmp_path / "i", banner=b"", note=BANNER)
    banner, info = looked(path)
    assert (banner.agrees, info.agrees) == (False, False)
    assert "no such note" in info.why


def test_an_image_that_ends_before_the_place_does_not_have_it(tmp_path: Path) -> None:
    _, info = looked(image(tmp_path / "i", cut=0x8000))
    assert (info.agrees, info.offset) == (False, None)
    _, short = looked(image(tmp_path / "j", cut=0x8000 - len(NOTE) + 1))
    assert short.agrees is False


def test_what_the_target_did_not_tell_is_not_looked_for(tmp_path: Path) -> None:
    path = image(tmp_path / "i")
    banner, info = looked(path, replace(KNOWN, proc_version=b"", places={}))
    assert (banner.agrees, info.agrees) == (None, None)
    searched, _ = looked(path, replace(KNOWN, places={}))
    assert (searched.agrees, searched.address) == (True, None)


def test_a_large_image_is_not_searched(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(lime_format.header(MemoryRange(0, (16 << 30) - 1)))
        file.truncate((16 << 30) + 32)
    banner, _ = looked(path, replace(KNOWN, places={}))
    assert (banner.agrees, "too large" in banner.why) == (None, True)
    at_place, _ = looked(path, replace(KNOWN, places={"linux_banner": 9 << 30}))
    assert at_place.agrees is False
