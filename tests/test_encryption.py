"""Memory at rest: encrypted at entry by the real `age`, both digests on record, plain bytes gone when not read."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forensics import encryption
from forensics.casefile import LEDGER, Case, open_case
from forensics.errors import CaseError, StageFailed, UsageError
from forensics.events import Action
from forensics.hashing import hash_bytes
from forensics.intake import enter, find_strangers, settle
from forensics.model import Draft, Exhibit, Outcome, Result, Role
from forensics.pipeline import Run
from forensics.progress import Silent
from forensics.recorder import LedgerRecorder
from forensics.stage import Desk, Entered, stage
from forensics.verify import Given, verify
from tests.casework import EXAMINER, PLACE, check, enter_one, program, strace
from tests.forgery import rewritten
from tests.test_cli import OPENING, run

IMAGE = b"EMiL" + b"a secret of the target" * 9999
ENTER = """
import sys, pathlib
from forensics.casefile import Case
from forensics.intake import enter
from forensics.model import Draft, Role
from tests.casework import PLACE
case = Case.load(pathlib.Path(sys.argv[1]), "2026-0001")
enter(case, Draft(case.folder / "work" / "memory.lime", Role.EVIDENCE, "memory-image", "Memory"), PLACE)
"""
READ = """
import sys, pathlib
from tests.test_encryption import case_of, taken, read_it
case = case_of(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_bytes())
read_it(case, taken(case), kill=True)
"""


@dataclass(frozen=True, slots=True)
class Given_:  # noqa: N801 - what a stage is given
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True, slots=True)
class How:
    kill: bool = False
    fail: bool = False


def results(entered: Entered) -> tuple[Result, ...]:
    return entered.results


@stage(gives=results)
def read(desk: Desk, image: Given_, how: How) -> Iterator[Draft | Result]:
    """Read the image."""
    (exhibit,) = image.exhibits
    if why := desk.withheld(exhibit):
        yield Result("read", Outcome.NOT_RUN, why, {"withheld": True})
        return
    path = desk.path(exhibit)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (IMAGE, 0o400)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    if how.kill:
        os.kill(os.getpid(), signal.SIGKILL)
    if how.fail:
        raise StageFailed("it broke")
    yield Result("read", Outcome.DONE, facts={"bytes": len(path.read_bytes())})


def case_of(root: Path, identity: bytes = b"") -> Case:
    case = Case.load(root, "2026-0001")
    case.identity = identity
    return case


def taken(case: Case) -> Exhibit:
    return next(one for one in case.exhibits() if one.kind == "memory-image")


def read_it(case: Case, image: Exhibit, *, kill: bool = False, fail: bool = False) -> tuple[Result, ...]:
    worker = Run(case, LedgerRecorder(case, "web01"), Silent())
    return worker.step(read, Given_((image,)), How(kill, fail))


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    return path


@pytest.fixture
def case(tmp_path: Path, identity: Path) -> Case:
    told = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True).stdout.strip()
    to = encryption.recipients([told])
    made = open_case(tmp_path, "2026-0001", "Encrypted", EXAMINER, "warrant 12", encrypt_to=to, second_digest="blake2b")
    (made.folder / "work" / "memory.lime").write_bytes(IMAGE)
    return made


def put(case: Case) -> Exhibit:
    path = case.folder / "work" / "memory.lime"
    return enter(case, Draft(path, Role.EVIDENCE, "memory-image", "Memory", digest=hash_bytes(IMAGE)), PLACE)


def clear(case: Case, secret: bytes = b"a secret") -> list[Path]:
    """Give the files of a case, and the copies of it in memory, in which the target's secret can be read."""
    places = (case.folder, encryption.places(case.folder, "web01")[0])
    files = [one for place in places for one in place.rglob("*") if one.is_file()]
    return [one for one in files if secret in one.read_bytes()]


def test_memory_is_encrypted_at_entry_and_both_digests_are_on_record(case: Case, identity: Path) -> None:
    exhibit = put(case)
    facts = enter_one(case)
    assert (case.path(exhibit).suffix, facts.plain, exhibit.plain) == (".age", None, hash_bytes(IMAGE))
    assert clear(case) == []
    assert [one.name for one in (case.folder / "work").iterdir()] == []
    opened = subprocess.run(["age", "-d", "-i", identity, case.path(exhibit)], check=True, capture_output=True).stdout
    assert opened == IMAGE
    sums = subprocess.run(["sha256sum", case.path(exhibit)], check=True, capture_output=True, text=True).stdout
    assert f"sha256:{sums[:64]}" == str(exhibit.digest)
    result = check(case.folder)
    assert result
    assert any("E0001 is encrypted" in one and str(exhibit.plain) in one for one in result.notes), "left open, and said"
    whole = verify(case.folder, given=Given(identity=identity))
    assert whole, whole.problems
    assert not any("is encrypted" in one for one in whole.notes)


