"""A case on disk: opened whole or not at all, re-hashed when used, closed and reopened with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forensics.casefile import LEDGER, Case, list_cases, open_case
from forensics.errors import CaseError, IntegrityError, UsageError
from forensics.hashing import hash_bytes
from forensics.model import Examiner
from forensics.provenance import without_secrets
from tests.casework import EXAMINER, check, enter_one, new_case, program, strace, writable

OPEN = """
import sys, pathlib
from tests.casework import new_case
new_case(pathlib.Path(sys.argv[1]))
"""


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return new_case(tmp_path)


def test_the_first_event_is_the_case_itself(tmp_path: Path) -> None:
    warrant = tmp_path / "warrant.pdf"
    warrant.write_bytes(b"signed")
    case = open_case(
        tmp_path, "W-1", "Suspect", EXAMINER, "warrant 12", scope="web01", responsible="Rob", authority_document=warrant
    )
    facts = case.facts
    assert (facts["title"], facts["authority"], facts["scope"], facts["responsible"]) == (
        "Suspect", "warrant 12", "web01", "Rob",
    )  # fmt: skip
    assert facts["authority_document"] == str(hash_bytes(b"signed"))
    actor = case.events()[0].actor
    assert (actor.name, actor.organisation, actor.key) == ("Ann Examiner", "Example Lab", "SHA256:key")
    assert actor.account
    assert actor.host
    assert Case.load(tmp_path, "W-1").id == case.id


def test_nobody_else_may_look_into_the_folder(case: Case) -> None:
    for path in (case.folder, *(case.folder / name for name in ("exhibits", "seals", "work"))):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (case.folder / LEDGER).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", ["", "..", "a/b", ".hidden", "-x", "é", "a b", "x" * 65, "a\n"])
def test_a_number_that_is_no_plain_name_is_refused(tmp_path: Path, number: str) -> None:
    with pytest.raises(UsageError, match="not a case number"):
        new_case(tmp_path, number)
    assert not (tmp_path / "cases").exists()


def test_an_existing_case_is_not_opened_over(case: Case) -> None:
    root = case.folder.parents[1]
    before = (case.folder / LEDGER).read_bytes()
    with pytest.raises(CaseError, match="exists already"):
        new_case(root)
    (root / "cases" / "link").symlink_to(root / "nowhere")
    with pytest.raises(CaseError, match="exists already"):
        new_case(root, "link")
    assert (case.folder / LEDGER).read_bytes() == before


def test_a_case_is_opened_whole_or_not_at_all(tmp_path: Path) -> None:
    kills = 0
    for call in ("mkdir,mkdirat", "write", "fsync", "rename,renameat,renameat2"):
        for step in range(1, 30):
            root = tmp_path / f"{call}-{step}"
            root.mkdir()
            done = program(OPEN, str(root), under=strace(f"{call}:signal=KILL:when={step}"))
            if done.returncode == 0:
                break
            kills += 1
            if not list(list_cases(root)):
                new_case(root)  # a broken opening is in nobody's way
            assert check(root / "cases" / "2026-0001")
    assert kills >= 8


def test_a_case_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="no such case") as caught:
        Case.load(tmp_path, "2026-0001")
    assert caught.value.remedy


def test_another_examiner_acts_under_his_own_name(case: Case) -> None:
    other = Case.load(case.folder.parents[1], case.number, Examiner("Bob"))
    assert other.close("done").actor.name == "Bob"
    assert Case.load(case.folder.parents[1], case.number).reopen("more came up").actor.name == "Ann Examiner"


def test_a_closed_case_is_refused_until_it_is_reopened(case: Case) -> None:
    case.close("report delivered")
    with pytest.raises(CaseError, match="closed") as caught:
        Case.load(case.folder.parents[1], case.number).require_open()
    assert "reopen" in caught.value.remedy
    with pytest.raises(CaseError, match="closed already"):
        case.close("again")
    case.reopen("an error was found")
    case.require_open()
    with pytest.raises(CaseError, match="is open"):
        case.reopen("again")


def test_two_readers_see_each_others_events(case: Case) -> None:
    other = Case.load(case.folder.parents[1], case.number)
    exhibit = enter_one(case)
    assert other.exhibit("E0001") == exhibit
    with pytest.raises(CaseError, match="no such exhibit"):
        other.exhibit("E0002")


def _changed(path: Path) -> None:
    writable(path).write_bytes(b"[]\n")
    path.chmod(0o400)


def _same_time(path: Path) -> None:
    status = path.stat()
    _changed(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _cut(path: Path) -> None:
    os.truncate(writable(path), 1)
    path.chmod(0o400)


def _linked(path: Path) -> None:
    path.rename(path.parents[1] / "work" / "moved")
    path.symlink_to(path.parents[1] / "work" / "moved")


@pytest.mark.parametrize(
    "damage",
    [_changed, _same_time, _cut, _linked, Path.unlink, lambda path: path.chmod(0o644), lambda path: path.chmod(0o600)],
    ids=["changed", "changed with its old times", "cut", "symlink", "gone", "readable by all", "writable"],
)
def test_an_exhibit_that_is_not_as_entered_is_refused_even_when_it_was_checked_before(
    case: Case, damage: object
) -> None:
    exhibit = enter_one(case)
    case.check(exhibit)
    assert callable(damage)
    damage(case.path(exhibit))
    with pytest.raises(IntegrityError) as caught:
        case.check(exhibit)
    assert "E0001" in caught.value.where
    result = check(case.folder)
    assert result.code == 4
    assert all("E0001" in one.where for one in result.problems)


def test_an_unchanged_exhibit_is_read_once(case: Case) -> None:
    exhibit = enter_one(case, "large", bytes(50_000_000))
    case.check(exhibit)
    before = _bytes_read()
    for _ in range(10):
        case.check(exhibit)
    assert _bytes_read() - before < 50_000_000


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))


def test_secrets_on_a_command_line_are_not_recorded() -> None:
    argv = ["run", "--sudo-password", "hunter2", "--token=abc", "--sudo-password-fd", "3", "--plan", "x"]
    shown = ("run", "--sudo-password", "[removed]", "--token=[removed]", "--sudo-password-fd", "3", "--plan", "x")
    assert without_secrets(argv) == shown
