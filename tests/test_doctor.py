"""What the workstation has is found, and what it lacks is named with its package."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from forensics import doctor, tools
from forensics.errors import ToolMissing


def test_a_program_that_is_here_is_found_with_its_version() -> None:
    gcc = tools.tool("gcc")
    said = subprocess.run([gcc.path, "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    assert said in gcc.version


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing) as caught:
        tools.require("mke2fs")
    assert caught.value.remedy == "apt-get install e2fsprogs"
    assert "practice target" in caught.value.why
    checks = {check.subject: check for check in doctor.examine(Path("/"))}
    assert checks["gcc"].works is False
    assert checks["gcc"].remedy == "apt-get install gcc"
    assert not doctor.healthy(tuple(checks.values()))


def test_sbin_is_searched_for_those_who_have_it_not_on_their_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert tools.require("mke2fs").name == "mke2fs"


def test_every_row_says_what_it_is_for(tmp_path: Path) -> None:
    for check in doctor.examine(tmp_path / "not" / "there"):
        assert check.purpose
        assert check.found
        assert check.works is not False or check.remedy


def test_a_program_that_says_nothing_has_no_version(tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexit 3\n")
    silent.chmod(0o755)
    assert tools._version(silent, ("--version",)) == ""
    assert str(tools.digest(silent)).startswith("sha256:")
