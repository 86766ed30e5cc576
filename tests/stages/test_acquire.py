"""Acquisition over a real sshd, from a producer of synthetic LiME images on the loopback."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from forensics.engines import Materials, Paper
from forensics.errors import StageFailed
from forensics.guarding import watch
from forensics.guarding.watch import Bounds
from forensics.host import Channel, Host
from forensics.lime import completeness, receiving
from forensics.lime.format import header
from forensics.lime.receiving import Received
from forensics.model import (
    JSON,
    Facts,
    MemoryImage,
    NoSymbols,
    NotAcquired,
    NotBuilt,
    Outcome,
    Preflight,
    Proof,
    Verdict,
)
from forensics.progress import Silent
from forensics.ssh import Secrets, SshHost, connect
from forensics.stages import acquire as stage
from forensics.stages.acquire import AcquireSettings, acquire
from forensics.stages.prove import prove
from tests.known import RAM, desk, entered, facts
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd, skip

BANNER = b"Linux version 6.1.0-99-test-amd64\n"


def synthetic(fill: bytes = b"\x5a") -> bytes:
    """Make the image that a target with this RAM map gives."""
    pages = [fill * one.size for one in RAM]
    pages[1] = BANNER.strip() + pages[1][len(BANNER) - 1 :]
    return b"".join(header(one) + page for one, page in zip(RAM, pages, strict=True))


class Producer(threading.Thread):
    """Listens on the loopback and gives its image to the first that connects."""

    def __init__(self, give: Callable[[socket.socket], object]) -> None:
        super().__init__(daemon=True)
        self._give = give
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.start()

    def run(self) -> None:
        with self._listener:
            peer, _ = self._listener.accept()
        with peer:
            try:
                self._give(peer)
            except OSError:
                return


@dataclass
class FromPort:
    """An engine that streams from a port; `left` counts how often the target was left as it was."""

    port: int
    name: str = "port"
    left: int = 0
    record: dict[str, JSON] = field(default_factory=dict)
    papers: list[Paper] = field(default_factory=list)

    def check(self, known: Facts, materials: Materials) -> Preflight:
        del known, materials
        return Preflight("acquire: port", works=True, why="a test")

    @contextmanager
    def prepare(self, host: Host, known: Facts, materials: Materials) -> Iterator[FromPort]:
        del known, materials
        self.host = host
        try:
            yield self
        finally:
            self.left += 1

    @contextmanager
    def stream(self) -> Iterator[Channel]:
        with self.host.connect(self.port) as channel:
            yield channel


@pytest.fixture
def host(sshd: Sshd) -> Iterator[SshHost]:
    found = connect(sshd.target(), MemoryRecorder(), Secrets())
    yield found
    found.close()


def taken(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, give: Callable[[socket.socket], object]
) -> tuple[MemoryImage | NotAcquired, Proof, FromPort]:
    engine = FromPort(Producer(give).port)
    monkeypatch.setattr(stage, "LADDER", (engine,))
    known = facts(proc_version=BANNER)
    work = acquire.work(desk(tmp_path, "acquire"), host, known, NotBuilt((), "a test"), AcquireSettings())
    image = acquire.gives(entered(tmp_path, work))
    judged = prove.work(desk(tmp_path, "prove"), host, image, NoSymbols((), "a test"), known)
    return image, prove.gives(entered(tmp_path, judged)), engine


def test_a_whole_image_arrives_as_it_was_sent(tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    image, proof, engine = taken(tmp_path, host, monkeypatch, lambda peer: peer.sendall(synthetic()))
    assert isinstance(image, MemoryImage)
    assert image.ended_well
    assert image.image.digest.value == hashlib.sha256(synthetic()).hexdigest()
    assert (tmp_path / image.image.path).stat().st_mode & 0o777 == 0o600
    assert engine.left == 1
    # This machine's own RAM map is not the made-up target's: that it changed is all that may be said against it.
    assert all("RAM map" in one or "no process list" in one for one in proof.reasons)


def test_what_ranges_are_made_of_is_on_record_and_the_proof_reads_nothing_twice_for_it(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = bytearray(synthetic())
    hole = slice(64 + RAM[0].size + (1 << 20), 64 + RAM[0].size + (2 << 20))
    sent[hole] = bytes(1 << 20)
    monkeypatch.setattr(completeness, "zero_tail", None)  # whoever measures again fails
    taken(tmp_path, host, monkeypatch, lambda peer: peer.sendall(sent))
    first, second = json.loads((tmp_path / "acquire" / "acquisition.json").read_text())["received"]["ranges"]
    assert (first["zero_pages"], first["longest_zero_run_at"], first["zero_tail"]) == (0, None, 0)
    assert second["zero_pages"] == 256
    assert (second["longest_zero_run"], second["longest_zero_run_at"]) == (1 << 20, RAM[1].start + (1 << 20))
    assert first["entropy"] == 0  # one value alone
    figures = json.loads((tmp_path / "prove" / "proof.json").read_text())["figures"]
    assert figures["zero_tails"] == [0, 0]
    assert [one[:2] for one in figures["smear"]["ranges"]] == [[one.start, one.end] for one in RAM]
    assert figures["smear"]["seconds"] >= sum(one[3] for one in figures["smear"]["ranges"]) - 0.01
    assert figures["smear"]["ended"] == []  # of none that the survey saw
    assert figures["smear"]["began"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-1], "ends 1 bytes before"),
        (lambda data: data + b"\0", "into a header"),
        (lambda data: data[: 32 + RAM[0].size], "names pages that are not there"),
        (lambda data: data[: 32 + RAM[0].size + 7], "into a header"),
        (lambda data: b"XXXX" + data[4:], "should be a LiME header"),
    ],
)
def test_an_image_that_lost_or_gained_a_byte_is_partial(
    tmp_path: Path,
    host: SshHost,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[bytes], bytes],
    words: str,
) -> None:
    image, proof, _ = taken(tmp_path, host, monkeypatch, lambda peer: peer.sendall(change(synthetic())))
    assert isinstance(image, MemoryImage)
    assert image.image.size == len(change(synthetic()))
    assert proof.verdict is Verdict.PARTIAL
    assert words in " ".join(proof.reasons)


def test_zeros_to_the_end_of_a_range_are_a_gap(tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = synthetic()[: -2 << 20] + bytes(2 << 20)
    image, proof, _ = taken(tmp_path, host, monkeypatch, lambda peer: peer.sendall(filled))
    assert isinstance(image, MemoryImage)
    assert proof.verdict is Verdict.COMPLETE_WITH_GAPS
    assert "0x100000-0x4fffff ends with 2097152 zero bytes" in " ".join(proof.reasons)


def test_a_stream_without_a_byte_is_no_image(tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    image, proof, engine = taken(tmp_path, host, monkeypatch, lambda peer: peer.shutdown(socket.SHUT_WR))
    assert isinstance(image, NotAcquired)
    assert "first byte" in image.reason
    assert proof.verdict is Verdict.UNKNOWN
    assert engine.left == 1


def test_another_kernels_memory_is_not_called_complete(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = synthetic().replace(b"6.1.0-99", b"6.1.0-98")
    _, proof, _ = taken(tmp_path, host, monkeypatch, lambda peer: peer.sendall(other))
    assert proof.verdict is Verdict.PARTIAL
    assert "banner" in " ".join(proof.reasons)


def test_a_vmcoreinfo_that_is_not_the_targets_is_a_gap(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _, _ = taken(tmp_path, host, monkeypatch, lambda peer: peer.sendall(synthetic()))
    known = facts(proc_version=BANNER, vmcoreinfo=b"OSRELEASE=x\n", places={"vmcoreinfo": RAM[1].start + 4096})
    judged = prove.work(desk(tmp_path, "again"), host, image, NoSymbols((), "a test"), known)
    proof = prove.gives(entered(tmp_path, judged))
    assert proof.verdict is Verdict.COMPLETE_WITH_GAPS
    assert "VMCOREINFO is not in the image" in " ".join(proof.reasons)


def test_a_hidden_ram_map_leaves_completeness_unknown(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _, _ = taken(tmp_path, host, monkeypatch, lambda peer: peer.sendall(synthetic()))
    known = facts(ram=(), proc_version=BANNER)
    judged = prove.work(desk(tmp_path, "again"), host, image, NoSymbols((), "a test"), known)
    assert prove.gives(entered(tmp_path, judged)).verdict is Verdict.UNKNOWN


def test_a_pause_of_the_producer_is_put_on_record(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(peer: socket.socket) -> None:
        peer.sendall(synthetic()[:1_000_000])
        time.sleep(1.0)
        peer.sendall(synthetic()[1_000_000:])

    image, _, _ = taken(tmp_path, host, monkeypatch, give)
    assert isinstance(image, MemoryImage)
    assert image.ended_well
    assert '"stalls": [\n   [' in (tmp_path / "acquire" / "acquisition.json").read_text()


def test_a_stream_that_stops_for_good_is_given_up(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def give(peer: socket.socket) -> None:
        peer.sendall(synthetic()[:1_000_000])
        over.wait(30)

    monkeypatch.setattr(receiving, "IDLE", 1.0)
    image, proof, engine = taken(tmp_path, host, monkeypatch, give)
    over.set()
    assert isinstance(image, MemoryImage)
    assert not image.ended_well
    assert proof.verdict is Verdict.PARTIAL
    assert engine.left == 1


def test_too_little_room_is_told_before_anything_is_touched(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FromPort(1)
    monkeypatch.setattr(stage, "LADDER", (engine,))
    known = facts(ram=(), memory_total=1 << 60)
    with pytest.raises(StageFailed) as told:
        list(acquire.work(desk(tmp_path, "acquire"), host, known, NotBuilt((), ""), AcquireSettings()))
    assert "are needed" in told.value.why
    assert "file system of the case" in told.value.where
    assert engine.left == 0


class _Given:
    """A channel of bytes that are there already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = 1 << 20) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        return piece


