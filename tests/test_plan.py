"""A plan is checked before any work: what is wrong with it is said, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics import plan
from forensics.collectors import collectors
from forensics.errors import UsageError
from forensics.volatility import available


@pytest.mark.parametrize("name", plan.names())
def test_every_plan_that_comes_with_the_program_can_be_used(name: str) -> None:
    loaded = plan.load(name)
    assert loaded.name == name
    assert loaded.description
    assert {one.item for one in loaded.analysis} <= {one.name for one in available()}


def test_the_full_plan_runs_every_collector() -> None:
    chosen = [one.name for group in plan.load("full").collection.groups for one in group]
    assert chosen == list(collectors())


def test_a_file_is_a_plan_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ncollectors:\n  - processes\n  - lynis: {limit: 60, groups: [kernel]}\n")
    (first,), (second,) = plan.load(str(path)).collection.groups
    assert (first.name, first.settings, second.settings) == ("processes", {}, {"limit": 60, "groups": ["kernel"]})


def test_a_plugin_may_run_more_than_once_with_other_arguments() -> None:
    words = "name: x\nplugins: [a.A, b.B: {pattern: one}, b.B: {pattern: two}, a.A]"
    told = [(one.item, dict(one.arguments)) for one in plan.read(words, "x.yaml").analysis]
    assert told == [("a.A", {}), ("b.B", {"pattern": "one"}), ("b.B~2", {"pattern": "two"})]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("collectors: [lynis, processes]", "processes is lost sooner than lynis"),
        ("collectors: [nothing]", "there is no 'nothing'; there are processes"),
        ("collectors: [processes, processes]", "twice"),
        ("collectors: [{together: [iostat, iostat]}]", "twice"),
        ("collectors: [{together: [processes, iostat]}]", "processes cannot run together"),
        ("collectors: [{block_io: {second: 3}}]", "no such setting: second"),
        ("collectors: [{block_io: {seconds: soon}}]", "seconds"),
        ("collectors: [{block_io: {seconds: -1}}]", "seconds: has to be more than 0"),
        ("colectors: []", "colectors"),
        ("collectors: [", "flow node"),
        ("[]", "dictionary"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said(words: str, why: str) -> None:
    with pytest.raises(UsageError) as told:
        plan.read(f"name: x\n{words}" if not words.startswith("[]") else words, "x.yaml")
    assert why in told.value.why
    assert told.value.where == "x.yaml"


def test_an_unknown_plan_names_those_that_there_are() -> None:
    with pytest.raises(UsageError) as told:
        plan.load("nowhere")
    assert "triage" in told.value.remedy
