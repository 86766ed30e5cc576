"""How a file becomes an exhibit: killed anywhere, on a full disk, with fsync failing, with strangers about."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.casefile import LEDGER, Case, open_case
from forensics.errors import CaseError, IntegrityError, StageFailed
from forensics.events import Action, State
from forensics.hashing import hash_bytes
from forensics.intake import enter, find_strangers, settle
from forensics.model import Draft, Role
from tests.casework import EXAMINER, PLACE, check, draft, enter_one, new_case, note, program, strace
from tests.sshd import skip

CALLS = ("write", "fsync", "fchmod", "link,linkat", "unlink,unlinkat")
ENTER = """
import sys, pathlib
from forensics.casefile import Case
from forensics.errors import ForensicsError
from tests.casework import enter_one
try:
    enter_one(Case.load(pathlib.Path(sys.argv[1]), "2026-0001"), "second.json", b"second")
except ForensicsError as problem:
    sys.exit(f"{type(problem).__name__}: {problem}")
"""


@pytest.fixture
def case(tmp_path: Path) -> Case:
    made = new_case(tmp_path)
    enter_one(made, "first.json", b"first")
    return made


def test_an_exhibit_is_read_only_numbered_by_role_and_as_on_disk(case: Case) -> None:
    module = enter_one(case, "lime.ko", b"ELF", Role.INSTRUMENT)
    again = enter_one(case, "iomem.txt", b"RAM")
    assert [one.number for one in case.exhibits()] == ["E0001", "I0001", "E0002"]
    assert case.path(module).name == "I0001-web01-lime.ko"
    assert case.path(module).stat().st_mode & 0o7777 == 0o400
    assert again.digest == hash_bytes(b"RAM")
    assert again.facts == {"rate": 93.25, "rows": 2}
    assert case.load(case.folder.parents[1], case.number).exhibits() == case.exhibits()
    assert not list((case.folder / "work").iterdir())
    assert check(case.folder)


def test_a_disk_that_does_not_hold_what_passed_by_is_found(case: Case) -> None:
    one = draft(case, "image.lime", b"what the disk kept")
    received = Draft(one.path, one.role, one.kind, one.title, digest=hash_bytes(b"what passed by"))
    with pytest.raises(IntegrityError, match="what was received"):
        enter(case, received, PLACE)
    assert one.path.exists()
    assert len(case.exhibits()) == 1


def test_a_symlink_is_not_entered(case: Case) -> None:
    link = case.folder / "work" / "link"
    link.symlink_to("/etc/hostname")
    with pytest.raises(IntegrityError, match="cannot be read"):
        enter(case, Draft(link, Role.EVIDENCE, "facts", ""), PLACE)


@pytest.mark.parametrize("name", ["../E", "a/b", ".hidden", "-rf", "a b", "é", "x" * 200])
def test_a_name_that_is_no_plain_name_is_a_fault_of_ours(case: Case, name: str) -> None:
    one = draft(case)
    with pytest.raises(ValueError, match="not a file name"):
        enter(case, Draft(one.path, one.role, one.kind, one.title, name), PLACE)


def test_killed_at_any_step_nothing_is_lost_and_nothing_is_half_entered(tmp_path: Path) -> None:
    """Rows F1 and F2: each number of a system call, until the program is no longer hit."""
    kills = recovered = 0
    for call in CALLS:
        for step in range(1, 30):
            root = tmp_path / f"{call}-{step}"
            enter_one(new_case(root), "first.json", b"first")
            done = program(ENTER, str(root), under=strace(f"{call}:signal=KILL:when={step}"))
            if done.returncode == 0:
                break
            kills += 1
            recovered += _after_the_kill(root)
    assert kills >= 14, "fewer steps than an entry has"
    assert recovered >= 1, "no kill fell between the rename and the event"


def _after_the_kill(root: Path) -> bool:
    folder = root / "cases" / "2026-0001"
    assert check(folder).code in {0, 5}, check(folder).problems
    case = Case.load(root, "2026-0001")
    for exhibit in case.exhibits():
        case.check(exhibit)
    settle(case)
    find_strangers(case)
    assert check(folder), check(folder).problems
    work = folder / "work" / "second.json"
    if len(case.exhibits()) == 1:  # the file still is where the stage left it, and can be entered
        if work.exists() and work.stat().st_size:
            assert enter(case, Draft(work, Role.EVIDENCE, "facts", ""), PLACE).number == "E0002"
        return False
    assert not work.exists()
    assert case.exhibits()[1].digest == hash_bytes(b"second")
    assert case.exhibits()[1].facts == {"rate": 93.25, "rows": 2}
    event = case.events()[-1]
    if event.outcome is State.RECOVERED:
        assert event.action is Action.EXHIBIT_ENTERED
        assert event.deviation is not None
        return True
    return False


def test_the_numbers_have_no_gap_after_a_kill(case: Case) -> None:
    root = case.folder.parents[1]
    program(ENTER, str(root), under=strace("link,linkat:signal=KILL:when=1"))
    assert enter_one(case, "third.json", b"third").number == "E0002"


@pytest.mark.parametrize("number", range(1, 9))
def test_a_failed_fsync_gives_no_entry_that_was_told_to_be_one(case: Case, number: int) -> None:
    """Row F6, at each fsync of an entry."""
    root = case.folder.parents[1]
    done = program(ENTER, str(root), under=strace(f"fsync:error=EIO:when={number}"))
    told = done.returncode == 0
    again = Case.load(root, case.number)
    settle(again)
    find_strangers(again)
    assert check(case.folder), check(case.folder).problems
    assert len(again.exhibits()) == 2 or not told


def test_a_failed_fsync_of_the_file_says_what_and_where(case: Case) -> None:
    done = program(ENTER, str(case.folder.parents[1]), under=strace("fsync:error=EIO:when=1"))
    assert "StageFailed: a file could not be made durable; where:" in done.stderr
    assert "second.json" in done.stderr
    assert "Input/output error" in done.stderr


def test_a_file_that_nobody_entered_stops_the_case(case: Case) -> None:
    (case.folder / "exhibits" / "E0002-web01-planted.txt").write_text("planted")
    with pytest.raises(IntegrityError, match="nobody entered"):
        find_strangers(case)
    assert check(case.folder).code == 4


def test_a_file_swapped_while_it_was_being_entered_is_found(case: Case) -> None:
    root = case.folder.parents[1]
    program(ENTER, str(root), under=strace("unlink,unlinkat:signal=KILL:when=1"))
    orphan = case.folder / "exhibits" / "E0002-web01-second.json"
    orphan.chmod(0o600)
    orphan.write_bytes(b"forged")
    with pytest.raises(IntegrityError, match="another now"):
        settle(Case.load(root, case.number))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", place], check=False, capture_output=True
        ).returncode
    ):
        skip("a small tmpfs can be mounted by root only")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(path: Path) -> None:
    """Write until the disk has no room left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


def write_notes(case: Case, count: int) -> None:
    for _ in range(count):
        note(case, "y" * 900)


@pytest.mark.root
def test_a_full_disk_keeps_what_was_entered_and_says_so(small_disk: Path) -> None:
    """Rows F7 and F8 on a real file system: the ledger cannot grow, nothing is half-written."""
    case = open_case(small_disk, "2026-0001", "Full disk", EXAMINER, "warrant 12")
    enter_one(case, "first.json", b"first")
    pending = draft(case, "second.json", b"second")
    fill(case.folder / "work" / "ballast")
    with pytest.raises(CaseError, match="could not be written"):
        write_notes(case, 9)  # more than what is left of the ledger's last page
    before = (case.folder / LEDGER).read_bytes()
    assert before.endswith(b"\n")
    with pytest.raises((CaseError, StageFailed), match="No space"):
        enter(Case.load(small_disk, case.number), pending, PLACE)
    assert (case.folder / LEDGER).read_bytes() == before
    (case.folder / "work" / "ballast").unlink()
    again = Case.load(small_disk, case.number)
    settle(again)
    if len(again.exhibits()) == 1:
        enter(again, pending, PLACE)
    assert check(case.folder)
