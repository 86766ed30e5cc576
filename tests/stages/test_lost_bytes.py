"""No acquisition that lost a byte, or gained one, is ever complete: whatever was lost, and wherever on the way.

Rows S4, S5, S8 and S9 of the fault table, by a real sshd behind a proxy that cuts, silences and flips; and as a
property of every cut, gap and surplus that a stream can have.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.acquisition.record import image_draft, unlike_source
from forensics.errors import ForensicsError
from forensics.host import Gone
from forensics.lime import receiving
from forensics.lime.format import header
from forensics.lime.receiving import Received
from forensics.model import JSON, Draft, MemoryImage, MemoryRange, NoSymbols, NotBuilt, Outcome, Result, Verdict
from forensics.progress import Silent
from forensics.ssh import Secrets, SshHost, connect
from forensics.ssh.link import Timing
from forensics.stage import Desk
from forensics.stages import acquire as stage
from forensics.stages.acquire import AcquireSettings, acquire
from forensics.stages.prove import prove
from tests.known import desk, entered, facts
from tests.proxy import Proxy
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd
from tests.stages.test_acquire import BANNER, FromPort, Producer, synthetic

SMALL = (MemoryRange(0x1000, 0x4FFF), MemoryRange(0x100000, 0x107FFF), MemoryRange(0x200000, 0x200FFF))


def small() -> bytes:
    parts = [header(one) + bytes([number + 1]) * one.size for number, one in enumerate(SMALL)]
    parts[1] = parts[1][:64] + BANNER.strip() + parts[1][64 + len(BANNER.strip()) :]
    return b"".join(parts)


WHOLE = small()


class Given:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = 1 << 20) -> bytes:
        piece, self._data = self._data[: min(size, 5000)], self._data[min(size, 5000) :]
        return piece


def verdict(case: Path, came: bytes) -> Verdict:
    """Take what came for an acquisition, and judge it when the target can be asked no more."""
    at = desk(case, "acquire")
    received = Received()
    receiving.receive(Given(came), at.work / "memory.lime", received, 0, Silent())

    def work() -> Iterator[Draft | Result]:
        yield image_draft(at.work / "memory.lime", "test", received, {"zero_fill_excluded": True})
        yield Result("memory", Outcome.PARTIAL if received.reason else Outcome.DONE, received.reason)

    image = acquire.gives(entered(case, work()))
    known = facts(ram=SMALL, proc_version=BANNER)
    judged = prove.work(desk(case, "prove"), Gone("a test"), image, NoSymbols((), "a test"), known)
    return prove.gives(entered(case, judged)).verdict


def test_what_came_whole_is_complete() -> None:
    """Without this, the property below would hold of a program that never says complete."""
    with tempfile.TemporaryDirectory() as case:
        assert verdict(Path(case), WHOLE) is Verdict.COMPLETE


places = st.one_of(st.integers(0, len(WHOLE)), st.sampled_from([0, 32, 32 + 0x4000, 64 + 0x4000, len(WHOLE) - 1]))


@settings(max_examples=120)
@given(begin=places, size=st.one_of(st.integers(1, 64), st.integers(1, len(WHOLE))), extra=st.binary(max_size=40))
def test_no_stream_that_lost_or_gained_a_byte_is_complete(begin: int, size: int, extra: bytes) -> None:
    came = WHOLE[:begin] + extra + WHOLE[begin + size :]
    if len(came) == len(WHOLE):
        came += b"\0"
    with tempfile.TemporaryDirectory() as case:
        if not came:
            return
        assert verdict(Path(case), came) is not Verdict.COMPLETE


def taken(
    case: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, during: Callable[[], None]
) -> tuple[MemoryImage, FromPort]:
    def give(peer: socket.socket) -> None:
        content = synthetic()
        peer.sendall(content[:2_000_000])
        during()
        peer.sendall(content[2_000_000:])

    engine = FromPort(Producer(give).port)
    monkeypatch.setattr(stage, "LADDER", (engine,))
    found = entered(case, _to_its_end(desk(case, "acquire"), host))
    image = acquire.gives(found)
    assert isinstance(image, MemoryImage)
    return image, engine


def _to_its_end(at: Desk, host: SshHost) -> Iterator[Draft | Result]:
    """Enter what the stage gives, also when it raises at its end, as the pipeline does."""
    work = acquire.work(at, host, facts(proc_version=BANNER), NotBuilt((), "a test"), AcquireSettings())
    try:
        yield from work
    except ForensicsError:  # the pipeline records it; what was yielded before stays
        return


def judged(case: Path, image: MemoryImage) -> Verdict:
    work = prove.work(desk(case, "prove"), Gone("a test"), image, NoSymbols((), "a test"), facts(proc_version=BANNER))
    return prove.gives(entered(case, work)).verdict


@pytest.mark.root
@pytest.mark.parametrize("way", ["rst", "fin", "silence", "flip"])
def test_a_connection_that_is_cut_silenced_or_flipped_leaves_a_partial_image(
    tmp_path: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    with Proxy(sshd.port) as proxy:
        known = tmp_path / "known_hosts"
        words = sshd.known_hosts.read_text().split(" ", 1)[1]
        known.write_text(f"[127.0.0.1]:{proxy.port} {words}")
        target = sshd.target(port=proxy.port, known_hosts=known)
        host = connect(target, MemoryRecorder(), Secrets(), Timing(pulse=0.5, silence=6.0))
        image, engine = taken(tmp_path, host, monkeypatch, lambda: proxy.cut_now(way, 300_000))
        proxy.cut_after = None
        assert not image.ended_well
        assert image.image.size < len(synthetic())
        assert judged(tmp_path, image) is Verdict.PARTIAL
        assert engine.left == 1
        host.close()


@pytest.mark.root
def test_a_killed_sshd_leaves_a_partial_image(tmp_path: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    host = connect(sshd.target(), MemoryRecorder(), Secrets())
    assert sshd.process
    listener = sshd.process.pid

    def kill() -> None:
        time.sleep(0.3)
        for child in Path(f"/proc/{listener}/task/{listener}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)

    image, _ = taken(tmp_path, host, monkeypatch, kill)
    assert not image.ended_well
    assert judged(tmp_path, image) is Verdict.PARTIAL
    host.close()


def test_a_digest_of_the_source_that_differs_is_never_complete() -> None:
    """LiME's own digest, or the target's sha256sum, beside ours: a byte that changed on the way is no whole image."""
    received = Received()
    with tempfile.TemporaryDirectory() as case:
        receiving.receive(Given(WHOLE), Path(case) / "image", received, 0, Silent())
    digest = str(received.digest)
    assert unlike_source(received, {"source_digest": digest, "source_digest_by": "LiME"}) == ""
    assert unlike_source(received, {}) == ""
    other = unlike_source(received, {"source_digest": "sha256:" + "0" * 64, "source_digest_by": "LiME"})
    assert digest in other
    assert "by LiME" in other


@pytest.mark.parametrize(("status", "by_itself", "doubted"), [(1, True, True), (0, True, False), (130, False, False)])
def test_what_came_while_insmod_failed_is_not_limes(status: int, by_itself: bool, doubted: bool) -> None:  # noqa: FBT001
    """LiME gives 0 whatever happened in the dump; another status by itself means that it never ran."""
    insmod: dict[str, JSON] = {"status": status, "stderr": "Address already in use", "ended_by_itself": by_itself}
    said = unlike_source(Received(), {"insmod": insmod})
    assert ("Address already in use" in said) is doubted
