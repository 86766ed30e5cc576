"""Memory of an encrypted case goes through the real `age` on its way to the disk: no clear byte of it lands there."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forensics import encryption
from forensics.casefile import Case, open_case
from forensics.errors import ForensicsError
from forensics.model import Exhibit, MemoryImage, NoSymbols, NotAcquired, NotBuilt, Proof, Verdict
from forensics.pipeline import Run
from forensics.progress import Silent
from forensics.recorder import LedgerRecorder
from forensics.ssh import Secrets, connect
from forensics.stages import acquire as stage
from forensics.stages.acquire import AcquireSettings, acquire
from forensics.stages.prove import prove
from forensics.verify import Given, verify
from tests.casework import EXAMINER, REPOSITORY
from tests.known import facts
from tests.sshd import Sshd, skip
from tests.stages.test_acquire import BANNER, FromPort, Producer, synthetic
from tests.test_killed import ACQUIRE

HALF = 2_000_000
SECRET = b"\x5a" * 4096


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("age") / "identity"
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    return path


def opened(root: Path, identity: Path) -> Case:
    told = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True).stdout.strip()
    return open_case(
        root, "2026-0001", "Encrypted", EXAMINER, "warrant 12", encrypt_to=(told,), second_digest="blake2b"
    )


def inside(identity: Path, path: Path) -> bytes:
    return subprocess.run(["age", "-d", "-i", identity, path], check=True, capture_output=True).stdout


def clear(case: Case) -> list[Path]:
    """Give the files, those in memory included, in which the target's memory can be read."""
    places = (case.folder, *encryption.places(case.folder, "web01"))
    files = [one for place in places for one in place.rglob("*") if one.is_file()]
    return [one for one in files if SECRET in one.read_bytes()]


def slowly(during: Callable[[], object]) -> Callable[[socket.socket], None]:
    def give(peer: socket.socket) -> None:
        peer.sendall(synthetic()[:HALF])
        during()
        peer.sendall(synthetic()[HALF:])

    return give


