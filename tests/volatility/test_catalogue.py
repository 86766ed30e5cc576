from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forensics.cli import app
from forensics.errors import UsageError
from forensics.plan import load
from forensics.volatility import DEFAULT, available


def test_every_default_plugin_exists_and_runs_without_arguments() -> None:
    known = {one.name: one for one in available()}
    assert [name for name in DEFAULT if name not in known or known[name].why_not] == []
    assert len(set(DEFAULT)) == len(DEFAULT)
    assert all(known[name].default for name in DEFAULT)


def test_what_cannot_run_by_itself_says_why() -> None:
    why = {one.name: one.why_not for one in available()}
    assert why["linux.module_extract.ModuleExtract"] == "it needs an argument: base"
    assert "find" in why["linux.pagecache.InodePages"]


def test_deprecated_aliases_are_not_listed() -> None:
    names = {one.name for one in available()}
    assert "linux.malware.malfind.Malfind" in names
    assert "linux.malfind.Malfind" not in names


def test_a_folder_of_the_users_is_listed_with_its_purpose(plugin: Callable[..., Path]) -> None:
    place = plugin("Mine", "yield 0, (1, 'a')")
    below = plugin("Deeper", "yield 0, (1, 'a')", folder="mine/linux")
    assert below == place / "linux"
    found = {one.name: one.purpose for one in available([place])}
    assert found["mine.Mine"] == "Mine of a test."
    assert found["linux.deeper.Deeper"] == "Deeper of a test."


def test_a_plans_folder_beside_it_is_listed_and_one_that_is_not_there_is_refused(
    plugin: Callable[..., Path], tmp_path: Path
) -> None:
    plugin("Mine", "yield 0, (1, 'a')")
    plan = tmp_path / "mine.yaml"
    plan.write_text("name: mine\nplugin_folders: [mine]\n")
    ended = CliRunner().invoke(app, ["plugins", "--json", "--plan", str(plan)])
    assert "mine.Mine" in {one["name"] for one in json.loads(ended.stdout)}
    plan.write_text("name: mine\nplugin_folders: [others]\n")
    with pytest.raises(UsageError, match="plugin folder is not there"):
        _ = load(str(plan)).folders
