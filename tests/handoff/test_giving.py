"""Handing over: what is refused and recorded, and that no kill leaves a bag that looks whole and is not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from forensics import locks, reissue, sealing, signing
from forensics.casefile import Case, Stamps, open_case
from forensics.errors import CaseError, IntegrityError, UsageError
from forensics.events import Action, State
from forensics.handoff import giving
from forensics.handoff.contents import Order
from forensics.model import Role
from forensics.progress import Silent
from forensics.verify import DAMAGED, OK, Given, verify
from tests import authority, certificates
from tests.authority import Authority
from tests.casework import EXAMINER, check, enter_one, new_case, program, strace, writable
from tests.handing import add, full_case, handed, stock
from tests.test_cli import run

PACK = """
import sys
from pathlib import Path
from forensics import sealing
from forensics.casefile import Case
from forensics.events import Action
from forensics.handoff import giving
from forensics.handoff.contents import Handed, Order
from forensics.progress import Silent
root = Path(sys.argv[1])
case = Case.load(root, "2026-0001")
begun = next(one for one in case.events() if one.action is Action.HANDED_OFF)
report = tuple(one for one in case.exhibits() if one.kind == "report")
key = sealing.wanted(case).key
giving.pack(Handed(case, begun, case.events(), report, Order("Bob"), key), (), root / "reports", Silent())
print("packed")
"""
WHOLE = """
import sys
from pathlib import Path
from forensics.casefile import Case
from forensics.handoff.contents import Order
from forensics.handoff.giving import hand_off
from forensics.progress import Silent
hand_off(Case.load(Path(sys.argv[1]), "2026-0001"), Path(sys.argv[1]), Order("Bob"), Silent())
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, tsa: Authority) -> Path:
    """Give the root of a case whose hand-off is begun, reported and sealed, and has no bag yet."""
    root = tmp_path_factory.mktemp("ready")
    case = full_case(root, tsa)
    (root / "reports").mkdir()
    giving._begin(case, Order("Bob"))
    reissue.rendered(case, Silent())
    seal = sealing.make(case, Silent())
    sealing.record(case, seal)
    assert sealing.attest(case, seal.path, sealing.wanted(case), Silent()) == ()
    return root


def sound(root: Path) -> str:
    """Look that whatever state a kill left is not reported better than it is, and settles; gives how it settled."""
    reports = root / "reports"
    named = [one for one in reports.iterdir() if not one.name.startswith(".")] if reports.is_dir() else []
    assert all(verify(one).code == OK for one in named), "a bag with its name is whole"
    assert check(root / "cases" / "2026-0001").code != DAMAGED
    case = Case.load(root, "2026-0001")
    begun = [one for one in case.events() if one.action is Action.HANDED_OFF and one.outcome is State.STARTED]
    giving.settle(case, reports)
    assert giving.unfinished(case.events()) == []
    assert not reports.is_dir() or [one for one in reports.iterdir() if one.name.startswith(".")] == []
    ends = [one for one in case.events() if one.action is Action.HANDED_OFF and one.outcome is not State.STARTED]
    if not begun:
        return "not begun"
    finished = ends[-1].outcome in {State.FINISHED, State.RECOVERED}
    assert finished == bool(named)
    assert ("manifest" in ends[-1].details) == finished
    return str(ends[-1].outcome)


def killed(code: str, ready: Path, root: Path, call: str, when: int) -> bool:
    """Run a program on a copy of a case with a kill at the n-th call; false when it had fewer, and came to its end."""
    shutil.copytree(ready, root, symlinks=True)
    done = program(code, str(root), under=strace(f"{call}:signal=KILL:when={when}"))
    assert done.returncode in {0, -signal.SIGKILL, 128 + signal.SIGKILL}, done.stderr
    return done.returncode != 0


def loop(code: str, ready: Path, folder: Path, call: str, *, step: int = 1) -> list[str]:
    states = []
    for when in range(1, 2000, step):
        root = folder / f"{call.partition(',')[0]}-{when}"
        alive = not killed(code, ready, root, call, when)
        states.append(sound(root))
        shutil.rmtree(root)
        if alive:
            break
    assert states[-1] == State.FINISHED, "it was killed to the last"
    return states


def test_a_kill_at_a_rename_leaves_a_whole_bag_or_none(ready: Path, tmp_path: Path) -> None:
    states = loop(PACK, ready, tmp_path, "rename,renameat,renameat2", step=4)
    assert State.INTERRUPTED in states


def test_a_kill_at_a_flush_leaves_a_whole_bag_or_none(ready: Path, tmp_path: Path) -> None:
    states = loop(PACK, ready, tmp_path, "fsync", step=14)
    assert set(states) <= {State.INTERRUPTED, State.RECOVERED, State.FINISHED}


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("call", ["write", "fsync", "rename,renameat,renameat2"])
def test_a_kill_at_any_write_flush_or_rename_leaves_a_whole_bag_or_none(ready: Path, tmp_path: Path, call: str) -> None:
    states = loop(PACK, ready, tmp_path, call)
    assert State.INTERRUPTED in states
    if call == "fsync":
        assert State.RECOVERED in states, "killed after the name, before the entry"


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("call", ["write", "fsync", "rename,renameat,renameat2"])
def test_a_kill_anywhere_between_entry_report_seal_and_bag_settles(tmp_path: Path, tsa: Authority, call: str) -> None:
    (tmp_path / "first").mkdir()
    full_case(tmp_path / "first", tsa)
    states = loop(WHOLE, tmp_path / "first", tmp_path, call, step=7 if call == "write" else 3)
    assert State.INTERRUPTED in states


