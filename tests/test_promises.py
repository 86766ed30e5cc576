"""Promises that span several parts, each held by a small case of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from forensics.acquisition.record import ITEM
from forensics.casefile import Case
from forensics.course import STAGES, Summary, clear
from forensics.events import Action, Deed, State
from forensics.host import Change
from forensics.lime.format import header
from forensics.lime.receiving import Received, receive
from forensics.model import JSON, NotBuilt, Outcome, Result
from forensics.progress import Silent
from forensics.recorder import LedgerRecorder
from forensics.rendering import custody, overview, unfinished
from forensics.rendering.blocks import Grid
from forensics.rendering.gather import gather
from forensics.rendering.record import CaseRecord
from forensics.ssh import Secrets, connect
from forensics.stages.acquire import AcquireSettings, acquire
from tests import known
from tests.casework import new_case
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd
from tests.workstages import work


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORENSICS_TEST", str(tmp_path))
    new_case(tmp_path)
    return tmp_path


def gathered(case: Case) -> CaseRecord:
    return gather(case.folder, case.facts, case.exhibits(), case.ledger.path.read_bytes())


def collected(case: Case, attempt: int, outcome: str = "done") -> None:
    """Put a collection with one item on record."""
    started: dict[str, JSON] = {"key": "k", "resumes": False, "boot_id": "b", "release": "6.1"}
    item: dict[str, JSON] = {"item": "sockets", "outcome": outcome, "facts": {}}
    told: tuple[tuple[Action, State, dict[str, JSON]], ...] = (
        (Action.STAGE_STARTED, State.STARTED, started),
        (Action.ITEM_ENDED, State.FINISHED, item),
        (Action.STAGE_ENDED, State.FINISHED, {}),
    )
    for action, state, details in told:
        case.append(Deed(action, "", "web01", "collect", attempt, outcome=state, details=details))


def unfinished_rows(record: CaseRecord) -> list[str]:
    block = next(one for one in custody.incomplete(record).blocks if isinstance(one, Grid))
    return [json.dumps([str(cell) for cell in row]) for row in block.rows]


def test_the_report_does_not_show_one_attempts_live_evidence_beside_anothers_image(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    collected(case, 1)
    assert [one.item for one in gathered(case).targets[0].results["collect"]] == ["sockets"]
    case.append(Deed(Action.ATTEMPT_OPENED, "it was rebooted", "web01", attempt=2))
    assert gathered(case).targets[0].results == {}
    collected(case, 2, "failed")
    assert [str(one.outcome) for one in gathered(case).targets[0].results["collect"]] == ["failed"]


def test_the_exhibits_of_an_earlier_attempt_stay_listed_and_are_not_the_targets_last(root: Path) -> None:
    work(root)
    case = Case.load(root, "2026-0001")
    before = len(case.exhibits())
    case.append(Deed(Action.ATTEMPT_OPENED, "it was rebooted", "web01", attempt=2))
    record = gathered(case)
    assert len(record.exhibits) == before
    assert record.targets[0].exhibits == ()
    assert record.targets[0].one("memory-image") is None


def test_a_report_of_a_case_that_was_stopped_early_does_not_say_that_all_was_done(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    collected(case, 1)
    rows = "\n".join(unfinished_rows(gathered(case)))
    assert "acquire" in rows
    assert "not run" in rows
    assert '"collect"' not in rows


def test_a_step_without_an_end_is_listed_as_one(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    started: dict[str, JSON] = {"key": "k", "resumes": False, "boot_id": "b", "release": "6.1"}
    case.append(Deed(Action.STAGE_STARTED, "", "web01", "acquire", 1, outcome=State.STARTED, details=started))
    found = {(step, outcome) for _, step, _, outcome, _ in unfinished.steps(gathered(case))}
    assert ("acquire", "no end") in found
    assert ("acquire", "not run") not in found


def test_the_steps_that_a_report_looks_for_are_those_of_the_course() -> None:
    assert (*unfinished.ORDER, "report") == STAGES
    assert tuple(overview.STAGES) == (*STAGES, "sign")  # the report is signed by a command of its own


def test_a_stage_that_is_resumed_after_a_whole_image_takes_no_second_one(tmp_path: Path, sshd: Sshd) -> None:
    recorder = MemoryRecorder()
    desk = replace(known.desk(tmp_path, "acquire"), results={ITEM: Result(ITEM, Outcome.DONE)})
    host = connect(sshd.target(), recorder, Secrets())
    given = acquire.work(desk, host, known.facts(), NotBuilt((), "a test"), AcquireSettings())
    assert list(given) == []
    assert recorder.events == []


def test_an_image_interrupted_where_a_range_ends_is_not_whole(tmp_path: Path) -> None:
    first, *_ = known.RAM

    class Interrupted(Silent):
        @contextmanager
        def task(self, title: str, total: int | None = None, unit: str = "bytes") -> Iterator[Callable[[int], None]]:
            del title, total, unit

            def came(_count: int) -> None:
                raise KeyboardInterrupt

            yield came

    class One:
        def read(self, size: int = 1 << 20) -> bytes:
            del size
            return header(first) + bytes(first.size)

    received = Received()
    with pytest.raises(KeyboardInterrupt):
        receive(One(), tmp_path / "memory.lime", received, 0, Interrupted())
    assert received.size == 32 + first.size
    assert received.reason == "it was interrupted"


def test_what_was_left_on_the_target_is_taken_away_by_the_next_run(tmp_path: Path, sshd: Sshd) -> None:
    left = tmp_path / "left"
    left.mkdir()
    case = new_case(tmp_path)
    recorder = LedgerRecorder(case, "loopback")
    recorder.intend(Change("folder", str(left), ("rm", "-rf", "--", str(left)), ("test", "!", "-e", str(left))))
    host = connect(sshd.target(), recorder, Secrets())
    clear(host, recorder, Silent())
    host.close()
    assert not left.exists()
    assert recorder.dangling() == ()


def test_a_run_that_left_something_on_the_target_is_not_complete() -> None:
    assert Summary((), (), None, (), stopped_early=False).complete
    assert not Summary((), (), None, (), stopped_early=False, left=("module lime",)).complete