def arrived(case: Case) -> int:
    """Wait until much of the first half stands in the work folder, and count it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if size := sum(one.stat().st_size for one in case.folder.rglob("work/*/memory.lime*") if one.is_file()):
            return size
        time.sleep(0.05)
    return 0


def worked(
    case: Case, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, give: Callable[[socket.socket], object]
) -> tuple[MemoryImage | NotAcquired, Proof]:
    monkeypatch.setattr(stage, "LADDER", (FromPort(Producer(give).port),))
    recorder = LedgerRecorder(case, "web01")
    run = Run(case, recorder, Silent())
    host = connect(sshd.target(), recorder, Secrets())
    known = facts(proc_version=BANNER)
    try:
        image = run.step(acquire, host, known, NotBuilt((), "a test"), AcquireSettings())
        return image, run.step(prove, host, image, NoSymbols((), "a test"), known)
    finally:
        host.close()


def taken(case: Case) -> Exhibit:
    return next(one for one in case.exhibits() if one.kind in encryption.KINDS)


def test_no_clear_byte_of_memory_is_on_the_disk_while_it_arrives_nor_afterwards(
    tmp_path: Path, sshd: Sshd, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = opened(tmp_path, identity)
    case.identity = identity.read_bytes()
    seen: list[object] = []
    image, proof = worked(case, sshd, monkeypatch, slowly(lambda: seen.extend((arrived(case) > 0, clear(case)))))
    assert seen == [True, []]
    assert isinstance(image, MemoryImage)
    assert image.ended_well
    exhibit = image.image
    assert inside(identity, case.path(exhibit)) == synthetic()
    assert exhibit.plain is not None
    assert exhibit.plain.value == hashlib.sha256(synthetic()).hexdigest()
    (entry,) = [one for one in case.events() if one.products and one.details.get("kind") == "memory-image"]
    told = entry.details["plain"]
    assert isinstance(told, dict)
    assert told["second_digest"] == f"blake2b:{hashlib.blake2b(synthetic()).hexdigest()}"
    assert proof.verdict in {Verdict.COMPLETE, Verdict.COMPLETE_WITH_GAPS}, "it was read, from a copy"
    assert clear(case) == [], "which is gone"
    whole = verify(case.folder, given=Given(identity=identity))
    assert whole, whole.problems


def test_a_stream_that_breaks_leaves_an_encrypted_file_that_holds_what_came_and_is_not_proven_without_identity(
    tmp_path: Path, sshd: Sshd, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = opened(tmp_path, identity)
    image, proof = worked(case, sshd, monkeypatch, lambda peer: peer.sendall(synthetic()[:HALF]))
    assert isinstance(image, MemoryImage)
    assert (proof.verdict, "--age-identity" in proof.reasons[0]) == (Verdict.UNKNOWN, True)
    assert not image.ended_well
    assert inside(identity, case.path(image.image)) == synthetic()[:HALF]
    assert verify(case.folder, given=Given(identity=identity))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", place], check=False).returncode:
        skip("cannot mount a tmpfs: needs root with CAP_SYS_ADMIN")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.faults
def test_a_disk_that_fills_ends_the_stream_while_the_file_can_still_be_ended(
    small: Path, sshd: Sshd, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = opened(small, identity)

    def fill() -> None:
        arrived(case)
        (small / "somebody else's").write_bytes(bytes(60 << 20))

    image, _ = worked(case, sshd, monkeypatch, slowly(fill))
    assert isinstance(image, MemoryImage)
    assert not image.ended_well
    assert "the disk is full: " in image.reason
    assert str(small) in image.reason
    held = inside(identity, case.path(image.image))
    assert HALF <= len(held) < len(synthetic())
    assert synthetic().startswith(held)
    assert verify(case.folder, given=Given(identity=identity))


@pytest.mark.faults
def test_an_age_that_ends_before_its_time_leaves_a_partial_image_and_no_promise_of_what_is_in_it(
    tmp_path: Path, sshd: Sshd, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = opened(tmp_path, identity)

    def end_it() -> None:
        arrived(case)
        told = subprocess.run(
            ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], check=True, capture_output=True, text=True
        )
        (pid,) = [line.split()[0] for line in told.stdout.splitlines() if line.split()[1:] == ["age"]]
        os.kill(int(pid), signal.SIGKILL)

    image, proof = worked(case, sshd, monkeypatch, slowly(end_it))
    assert isinstance(image, NotAcquired)
    assert "age ended" in image.reason
    assert proof.verdict is Verdict.UNKNOWN
    exhibit = taken(case)
    assert (exhibit.kind, exhibit.plain) == ("partial-image", None)
    assert clear(case) == []
    assert verify(case.folder)


def test_killed_while_memory_arrives_what_came_is_encrypted_and_entered_by_the_next_run(
    tmp_path: Path, sshd: Sshd, identity: Path
) -> None:
    case = opened(tmp_path, identity)
    producer = Producer(slowly(lambda: time.sleep(60)))
    words = (sys.executable, "-c", ACQUIRE, str(tmp_path), str(producer.port), pickle.dumps(sshd.target()).hex())
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(words, env=environment) as child:
        assert arrived(case)
        time.sleep(0.5)
        child.kill()
    assert clear(case) == []
    again = Case.load(tmp_path, case.number)
    Run(again, LedgerRecorder(again, sshd.target().label), Silent())
    exhibit = taken(again)
    assert (exhibit.kind, exhibit.path.suffix) == ("partial-image", ".age")
    held = inside(identity, again.path(exhibit))
    assert held
    assert synthetic().startswith(held)
    result = verify(again.folder)
    assert result.code in {0, 5}
    assert any("no entry tells what is in it" in one for one in result.notes)


def test_a_name_that_someone_else_made_in_shared_memory_is_not_used(tmp_path: Path, identity: Path) -> None:
    case = opened(tmp_path, identity)
    memory, own = encryption.places(case.folder, "web01")
    memory.mkdir(mode=0o755)
    try:
        (tmp_path / "plain").write_bytes(b"x")
        digest = encryption.encrypt(tmp_path / "plain", tmp_path / "plain.age", encryption.chosen(case.facts))
        made = encryption.opened(tmp_path / "plain.age", digest, (memory, own), identity.read_bytes())
        assert made.parent == own
        encryption.remove((memory, own))
        assert memory.is_dir(), "nor removed"
    finally:
        memory.rmdir()


def test_an_identity_of_somebody_else_opens_nothing(tmp_path: Path, identity: Path) -> None:
    case = opened(tmp_path, identity)
    (tmp_path / "plain").write_bytes(b"x")
    digest = encryption.encrypt(tmp_path / "plain", tmp_path / "plain.age", encryption.chosen(case.facts))
    with pytest.raises(ForensicsError):
        encryption.opened(tmp_path / "plain.age", digest, encryption.places(case.folder, "web01"), b"nonsense")
    encryption.remove(encryption.places(case.folder, "web01"))