def test_the_report_in_a_bag_is_signed_and_encrypted_exhibits_travel_as_they_are(
    tmp_path: Path, tsa: Authority
) -> None:
    path = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    told = subprocess.run(["age-keygen", "-y", path], check=True, capture_output=True, text=True).stdout.strip()
    key, stamps = signing.signer(str(authority.ssh_key(tmp_path))), Stamps((tsa.url,), tsa.roots)
    case = open_case(
        tmp_path, "2026-0001", "Encrypted", EXAMINER, "warrant 12", key=key, stamps=stamps, encrypt_to=(told,)
    )
    add(case, "memory.lime", b"EMiL" * 3000, "memory-image", Role.EVIDENCE)
    certificate = certificates.make(tmp_path / "pki")
    read, write = os.pipe()
    os.write(write, certificates.PASSWORD.encode() + b"\n")
    os.close(write)
    words = ("--certificate", str(certificate.file), "--certificate-password-fd", str(read), "--json")
    done = run(tmp_path, "handoff", case.number, "--to", "Bob", *words, pass_fds=(read,))
    os.close(read)
    assert done.returncode == 0, done.stderr
    bag = Path(json.loads(done.stdout)["bag"])
    (signed,) = (bag / "data" / "report").glob("*-signed.pdf")
    assert (
        "Total document signed" in subprocess.run(["pdfsig", signed], check=True, capture_output=True, text=True).stdout
    )
    result = verify(bag)
    assert result.code == OK, result.problems
    assert any("E0001 is encrypted: checking what is in it" in one for one in result.notes)
    assert verify(bag, given=Given(identity=path)).code == OK
    by_hand = stock(bag)
    assert by_hand.returncode == 0, by_hand.stdout
    assert "E0001 is encrypted: what is in it was not checked" in by_hand.stdout
    refused = run(tmp_path, "handoff", case.number, "--to", "Bob", "--certificate", str(path))
    assert refused.returncode == 1
    assert len([one for one in case.events() if one.action is Action.HANDED_OFF]) == 2, "and nothing was begun"


@pytest.mark.parametrize("call", ["fsync:error=EIO:when=20", "write:error=ENOSPC:when=30"])
def test_a_disk_that_fails_ends_the_hand_off_without_a_bag(ready: Path, tmp_path: Path, call: str) -> None:
    root = tmp_path / "root"
    shutil.copytree(ready, root, symlinks=True)
    done = program(PACK, str(root), under=strace(call))
    assert done.returncode == 1
    assert "packed" not in done.stdout
    assert sound(root) == State.INTERRUPTED


def test_a_damaged_exhibit_is_not_handed_over_and_the_case_says_so(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    enter_one(case, "first.json", b"{}")
    writable(case.folder / "exhibits" / "E0001-web01-first.json").write_bytes(b"[]")
    with pytest.raises(IntegrityError):
        handed(Case.load(tmp_path, case.number))
    assert list((tmp_path / "reports").iterdir()) == []
    last = Case.load(tmp_path, case.number).events()[-1]
    assert (last.action, last.outcome) == (Action.HANDED_OFF, State.FAILED)
    assert "is not what was recorded" in last.reason


def test_what_cannot_be_handed_over_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    with pytest.raises(CaseError, match="nothing to hand over"):
        handed(case)
    enter_one(case)
    with pytest.raises(CaseError, match="no such exhibit"):
        handed(case, without=("E0009",))
    with pytest.raises(UsageError, match="who takes the case"):
        handed(case, to=" ")
    with locks.worker(case, "web01"), pytest.raises(CaseError, match="a run works on the case"):
        handed(case)
    assert len(case.events()) == 2


def test_a_closed_case_without_key_is_handed_over_and_what_that_is_worth_is_said(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    enter_one(case)
    case.close("done")
    done = run(tmp_path, "handoff", case.number, "--to", "Bob", "--without", "E0001", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["left_out"], told["pending"], told["complete"]) == (["E0001"], [], True)
    bag = Path(told["bag"])
    assert bag == tmp_path / "reports" / "2026-0001-bag-0001"
    result = verify(bag)
    assert result.code == OK, result.problems
    assert any("lists are not signed" in one for one in result.notes)
    assert Case.load(tmp_path, case.number).closed
    checked = run(tmp_path, "verify", str(bag))
    assert (checked.returncode, "bag 2026-0001-bag-0001: ok" in checked.stdout) == (0, True)


def test_what_an_authority_did_not_give_is_pending_and_the_case_is_handed_over_all_the_same(
    tmp_path: Path, tsa: Authority
) -> None:
    case = full_case(tmp_path, tsa)
    tsa.fault = "refuse"
    try:
        made = handed(case)
    finally:
        tsa.fault = ""
    assert [one.startswith(f"time stamp of {tsa.url}") for one in made.pending] == [True]
    assert "Pending: time stamp" in (made.path / "bag-info.txt").read_text()
    assert verify(made.path).code == OK
