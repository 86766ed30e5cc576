"""The loop around every stage: what is done once, what is resumed, what is refused, and what the ledger says of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.casefile import LEDGER, Case
from forensics.errors import CaseError, IntegrityError, Refused, StageFailed
from forensics.events import Action, Event, State
from forensics.host import Gone
from forensics.locks import idle, worker
from forensics.model import Draft, Outcome, Result
from forensics.pipeline import Run
from forensics.progress import Silent
from forensics.recorder import LedgerRecorder
from forensics.stage import Desk, Entered, stage
from tests.casework import check, new_case, program, writable
from tests.workstages import Choice, Machine, Made, Worked, survey, work

KILLED = "import sys; from tests.workstages import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORENSICS_TEST", str(tmp_path))
    new_case(tmp_path)
    return tmp_path


def order(root: Path, **what: str) -> None:
    for name in ("kill", "fail", "break", "refuse", "interrupt", "damage"):
        (root / name).unlink(missing_ok=True)
    for name, item in what.items():
        (root / name).write_text(item)


def touched(root: Path) -> list[str]:
    path = root / "touched"
    return path.read_text().split() if path.exists() else []


def case_of(root: Path) -> Case:
    return Case.load(root, "2026-0001")


def ends(root: Path, stage: str) -> list[Event]:
    return [one for one in case_of(root).events() if one.action is Action.STAGE_ENDED and one.stage == stage]


def sound(root: Path) -> None:
    result = check(root / "cases" / "2026-0001")
    assert result, result.problems


def numbers(done: Worked) -> list[str]:
    return [one.number for made in (done.survey, done.image, done.live, done.analysis) for one in made.exhibits]


def test_every_stage_leaves_its_start_its_exhibits_its_items_and_its_end(root: Path) -> None:
    done = work(root)
    assert numbers(done) == ["E0001", "E0002", *[f"E{one:04d}" for one in range(3, 9)], "D0001", "D0002", "D0003"]
    own = [one for one in case_of(root).events() if one.stage == "collect"]
    assert [one.action for one in own] == [
        Action.STAGE_STARTED, *[Action.EXHIBIT_ENTERED, Action.EXHIBIT_ENTERED, Action.ITEM_ENDED] * 3,
        Action.STAGE_ENDED,
    ]  # fmt: skip
    start, end = own[0], own[-1]
    assert [one.exhibit for one in start.materials] == ["E0001"]
    assert [one.exhibit for one in end.products] == [f"E{one:04d}" for one in range(3, 9)]
    assert (start.outcome, end.outcome, end.attempt) == (State.STARTED, State.FINISHED, 1)
    assert start.details["boot_id"] == "boot-1"
    assert [one.outcome for one in done.live.results] == [Outcome.DONE, Outcome.DONE, Outcome.ABSENT]
    assert [one.short for one in done.run.steps if one.stage == "collect"] == [("lynis: absent, not installed",)]
    assert sorted(one.name for one in (root / "cases" / "2026-0001" / "work").iterdir()) == [".case.lock", "web01.lock"]
    sound(root)


def test_a_second_run_does_nothing_on_the_target_adds_nothing_and_says_so(root: Path) -> None:
    first = work(root)
    before = touched(root), (root / "cases" / "2026-0001" / LEDGER).read_bytes()
    second = work(root)
    assert (touched(root), (root / "cases" / "2026-0001" / LEDGER).read_bytes()) == before
    assert (second.live, second.analysis) == (first.live, first.analysis)
    assert [one.state for one in second.run.steps] == ["kept"] * 4
    assert any("collect: finished before" in one for one in second.words)


@pytest.mark.parametrize(
    ("item", "repeated"),
    [
        ("survey", ["survey"]),
        ("acquire", ["acquire"]),
        ("processes", ["processes"]),
        ("sockets", ["sockets"]),
        ("analyse sockets", []),
    ],
)
def test_a_run_that_was_killed_goes_on_where_it_stopped(root: Path, item: str, repeated: list[str]) -> None:
    order(root, kill=item)
    assert program(KILLED, str(root)).returncode == -signal.SIGKILL
    before = case_of(root).exhibits()
    assert check(root / "cases" / "2026-0001").code == 5, "a stage has no end"
    order(root)
    done = work(root)
    assert sorted(touched(root)) == sorted(["survey", "acquire", "processes", "sockets", "lynis", *repeated])
    assert case_of(root).exhibits()[: len(before)] == before, "what was entered stays"
    stage = item.split(maxsplit=1)[0] if item.split(maxsplit=1)[0] in {"survey", "acquire", "analyse"} else "collect"
    assert [one.outcome for one in ends(root, stage)] == [State.INTERRUPTED, State.FINISHED]
    assert [one.item for one in done.live.results] == ["processes", "sockets", "lynis"]
    assert [one.item for one in done.analysis.results] == ["processes", "sockets", "lynis"]
    sound(root)


def test_a_resumed_stage_gives_no_half_of_an_item_twice(root: Path) -> None:
    order(root, kill="sockets")
    program(KILLED, str(root))
    order(root)
    done = work(root)
    titles = [one.title for one in done.live.exhibits]
    assert sorted(titles) == sorted(["processes", "sockets", "lynis"] * 2)
    assert sum(one.stage == "collect" and one.item == "sockets" for one in case_of(root).exhibits()) == 3


def test_part_of_an_image_is_entered_and_other_debris_listed(root: Path) -> None:
    order(root, kill="acquire")
    program(KILLED, str(root))
    order(root)
    done = work(root)
    case = case_of(root)
    partial = next(one for one in case.exhibits() if one.kind == "partial-image")
    assert case.path(partial).read_bytes() == b"EMiL of web01"
    assert partial not in done.image.exhibits
    assert [one.kind for one in done.image.exhibits] == ["memory-image"]
    debris = next(one for one in case.events() if one.action is Action.DEBRIS_LISTED)
    assert "scratch.tmp" in str(debris.details)
    sound(root)


@pytest.mark.parametrize(
    ("what", "error", "outcome"),
    [
        ("fail", StageFailed, State.FAILED),
        ("break", ZeroDivisionError, State.FAILED),
        ("refuse", StageFailed, State.FAILED),
        ("interrupt", KeyboardInterrupt, State.INTERRUPTED),
        ("damage", IntegrityError, State.FAILED),
    ],
)
def test_a_stage_that_breaks_says_how_and_is_taken_up_again(
    root: Path, what: str, error: type[BaseException], outcome: State
) -> None:
    order(root, **{what: "sockets"})
    with pytest.raises(error):
        work(root)
    (end,) = ends(root, "collect")
    assert end.outcome is outcome
    assert end.reason
    if what == "refuse":
        assert "where: /mnt/evidence; why: Read-only file system" in end.reason
    if what == "fail":
        assert end.reason == "it did not work; where: sockets; why: it was told to fail; do: try again"
    if error is ZeroDivisionError:
        assert "ZeroDivisionError" in end.reason
    sound(root)
    order(root)
    work(root)
    assert touched(root).count("processes") == 1
    sound(root)


def test_another_boot_is_refused_with_both_boot_ids_until_a_new_attempt_is_asked_for(root: Path) -> None:
    order(root, fail="sockets")
    with pytest.raises(StageFailed):
        work(root)
    order(root)
    (root / "boot").write_text("boot-2")
    with pytest.raises(Refused) as caught:
        work(root)
    assert "boot-1" in str(caught.value)
    assert "boot-2" in str(caught.value)
    assert "--new-attempt" in caught.value.remedy
    assert caught.value.exit_code == 7
    assert any("boot-2" in one.reason for one in case_of(root).events()), "the ledger says the same"
    done = work(root, "the owner rebooted it")
    assert [one.attempt for one in ends(root, "survey")] == [1, 2]
    assert touched(root).count("processes") == 2, "another boot is other evidence"
    opened = next(one for one in case_of(root).events() if one.action is Action.ATTEMPT_OPENED)
    assert (opened.reason, opened.attempt) == ("the owner rebooted it", 2)
    assert len({one.number for one in case_of(root).exhibits()}) == len(case_of(root).exhibits())
    assert done.survey.exhibits[0].sequence > opened.sequence
    before = touched(root)
    work(root)
    assert touched(root) == before
    sound(root)


def test_other_settings_do_not_touch_the_target_again_but_make_again_what_is_derived(root: Path) -> None:
    work(root)
    before = touched(root)
    done = work(root, choice=Choice(("processes", "sockets")))
    assert touched(root) == before
    assert [one.item for one in done.live.results] == ["processes", "sockets", "lynis"]
    assert [one.item for one in done.analysis.results] == ["processes", "sockets"]
    assert any("--new-attempt" in one for one in done.words)


def test_a_stage_that_was_ended_halfway_does_not_ask_again_with_other_settings(root: Path) -> None:
    order(root, fail="sockets")
    with pytest.raises(StageFailed):
        work(root)
    order(root)
    before = touched(root)
    with pytest.raises(Refused, match="processes") as caught:
        work(root, choice=Choice(("processes", "lynis")))
    assert caught.value.exit_code == 7
    assert touched(root) == before
    work(root)
    assert touched(root).count("processes") == 1
    sound(root)


def test_a_case_goes_on_without_a_target_that_is_gone_and_keeps_what_came_before(root: Path) -> None:
    order(root, fail="sockets")
    with pytest.raises(StageFailed):
        work(root)
    order(root)
    before = touched(root)
    for _ in range(2):
        done = work(root, gone=Gone("its disk was wiped"))
    assert touched(root) == before
    assert {one.item: one.outcome for one in done.live.results} == {
        "processes": Outcome.DONE,
        "sockets": Outcome.NOT_RUN,
        "lynis": Outcome.NOT_RUN,
    }
    assert "its disk was wiped" in done.live.results[-1].reason
    (deviation,) = [one for one in case_of(root).events() if one.action is Action.DEVIATION]
    assert deviation.deviation
    assert deviation.reason == "its disk was wiped"
    sound(root)


def test_a_case_is_not_closed_under_a_run_nor_worked_while_it_is_closed(root: Path) -> None:
    case = case_of(root)
    with worker(case, "web01"), pytest.raises(CaseError, match="a run works on the case"), idle(case):
        pass
    with idle(case), pytest.raises(CaseError, match="being closed"):
        work(root)
    with idle(case):
        case.close("done")
    with pytest.raises(CaseError, match="closed"):
        work(root)


def test_one_changed_byte_in_an_exhibit_or_a_line_stops_the_run(root: Path) -> None:
    done = work(root)
    case = case_of(root)
    path = case.path(done.image.exhibits[0])
    writable(path).write_bytes(b"EMiL of web02")
    path.chmod(0o400)
    with pytest.raises(IntegrityError, match="E0002"):
        work(root)
    writable(path).write_bytes(b"EMiL of web01")
    path.chmod(0o400)
    work(root)
    ledger = root / "cases" / "2026-0001" / LEDGER
    ledger.write_bytes(ledger.read_bytes().replace(b"boot-1", b"boot-9", 1))
    with pytest.raises(IntegrityError, match="line"):
        work(root)


def test_a_second_worker_on_the_same_target_is_refused(root: Path) -> None:
    case = case_of(root)
    with worker(case, "web01"):
        with pytest.raises(CaseError, match="another run works on web01"):
            work(root)
        work(root, label="web02")
    work(root)
    sound(root)


def test_what_an_interrupted_run_left_on_the_target_is_taken_away_first(root: Path) -> None:
    order(root, fail="survey")
    with pytest.raises(StageFailed):
        work(root)
    asked: list[str] = []

    class Left(Machine):
        def restore(self) -> object:  # type: ignore[override]
            asked.append("restore")
            return iter(())

    case = case_of(root)
    order(root)
    with worker(case, "web01"):
        Run(case, LedgerRecorder(case, "web01"), Silent()).step(survey, Left(root))  # type: ignore[arg-type]
    assert asked


def test_two_targets_at_the_same_time_keep_their_work_apart(root: Path) -> None:
    order(root, kill="acquire")
    program(KILLED, str(root))
    order(root)
    work(root, label="web02")
    work(root)
    kinds = [(one.target, one.kind) for one in case_of(root).exhibits()]
    assert kinds.count(("web01", "partial-image")) == 1
    assert kinds.count(("web02", "partial-image")) == 0
    sound(root)


def nothing(_entered: Entered) -> Made:
    raise StageFailed("there is no image among what it left")


@stage(gives=nothing)
def hollow(desk: Desk) -> Iterator[Draft | Result]:
    """Say that all is well, and leave nothing."""
    del desk
    yield Result("image", Outcome.DONE)


def test_a_stage_without_its_product_is_not_finished_whatever_it_said(root: Path) -> None:
    case = case_of(root)
    with worker(case, "web01"), pytest.raises(StageFailed, match="no image"):
        Run(case, LedgerRecorder(case, "web01"), Silent()).step(hollow)
    (end,) = ends(root, "hollow")
    assert end.outcome is State.FAILED
    assert "no image" in end.reason
