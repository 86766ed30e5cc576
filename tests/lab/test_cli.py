"""The commands about practice targets, where none is up."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from forensics.errors import LabFailed, UsageError
from forensics.lab.cli import app


def run(*words: str) -> tuple[str, BaseException | None]:
    done = CliRunner().invoke(app, list(words))
    return done.stdout, done.exception


def test_no_lab_is_said_in_words_and_as_an_empty_list(tmp_path: Path) -> None:
    assert "No lab is up here" in run("status", "--root", str(tmp_path))[0]
    assert json.loads(run("status", "--root", str(tmp_path), "--json")[0]) == []


def test_down_of_nothing_is_no_error(tmp_path: Path) -> None:
    said, problem = run("down", "--root", str(tmp_path))
    assert (said, problem) == ("Lab lab was not running.\n", None)


def test_logging_in_where_nothing_runs_tells_what_to_do(tmp_path: Path) -> None:
    _, problem = run("ssh", "--root", str(tmp_path), "--name", "two")
    assert isinstance(problem, LabFailed)
    assert problem.remedy == "forensics lab up --name two"


def test_a_fact_that_is_not_known_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    _, problem = run("up", "--root", str(tmp_path), "--without", "gold")
    assert isinstance(problem, UsageError)
    assert not (tmp_path / ".lab").exists()
