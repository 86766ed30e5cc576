"""People's deeds: each an entry that names what it touched as it was, and none that says more than was looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensics import deeds
from forensics.casefile import Case
from forensics.errors import CaseError, IntegrityError, UsageError
from forensics.events import Action
from tests.casework import check, enter_one, new_case, writable
from tests.test_cli import OPENING, run, told


@pytest.fixture
def case(tmp_path: Path) -> Case:
    made = new_case(tmp_path)
    enter_one(made, "first.json", b"first")
    enter_one(made, "second.json", b"second")
    return made


def test_a_transfer_has_two_sides_and_the_second_names_the_first(case: Case) -> None:
    given = deeds.give(case, ["E0001"], "Bob", purpose="analysis", medium="disk 77", place="Bern")
    assert [one.sequence for one in deeds.unanswered(case)] == [given.sequence]
    assert any("not acknowledged by Bob" in one for one in check(case.folder).notes)
    taken = deeds.take(case, given.sequence, "Bob", "Basel")
    assert taken.materials == given.materials
    assert (taken.details["answers"], taken.details["answered"]) == (given.sequence, given.digest)
    assert deeds.unanswered(case) == ()
    with pytest.raises(UsageError, match="acknowledged already"):
        deeds.take(case, given.sequence, "Bob")
    assert check(case.folder).notes == []


def test_what_arrives_changed_is_not_acknowledged(case: Case) -> None:
    given = deeds.give(case, [], "Bob", purpose="analysis", medium="disk 77")
    assert [one.exhibit for one in given.materials] == ["E0001", "E0002"]
    writable(case.folder / "exhibits" / "E0002-web01-second.json").write_bytes(b"Second")
    with pytest.raises(IntegrityError, match="not what was recorded"):
        deeds.take(Case.load(case.folder.parents[1], case.number), given.sequence, "Bob")
    assert len(deeds.unanswered(case)) == 1


@pytest.mark.parametrize("entry", [0, 1, 99])
def test_an_entry_that_is_no_transfer_cannot_be_acknowledged(case: Case, entry: int) -> None:
    with pytest.raises(UsageError, match="no transfer"):
        deeds.take(case, entry, "Bob")


def test_access_is_recorded_with_what_was_read_and_not_of_a_changed_exhibit(case: Case) -> None:
    event = deeds.access(case, ["E0001"], "read with vol 2.28", "Bob")
    assert [(one.exhibit, one.size) for one in event.materials] == [("E0001", 5)]
    assert event.details["who"] == "Bob"
    writable(case.folder / "exhibits" / "E0001-web01-first.json").write_bytes(b"First")
    before = len(case.events())
    with pytest.raises(IntegrityError):
        deeds.access(Case.load(case.folder.parents[1], case.number), ["E0001"], "again")
    assert len(case.events()) == before


def test_a_disposed_exhibit_is_no_longer_missed_and_no_longer_taken(case: Case) -> None:
    path = case.folder / "exhibits" / "E0001-web01-first.json"
    deeds.dispose(case, ["E0001"], "overwritten", "court order 9")
    assert path.exists(), "nothing here deletes evidence"
    assert any("still there" in one for one in check(case.folder).notes)
    path.unlink()
    result = check(case.folder)
    assert result
    assert any("cannot be checked any more" in one for one in result.notes)
    again = Case.load(case.folder.parents[1], case.number)
    assert [one.number for one in again.held()] == ["E0002"]
    with pytest.raises(CaseError, match="disposed"):
        again.check(again.exhibit("E0001"))


def test_a_closed_case_still_takes_deeds(case: Case) -> None:
    case.close("done")
    deeds.note(case, "returned the badge")
    assert case.closed
    assert case.events()[-1].action is Action.NOTE


@pytest.mark.parametrize(
    "words",
    [
        ("note", "--text", " "),
        ("note", "E0001", "--text", "no such exhibit"),
        ("deviation", "--text", "x", "--accepted-by", ""),
        ("transfer", "--purpose", "neither side"),
        ("transfer", "--to", "Bob", "--acknowledge", "1"),
        ("transfer", "--acknowledge", "1"),
        ("access", "--purpose", "no exhibit"),
        ("dispose", "E0001", "--how", "shredded"),
    ],
    ids=" ".join,
)
def test_a_deed_that_says_too_little_is_refused_and_leaves_no_entry(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run(tmp_path, "open", "2026-0042", *OPENING).returncode == 0
    done = run(tmp_path, words[0], "2026-0042", *words[1:])
    assert done.returncode in {1, 2}, done.stdout
    assert "Traceback" not in done.stderr
    assert len(told(tmp_path, "custody", "2026-0042")) == 1


def test_deeds_are_commands_with_words_and_json(tmp_path: Path) -> None:
    assert run(tmp_path, "open", "2026-0042", *OPENING).returncode == 0
    shown = run(tmp_path, "note", "2026-0042", "--text", "a \x1b[31mnote", "--by", "Bob Second")
    assert shown.stdout == "Entry 1 of case 2026-0042: note.\n"
    event: Any = told(tmp_path, "deviation", "2026-0042", "--text", "late", "--accepted-by", "Cy")
    assert (event["entry"], event["action"]) == (2, "deviation")
    log = told(tmp_path, "custody", "2026-0042")
    assert [one["actor"] for one in log] == ["Ada Examiner", "Bob Second", "Ada Examiner"]
    assert "\x1b" not in run(tmp_path, "custody", "2026-0042").stdout


def test_every_kind_of_entry_fits_the_published_schema(case: Case) -> None:
    from tests.test_ledger import SCHEMA, conform, lines  # noqa: PLC0415

    given = deeds.give(case, ["E0001"], "Bob", purpose="analysis", medium="disk 77")
    deeds.take(case, given.sequence, "Bob")
    deeds.note(case, "n", ["E0002"])
    deeds.deviate(case, "d", "Cy")
    deeds.access(case, ["E0002"], "p")
    deeds.dispose(case, ["E0002"], "h", "a")
    for line in lines(case):
        conform(json.loads(line), SCHEMA)
