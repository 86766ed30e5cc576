"""The sshd that carries an acquisition is kept from the OOM killer while it does, and as before afterwards."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.guarding.shield import _IS, _TAKE, _Session, shielded
from forensics.ssh import Secrets, SshHost, connect
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd

pytestmark = pytest.mark.root

HIGHER = {"oom_score_adj": 300, "oom_adj": 9}
"""A machine that forbids root to lower the score still lets it be raised: the way there and back is the same."""


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture
def host(sshd: Sshd, recorder: MemoryRecorder) -> Iterator[SshHost]:
    found = connect(sshd.target(), recorder, Secrets())
    yield found
    found.close()


def value(pid: object) -> str:
    return Path(f"/proc/{pid}/oom_score_adj").read_text().strip()


def session(proc: Path) -> tuple[_Session, Path]:
    """A process of a folder that looks as /proc does, and its own folder there."""
    folder = proc / "4711"
    folder.mkdir()
    (folder / "stat").write_text(f"4711 (sshd) S {' '.join(str(word) for word in range(4, 53))}")
    return _Session(4711, "22", "oom_score_adj", "0"), folder


def test_our_own_session_and_no_other_sshd_is_changed_and_changed_back(
    host: SshHost, recorder: MemoryRecorder, sshd: Sshd
) -> None:
    before = value("self")
    assert sshd.process
    with shielded(host, never=HIGHER) as shield:
        assert shield.problem == ""
        (one,) = shield.protected
        assert isinstance(one, dict)
        assert value(one["pid"]) == "300"
        title = Path(f"/proc/{one['pid']}/cmdline").read_bytes()
        assert re.match(rb"sshd(-session)?: root@", title)
        assert value(sshd.process.pid) == before
        intended = [event for event in recorder.events if event[0] == "intend"]
        assert len(intended) == 1
    assert value(one["pid"]) == one["before"] == before
    assert recorder.restorations() == [(f"/proc/{one['pid']}/oom_score_adj", True)]


def test_an_interrupted_acquisition_takes_it_back_too(host: SshHost, recorder: MemoryRecorder) -> None:
    def work() -> None:
        with shielded(host, never=HIGHER):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert [proven for _, proven in recorder.restorations()] == [True]


def test_a_session_that_is_gone_has_nothing_to_be_put_back(sshd: Sshd, recorder: MemoryRecorder) -> None:
    host = connect(sshd.target(), recorder, Secrets())
    with shielded(host, never=HIGHER):
        host.close()  # its sshd ends; the next command comes over a new connection
    assert [proven for _, proven in recorder.restorations()] == [True]
    host.close()


def test_a_session_that_ends_while_it_is_looked_at_has_nothing_to_be_put_back(tmp_path: Path) -> None:
    """Its start is read, and then it is gone: here its value comes from a FIFO, and its stat goes away meanwhile."""
    one, folder = session(tmp_path)
    os.mkfifo(folder / "oom_score_adj")
    with subprocess.Popen(one.command(str(tmp_path), _IS, "0")) as looking:
        with (folder / "oom_score_adj").open("wb"):  # opens once the other side reads: the start was looked at before
            (folder / "stat").unlink()
        assert looking.wait(10) == 0


def test_a_session_that_is_there_with_another_value_is_not_put_back(tmp_path: Path) -> None:
    one, folder = session(tmp_path)
    (folder / "oom_score_adj").write_text("-1000\n")
    assert subprocess.run(one.command(str(tmp_path), _IS, "0"), check=False).returncode == 1


def test_a_session_that_is_gone_is_not_told_to_be_protected(tmp_path: Path) -> None:
    one, folder = session(tmp_path)
    (folder / "oom_score_adj").write_text("0\n")
    (folder / "stat").write_text((folder / "stat").read_text().replace(" 22 ", " 23 "))  # another process by now
    assert subprocess.run(one.command(str(tmp_path), _TAKE, "300"), check=False).returncode == 1
    assert (folder / "oom_score_adj").read_text() == "0\n"


def test_a_kernel_that_does_not_take_the_value_is_said_and_nothing_is_left(
    host: SshHost, recorder: MemoryRecorder
) -> None:
    with shielded(host, never={"oom_score_adj": 5000, "oom_adj": 50}) as shield:
        assert "did not take 5000" in shield.problem
        assert shield.protected == []
    assert [proven for _, proven in recorder.restorations()] == [True]
