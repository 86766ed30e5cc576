"""Labs by name, and how they are reached."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from forensics.errors import LabFailed, UsageError
from forensics.lab import image, labs, machine, state
from forensics.lab.recipe import Recipe


def lab(root: Path, name: str = "lab", pid: int = 0) -> state.Lab:
    folder = state.folder_of(root, name)
    folder.mkdir(parents=True)
    one = state.Lab(name, folder, 2201, pid or os.getpid(), Recipe(seed=8, without=("oom-kill",)), "web-3f")
    state.save(one)
    return one


def test_a_lab_comes_back_from_its_state_file(tmp_path: Path) -> None:
    assert state.load(tmp_path, "two") is None
    assert state.load(tmp_path, lab(tmp_path, "two").name) == state.status(tmp_path)[0]


def test_the_state_is_for_its_owner_alone(tmp_path: Path) -> None:
    mode = (lab(tmp_path).folder / "state.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_state_file_that_is_broken_is_named(tmp_path: Path) -> None:
    one = lab(tmp_path)
    (one.folder / "state.json").write_text("{")
    with pytest.raises(LabFailed, match="cannot be read"):
        state.load(tmp_path, "lab")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-x", "a b", "\x1b[2J", "x" * 41])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        state.folder_of(tmp_path, name)


def test_another_process_with_the_pid_is_not_taken_for_ours(tmp_path: Path) -> None:
    one = lab(tmp_path, pid=os.getpid())
    assert not one.runs
    assert not machine.end(one.pid, one.folder)


def test_a_lab_that_does_not_run_is_no_target(tmp_path: Path) -> None:
    lab(tmp_path, "two")
    with pytest.raises(LabFailed, match="not up") as raised:
        labs.resolve(tmp_path, "lab:two")
    assert raised.value.remedy == "forensics lab up --name two"


def test_down_of_what_is_not_up_takes_away_its_secrets(tmp_path: Path) -> None:
    one = lab(tmp_path)
    state.write_private(one.password, "secret\n")
    state.write_private(one.truth, "[]\n")
    assert not labs.down(tmp_path)
    assert [file.name for file in one.folder.iterdir()] == ["truth.json"]


def test_two_commands_on_one_lab_do_not_meet(tmp_path: Path) -> None:
    folder = state.folder_of(tmp_path, "lab")
    with state.locked(folder), pytest.raises(LabFailed, match="another command"), state.locked(folder):
        pass


def test_the_machine_has_one_way_in_and_none_out(tmp_path: Path) -> None:
    argv = machine.arguments(Recipe(append="module.sig_enforce=1"), image.Image(tmp_path), tmp_path, 2201, "tcg")
    assert "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:2201-:22" in argv
    assert argv[argv.index("-append") + 1].endswith(" module.sig_enforce=1")
    assert argv[argv.index("-cpu") + 1] == "max,la57=off"


def test_the_last_words_of_a_console_are_safe_to_show(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_bytes(b"one\r\n\x1b[2Jtwo\r\n")
    assert machine.last_words(tmp_path) == "one | \\x1b[2Jtwo"
