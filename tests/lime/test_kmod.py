"""A module for another kernel, another machine, or none at all is known before it is uploaded."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from forensics.lime import kmod
from tests.kernel_module import make_module

RELEASE = "6.1.0-99-test-amd64"


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_module(tmp_path_factory.mktemp("module"), RELEASE)


def differences(path: Path, release: str = RELEASE, machine: str = "x86_64", **versions: int) -> tuple[str, ...]:
    return kmod.differences(kmod.read(path), release=release, machine=machine, versions=versions)


def test_a_module_says_what_it_is_for(module: Path) -> None:
    found = kmod.read(module)
    assert (found.machine, found.name, found.release) == ("x86_64", "lime", RELEASE)
    assert found.parameters == ("timeout",)
    assert found.versions == {"printk": 0x11223344, "filp_open": 0xCAFEBABE}
    assert not found.signed


def test_a_module_that_fits_is_not_refused(module: Path) -> None:
    assert differences(module, printk=0x11223344, unrelated=5) == ()


def test_another_vermagic_is_told_with_both_values(module: Path) -> None:
    (told,) = differences(module, release="6.1.0-98-test-amd64")
    assert RELEASE in told
    assert "6.1.0-98-test-amd64" in told


def test_an_altered_vermagic_is_seen(module: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered.ko"
    altered.write_bytes(module.read_bytes().replace(b"6.1.0-99", b"6.1.0-97"))
    assert "6.1.0-97" in differences(altered)[0]


def test_another_symbol_crc_is_told_with_both_values(module: Path) -> None:
    (told,) = differences(module, printk=0x99)
    assert "0x11223344" in told
    assert "0x00000099" in told


def test_another_architecture_is_seen(module: Path, tmp_path: Path) -> None:
    data = bytearray(module.read_bytes())
    struct.pack_into("<H", data, 18, 183)
    other = tmp_path / "arm.ko"
    other.write_bytes(data)
    assert "aarch64" in differences(other)[0]


def test_a_truncated_module_is_none(module: Path, tmp_path: Path) -> None:
    data = module.read_bytes()
    for length in range(0, len(data), 97):
        short = tmp_path / "short.ko"
        short.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"truncated|not an ELF|not a 64-bit"):
            kmod.read(short)


def test_a_program_is_no_module() -> None:
    with pytest.raises(ValueError, match="not a relocatable"):
        kmod.read(Path("/bin/true"))
