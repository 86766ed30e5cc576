"""The commands, as a person or a program runs them: words, JSON, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_group

import forensics.commands

COMMANDS = Path(forensics.commands.__path__[0])
PROGRAM = Path(sys.executable).with_name("forensics")
OPENING = ("--title", "Unexpected traffic", "--examiner", "Ada Examiner", "--authority", "Ticket 4711")


def run(root: Path, *words: str, pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "FORENSICS_ROOT": str(root), "HOME": str(root), "COLUMNS": "200"}
    return subprocess.run(
        [PROGRAM, *words],
        capture_output=True, text=True, check=False, env=environment, timeout=60, pass_fds=pass_fds,
    )  # fmt: skip


def told(root: Path, *words: str) -> Any:
    done = run(root, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    assert run(tmp_path, "open", "2026-0042", *OPENING).returncode == 0
    return tmp_path


def test_a_case_is_opened_listed_and_shown(opened: Path) -> None:
    assert [one["number"] for one in told(opened, "list")] == ["2026-0042"]
    status = told(opened, "status", "2026-0042")
    assert (status["title"], status["closed"], status["exhibits"]) == ("Unexpected traffic", False, [])
    (first,) = told(opened, "custody", "2026-0042")
    assert (first["action"], first["actor"]) == ("case opened", "Ada Examiner")


def test_an_empty_folder_says_how_to_begin(tmp_path: Path) -> None:
    done = run(tmp_path, "list")
    assert done.returncode == 0
    assert "forensics open" in done.stdout


def test_a_damaged_case_is_listed_as_such_among_the_others(opened: Path) -> None:
    assert run(opened, "open", "2026-0001", *OPENING).returncode == 0
    ledger = opened / "cases" / "2026-0001" / "custody.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"Ada", b"Ida", 1))
    done = run(opened, "list")
    assert done.returncode == 4
    assert "DAMAGED" in done.stdout
    assert "2026-0042" in done.stdout
    listed = json.loads(run(opened, "list", "--json").stdout)
    assert [one["number"] for one in listed] == ["2026-0001", "2026-0042"]
    assert listed[0]["damaged"] is True


def test_what_this_machine_refuses_is_said_in_words(opened: Path) -> None:
    (opened / "cases" / "2026-0042" / "work").rmdir()
    done = run(opened, "close", "2026-0042", "--reason", "done")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No such file or directory" in done.stderr


def test_a_case_is_not_opened_twice(opened: Path) -> None:
    done = run(opened, "open", "2026-0042", *OPENING)
    assert done.returncode == 1
    assert "exists already" in done.stderr


@pytest.mark.parametrize("number", ["../x", "a/b", "", ".hidden", "-x\n"])
def test_a_number_that_is_no_plain_name_is_refused(tmp_path: Path, number: str) -> None:
    done = run(tmp_path, "open", *OPENING, "--", number)
    assert done.returncode == 2
    assert not (tmp_path / "cases").exists()


def test_a_closed_case_is_worked_no_further(opened: Path) -> None:
    assert run(opened, "close", "2026-0042", "--reason", "done").returncode == 0
    done = run(opened, "run", "2026-0042", "root@127.0.0.1:9")
    assert done.returncode == 1
    assert "forensics reopen 2026-0042" in done.stderr
    assert run(opened, "reopen", "2026-0042", "--reason", "more came up").returncode == 0
    assert told(opened, "status", "2026-0042")["closed"] is False


def test_a_host_that_does_not_answer_is_an_error_in_words_and_in_the_ledger(opened: Path) -> None:
    done = run(opened, "run", "2026-0042", "root@127.0.0.1:9")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for label in ("error", "where", "why"):
        assert label in done.stderr
    assert "127.0.0.1" in done.stderr


def test_errors_are_json_where_json_is_asked_for(opened: Path) -> None:
    done = run(opened, "status", "2026-0043", "--json")
    assert done.returncode == 1
    problem = json.loads(done.stderr)
    assert problem["what"] == "there is no such case"
    assert problem["exit"] == 1
    assert run(opened, "verify", "2026-0043").returncode == 6, "nothing to check is no failed check"


def test_words_that_are_off_exit_with_2(tmp_path: Path) -> None:
    assert run(tmp_path, "open", "2026-0042").returncode == 2
    assert run(tmp_path, "nonsense").returncode == 2
    assert run(tmp_path, "run", "X-1", "host", "--plan", "no-such-plan").returncode == 2


def test_a_good_case_verifies_and_a_changed_byte_is_named(opened: Path) -> None:
    assert run(opened, "verify", "2026-0042").returncode == 0
    ledger = opened / "cases" / "2026-0042" / "custody.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"Unexpected", b"Xnexpected"))
    done = run(opened, "verify", "2026-0042")
    assert done.returncode == 4
    assert "line 1" in done.stdout + done.stderr
    assert run(opened, "status", "2026-0042").returncode == 4


@pytest.mark.parametrize("words", [("--help",), ("verify", "--help"), ("lab", "up", "--help")], ids=" ".join)
def test_every_command_says_what_it_does(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 3


def test_every_command_that_there_is_is_offered(tmp_path: Path) -> None:
    offered = {line.split()[0] for line in run(tmp_path, "--help").stdout.split("Commands:")[1].splitlines() if line}
    modules = {path.stem: import_module(f"forensics.commands.{path.stem}") for path in COMMANDS.glob("*.py")}
    written = {name for module in modules.values() if hasattr(module, "app") for name in get_group(module.app).commands}
    assert written - {"demo"} == offered
    assert "demo" in run(tmp_path, "lab", "--help").stdout


def test_a_word_that_is_nearly_a_command_is_answered_with_it(tmp_path: Path) -> None:
    assert "'verify'" in run(tmp_path, "verfy").stderr
    assert "'demo'" in run(tmp_path, "lab", "demmo").stderr


def test_nothing_of_a_targets_reaches_the_terminal_raw(opened: Path) -> None:
    title = "evil \x1b]52;c;aGk=\x07 \u202e title"
    hostile = ("--title", title, "--examiner", "x\x1b[31m", "--authority", "y")
    assert run(opened, "open", "2026-0043", *hostile).returncode == 0
    for words in (("list",), ("status", "2026-0043"), ("custody", "2026-0043"), ("list", "--json")):
        done = run(opened, *words)
        assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr)
