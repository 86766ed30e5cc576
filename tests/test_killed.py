"""Acquiring and sealing, killed at any write, fsync, rename or link: the record is never better than what is so."""

from __future__ import annotations

import hashlib
import itertools
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics import sealing, seals, signing
from forensics.casefile import Case, Stamps, open_case
from forensics.events import Action, State
from forensics.intake import settle
from forensics.progress import Silent
from tests import authority
from tests.authority import Authority, ssh_key
from tests.casework import EXAMINER, check, enter_one, new_case, program, strace
from tests.sshd import Sshd
from tests.stages.test_acquire import Producer, synthetic

RENAME, LINK, UNLINK = "rename,renameat,renameat2", "link,linkat", "unlink,unlinkat"
SEAL = """
import sys, pathlib
from forensics import sealing
from forensics.casefile import Case
from forensics.progress import Silent
case = Case.load(pathlib.Path(sys.argv[1]), "2026-0001")
made = sealing.make(case, Silent())
sealing.record(case, made)
sys.exit(3 if sealing.attest(case, made.path, sealing.wanted(case), Silent(), again=True) else 0)
"""
ACQUIRE = """
import sys, pathlib, pickle
from forensics.casefile import Case
from forensics.model import NotBuilt
from forensics.pipeline import Run
from forensics.progress import Silent
from forensics.recorder import LedgerRecorder
from forensics.ssh import Secrets, connect
from forensics.stages import acquire as stage
from tests.known import facts
from tests.stages.test_acquire import BANNER, FromPort
stage.LADDER = (FromPort(int(sys.argv[2])),)
target = pickle.loads(bytes.fromhex(sys.argv[3]))
case = Case.load(pathlib.Path(sys.argv[1]), "2026-0001")
recorder = LedgerRecorder(case, target.label)
run = Run(case, recorder, Silent())
host = connect(target, recorder, Secrets())
run.step(stage.acquire, host, facts(proc_version=BANNER), NotBuilt((), "a test"), stage.AcquireSettings())
host.close()
"""
IMAGE = synthetic()
WHOLE = "sha256:" + hashlib.sha256(IMAGE).hexdigest()


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority.serving(authority.make(tmp_path_factory.mktemp("tsa") / "one")) as one:
        yield one


def steps(few: int) -> list[object]:
    """Give how far apart the steps are that are tried: a few in `make test`, each in `make faults`."""
    return [few, pytest.param(1, marks=[pytest.mark.faults, pytest.mark.timeout(7200)])]


@pytest.mark.parametrize("apart", steps(7))
def test_a_seal_that_is_killed_at_any_step_is_made_whole_by_the_next(
    tmp_path: Path, tsa: Authority, apart: int
) -> None:
    key = signing.signer(str(ssh_key(tmp_path)))
    kills = 0
    for call in ("write", "fsync", RENAME):
        for step in itertools.count(1 if apart == 1 else 3, apart):
            root = tmp_path / f"{call[:6]}-{step}"
            case = open_case(
                root, "2026-0001", "Killed", EXAMINER, "warrant 12", key=key, stamps=Stamps((tsa.url,), tsa.roots)
            )
            enter_one(case)
            done = program(SEAL, str(root), under=strace(f"{call}:signal=KILL:when={step}"))
            if done.returncode == 0:
                break
            kills += 1
            _sealed_again(Case.load(root, case.number))
    assert kills >= (4 if apart > 1 else 25), kills


def _sealed_again(case: Case) -> None:
    before = check(case.folder)
    assert before.code in {0, 5}, before.problems
    on_record = [one for one in case.events() if one.action in {Action.SIGNED, Action.TIME_STAMPED}]
    assert len(before.anchors) <= len(on_record), "nothing counts that is not on record"
    path = seals.last(case.folder / "seals") or sealing.make(case, Silent()).path
    assert sealing.attest(case, path, sealing.wanted(case), Silent(), again=True) == ()
    after = check(case.folder)
    assert (after.code, len(after.anchors)) == (0, 2), after.problems


@pytest.mark.parametrize("apart", steps(41))
def test_an_acquisition_that_is_killed_at_any_step_loses_nothing_and_calls_no_part_whole(
    tmp_path: Path, sshd: Sshd, apart: int
) -> None:
    kills = 0
    for call in ("write", "fsync", RENAME, LINK, UNLINK):
        for step in itertools.count(1, apart):
            root = tmp_path / f"{call[:6]}-{step}"
            case = new_case(root)
            tracer, *words = strace(f"{call}:signal=KILL:when={step}")
            done = acquired(root, sshd, (tracer, "-f", *words))
            if done == 0:
                break
            kills += 1
            _acquired_again(Case.load(root, case.number), sshd)
    assert kills >= (4 if apart > 1 else 20), kills


def acquired(root: Path, sshd: Sshd, under: tuple[str, ...] = ()) -> int:
    producer = Producer(lambda peer: peer.sendall(IMAGE))
    target = pickle.dumps(sshd.target()).hex()
    done = program(ACQUIRE, str(root), str(producer.port), target, under=under)
    assert done.returncode == 0 or under, done.stderr
    return done.returncode


def _acquired_again(case: Case, sshd: Sshd) -> None:
    before = check(case.folder)
    assert before.code in {0, 5}, before.problems
    _nothing_better(case)
    settle(case)
    for exhibit in case.exhibits():
        case.check(exhibit)
    acquired(case.folder.parents[1], sshd)
    again = Case.load(case.folder.parents[1], case.number)
    _nothing_better(again)
    assert WHOLE in {str(one.digest) for one in again.exhibits() if one.kind == "memory-image"}
    ended = [one for one in again.events() if (one.action, one.stage) == (Action.STAGE_ENDED, "acquire")]
    assert ended[-1].outcome is State.FINISHED
    assert check(case.folder), check(case.folder).problems


def _nothing_better(case: Case) -> None:
    """What is called a whole image is one, and a stage that is called finished has one."""
    images = [one for one in case.exhibits() if one.kind == "memory-image"]
    assert all(str(one.digest) == WHOLE for one in images if one.facts["ended_well"]), "a part is called whole"
    done = [one for one in case.events() if (one.action, one.outcome) == (Action.STAGE_ENDED, State.FINISHED)]
    assert images or not done