@pytest.mark.root
def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=False).returncode:
        skip("cannot mount a tmpfs: needs root with CAP_SYS_ADMIN")
    try:
        received = Received()
        receiving.receive(_Given(synthetic()), small / "image", received, 0, Silent())
        assert "No space left" in received.reason
        assert received.written == (small / "image").stat().st_size > 0
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_target_short_of_memory_is_left_alone_and_that_is_said(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FromPort(1)
    monkeypatch.setattr(stage, "LADDER", (engine,))
    settings = AcquireSettings(bounds=Bounds(memory=1 << 60))
    work = acquire.work(desk(tmp_path, "acquire"), host, facts(), NotBuilt((), "a test"), settings)
    (result,) = entered(tmp_path, work).results
    assert result.outcome is Outcome.NOT_RUN
    assert "--min-memory" in result.reason
    assert engine.left == 0


def test_an_acquisition_that_strains_the_target_is_ended_and_what_came_is_kept(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def give(peer: socket.socket) -> None:
        peer.sendall(synthetic()[:1_000_000])
        over.wait(120)

    monkeypatch.setattr(watch, "EVERY", 0.2)
    monkeypatch.setattr(watch, "too_little", lambda _host, _bounds: "")  # it had enough when it began
    engine = FromPort(Producer(give).port)
    other = FromPort(1, name="other")
    monkeypatch.setattr(stage, "LADDER", (engine, other))
    settings = AcquireSettings(bounds=Bounds(memory=1 << 60))
    work = acquire.work(desk(tmp_path, "acquire"), host, facts(), NotBuilt((), "a test"), settings)
    image = acquire.gives(entered(tmp_path, work))
    over.set()
    assert isinstance(image, MemoryImage)
    assert not image.ended_well
    assert "to spare the target" in image.reason
    assert image.image.size > 0
    assert (engine.left, other.left) == (1, 0)
    told = json.loads((tmp_path / "acquire" / "acquisition.json").read_text())["attempts"][0]["guards"]
    assert told["watch"]["ended_because"] == image.reason


def test_a_rate_that_was_asked_for_is_kept(tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "LADDER", (FromPort(Producer(lambda peer: peer.sendall(synthetic())).port),))
    began = time.monotonic()
    settings = AcquireSettings(limit=2 << 20)
    work = acquire.work(desk(tmp_path, "acquire"), host, facts(), NotBuilt((), "a test"), settings)
    image = acquire.gives(entered(tmp_path, work))
    assert isinstance(image, MemoryImage)
    assert image.ended_well
    assert time.monotonic() - began > len(synthetic()) / (2 << 20) - 0.2
