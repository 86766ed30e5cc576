"""dwarf2json makes the table where there is only DWARF; what it says and what it made is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.errors import SymbolsError, ToolMissing, UsageError
from forensics.isf.dwarf import make_of_dwarf
from tests.volatility import tiny

VERSION = tiny.BANNER.rstrip(b"\0")


@pytest.fixture
def vmlinux(tmp_path: Path) -> Path:
    path = tmp_path / "vmlinux"
    path.write_bytes(b"\x7fELF")
    return path


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program of that name on PATH: the real one is written in Go and reads 600 MB of DWARF for a minute."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "dwarf2json").write_text(f"#!/bin/sh\n{script}\n")
    (place / "dwarf2json").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")


def test_the_table_is_what_the_program_made_of_the_vmlinux(
    tmp_path: Path, vmlinux: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tiny.table(tmp_path / "told.json")
    program(tmp_path, monkeypatch, f'[ "$*" = "linux --elf {vmlinux}" ] && cat {table}')
    assert make_of_dwarf(vmlinux, tmp_path / "made.json", VERSION) == tiny.BANNER
    assert (tmp_path / "made.json").read_bytes() == table.read_bytes()


@pytest.mark.parametrize(
    ("script", "version", "says"),
    [
        ("echo 'no DWARF here' >&2; exit 3", VERSION, "ended with 3 and said: no DWARF here"),
        ("echo '{}'", VERSION, "no linux_banner"),
        ("cat told.json", VERSION.replace(b"6.1.0", b"6.2.0"), "of another kernel"),
    ],
    ids=["fails", "makes nothing of use", "another kernel's"],
)
def test_what_is_of_no_use_is_an_error_and_leaves_no_table(
    tmp_path: Path, vmlinux: Path, monkeypatch: pytest.MonkeyPatch, *, script: str, version: bytes, says: str
) -> None:
    tiny.table(tmp_path / "told.json")
    monkeypatch.chdir(tmp_path)
    program(tmp_path, monkeypatch, script)
    with pytest.raises(SymbolsError) as told:
        make_of_dwarf(vmlinux, tmp_path / "made.json", version)
    assert says in str(told.value)
    assert not (tmp_path / "made.json").exists()


def test_without_the_program_it_is_said_what_to_install(
    tmp_path: Path, vmlinux: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="dwarf2json is not installed"):
        make_of_dwarf(vmlinux, tmp_path / "made.json")


def test_a_table_that_is_there_is_kept(tmp_path: Path, vmlinux: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "echo '{}'")
    (tmp_path / "made.json").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        make_of_dwarf(vmlinux, tmp_path / "made.json")
    assert (tmp_path / "made.json").read_text() == "mine"
