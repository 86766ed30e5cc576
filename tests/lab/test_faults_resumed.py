"""A case whose run is killed stage after stage, and a target that is booted anew in between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forensics.lab import labs
from forensics.lab.recipe import Recipe
from forensics.lab.state import Lab
from tests.lab.watching import look, ours
from tests.lab.workstation import CaseFolder, Workstation, in_session, kill_when, until

pytestmark = [pytest.mark.lab, pytest.mark.faults, pytest.mark.timeout(2400)]

RUN = ("analyst@lab", "--plan", "lab")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Workstation:
    return Workstation(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def lab(desk: Workstation) -> Iterator[Lab]:
    with labs.booted(desk.root, "lab", Recipe(seed=8)) as up:
        yield up


def entered(case: CaseFolder, stage: str) -> list[str]:
    events = case.events
    return [
        one["products"][0]["exhibit"] for one in events if (one["action"], one["stage"]) == ("exhibit entered", stage)
    ]


def ended_items(case: CaseFolder, stage: str) -> list[str]:
    events = case.events
    return [one["details"]["item"] for one in events if (one["action"], one["stage"]) == ("item ended", stage)]


def test_a_case_that_is_killed_in_collect_and_in_analyse_is_worked_to_its_end(desk: Workstation, lab: Lab) -> None:
    case = desk.open_case("killed-twice")
    before = look(lab)
    kept: dict[str, list[str]] = {}
    sessions = []
    for stage, items in (("collect", 5), ("analyse", 4)):
        with desk.begin("run", "killed-twice", *RUN, secret=lab.password) as running:
            kill_when(running, lambda stage=stage, items=items: len(ended_items(case, stage)) >= items, 1200)  # type: ignore[misc]
            sessions.append(running.pid)
        kept[stage] = entered(case, stage)
        assert desk.forensics("verify", "killed-twice").code == 5  # a stage was started, and has no end
    last = desk.forensics("run", "killed-twice", *RUN, secret=lab.password)
    case.ended_well(last)
    for stage, numbers in kept.items():
        assert numbers
        assert entered(case, stage)[: len(numbers)] == numbers
        assert [outcome for outcome, _ in case.ends(stage)] == ["interrupted", "finished"]
        done = ended_items(case, stage)
        assert len(done) == len(set(done)), "an item was done twice"
    assert [outcome for outcome, _ in case.ends("acquire")] == ["finished"]
    assert desk.forensics("verify", "killed-twice").code == 0
    after = look(lab)
    assert ours(before, after) == []
    assert [
        part for part in ("mounts", "modules", "settings", "tracing", "programs") if before[part] != after[part]
    ] == []
    assert [words for session in sessions for words in in_session(session)] == []


def test_a_trace_that_is_killed_leaves_the_target_as_it_was(desk: Workstation, lab: Lab) -> None:
    case = desk.open_case("killed-trace")
    before = look(lab)
    with desk.begin("run", "killed-trace", *RUN, "--until", "collect", secret=lab.password) as running:
        until(lambda: "users" in ended_items(case, "collect"), 1200, running)
        kill_when(running, lambda: "blktrace" in " ".join(look(lab)["programs"]))
    last = desk.forensics("run", "killed-trace", *RUN, "--until", "collect", secret=lab.password)
    assert last.code == 0, last.err
    assert case.items("collect")["block_io"][0] == "done"
    after = look(lab)
    assert ours(before, after) == []
    assert [
        part for part in ("mounts", "modules", "settings", "tracing", "programs") if before[part] != after[part]
    ] == []


def test_a_target_that_was_booted_anew_is_refused_until_a_new_attempt_is_asked_for(
    desk: Workstation, lab: Lab
) -> None:  # fmt: skip
    case = desk.open_case("rebooted")
    first = labs.boot_id(lab)
    assert desk.forensics("run", "rebooted", *RUN, "--until", "symbols", secret=lab.password).code == 0
    labs.reboot(lab)
    second = labs.boot_id(lab)
    assert first != second
    refused = desk.forensics("run", "rebooted", *RUN, secret=lab.password)
    assert refused.code == 7, refused.err
    assert first in refused.error["why"]
    assert second in refused.error["why"]
    assert "--new-attempt" in refused.error["do"]
    outcome, reason = case.ends("acquire")[-1]
    assert outcome == "refused"
    assert first in reason
    assert second in reason
    assert entered(case, "acquire") == []
    words = ("--until", "prove", "--new-attempt", "the machine was rebooted by its owner")
    again = desk.forensics("run", "rebooted", *RUN, *words, secret=lab.password)
    assert again.code == 0, again.err
    (opened,) = [one for one in case.events if one["action"] == "attempt opened"]
    assert opened["reason"] == "the machine was rebooted by its owner"
    assert opened["deviation"]
    assert [outcome for outcome, _ in case.ends("survey")] == ["finished", "finished"]
    assert len(case.entered("memory-image")) == 1
    assert desk.forensics("verify", "rebooted").code == 0


def test_a_target_that_never_comes_back_does_not_hold_the_case_up(desk: Workstation) -> None:
    case = desk.open_case("gone")
    with labs.booted(desk.root, "lost", Recipe(seed=14)) as lost:
        words = ("analyst@lab:lost", "--plan", "lab")
        taken = desk.forensics("run", "gone", *words, "--until", "acquire", secret=lost.password)
        assert taken.code == 0, taken.err
        labs.down(desk.root, "lost")
        ended = desk.forensics("run", "gone", *words, "--target-gone", "it was switched off by its owner")
    assert ended.code == 3, ended.err
    assert {told[0] for told in case.items("collect").values()} == {"not run"}
    assert "not seen again" in case.items("prove")["proof"][1] or case.items("prove")["proof"][0] == "done"
    assert "done" in {told[0] for told in case.items("analyse").values()}
    assert case.ends("report")[-1][0] == "finished"
    (deviation,) = [one for one in case.events if one["action"] == "deviation"]
    assert deviation["reason"] == "it was switched off by its owner"
    assert desk.forensics("verify", "gone").code == 0


def test_what_a_case_holds_is_for_its_owner_alone(desk: Workstation) -> None:
    listed = [path for path in (desk.root / "cases").rglob("*") if not path.is_symlink()]
    assert [path for path in listed if path.stat().st_mode & 0o077 and path.parent != desk.root / "cases"] == []