def test_what_is_encrypted_is_held_against_its_digest_by_whoever_can_open_it(case: Case, identity: Path) -> None:
    put(case)
    other = identity.with_name("other")
    subprocess.run(["age-keygen", "-o", other], check=True, capture_output=True)
    assert verify(case.folder, given=Given(identity=other)).code == 6
    digest = str(hash_bytes(IMAGE)).encode()
    rewritten(case.folder / LEDGER, digest, str(hash_bytes(b"something else")).encode())
    assert check(case.folder)
    result = verify(case.folder, given=Given(identity=identity))
    assert [one.what for one in result.problems] == ["what is encrypted in it is off"]


def test_without_the_identity_a_stage_is_not_run_and_with_it_it_is_run_after_all(case: Case, identity: Path) -> None:
    image = put(case)
    (result,) = read_it(case, image)
    assert (result.outcome, "--age-identity" in result.reason) == (Outcome.NOT_RUN, True)
    again = case_of(case.folder.parents[1], identity.read_bytes())
    assert [one.outcome for one in read_it(again, image)][-1] is Outcome.DONE
    assert clear(case) == []
    assert identity.read_text().splitlines()[-1] not in (case.folder / LEDGER).read_text()
    with pytest.raises(StageFailed):
        read_it(again, image, fail=True)
    assert clear(case) == [], "nor after a failure"
    assert check(case.folder)


def test_a_plain_copy_that_a_kill_left_is_removed_by_the_next_run_which_says_so(case: Case, identity: Path) -> None:
    image = put(case)
    root = case.folder.parents[1]
    assert program(READ, str(root), str(identity)).returncode == -signal.SIGKILL
    assert len(clear(case)) == 1
    Run(case, LedgerRecorder(case, "web01"), Silent())
    assert clear(case) == []
    (told,) = [one for one in case.events() if one.action is Action.DEBRIS_LISTED]
    assert told.details["files"] == [image.path.name.removesuffix(".age")]


def test_an_identity_that_does_not_fit_says_so_and_leaves_nothing(case: Case, identity: Path) -> None:
    image = put(case)
    subprocess.run(["age-keygen", "-o", identity.with_name("other")], check=True, capture_output=True)
    with pytest.raises(CaseError, match="does not open"):
        read_it(case_of(case.folder.parents[1], identity.with_name("other").read_bytes()), image)
    assert clear(case) == []


@pytest.mark.parametrize("call", [pytest.param("fsync", marks=pytest.mark.faults), "link,linkat", "unlink,unlinkat"])
def test_killed_while_it_is_entered_memory_is_plain_or_encrypted_and_never_lost(
    tmp_path: Path, identity: Path, call: str
) -> None:
    told = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True).stdout.strip()
    for step in range(1, 30):
        root = tmp_path / str(step)
        case = open_case(root, "2026-0001", "Encrypted", EXAMINER, "warrant 12", encrypt_to=(told,))
        (case.folder / "work" / "memory.lime").write_bytes(IMAGE)
        done = program(ENTER, str(root), under=strace(f"{call}:signal=KILL:when={step}"))
        again = Case.load(root, case.number)
        settle(again)
        find_strangers(again)
        if again.exhibits():
            assert clear(again) == [], "what is encrypted is not there in clear as well"
        else:
            put(again)
        whole = verify(case.folder, given=Given(identity=identity))
        assert whole, whole.problems
        if done.returncode == 0:
            break
    assert step > 1


def test_a_recipient_that_age_does_not_take_is_refused_before_a_case_is_opened(tmp_path: Path) -> None:
    for words in ("age1nonsense", str(tmp_path / "missing")):
        assert run(tmp_path, "open", "2026-0042", *OPENING, "--encrypt-to", words).returncode == 2
    assert not (tmp_path / "cases").exists()


def test_recipients_come_from_a_file_too(tmp_path: Path, identity: Path) -> None:
    told = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True).stdout
    (tmp_path / "lab").write_text(f"# the lab\n{told}")
    assert encryption.recipients([str(tmp_path / "lab")]) == (told.strip(),)
    with pytest.raises(UsageError):
        encryption.recipients([str(identity)])
