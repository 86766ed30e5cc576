"""What is put on a target is on record before, taken away afterwards, and looked for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from forensics.errors import CaseError, TargetError
from forensics.guarding.watch import Bounds, watching
from forensics.host import Change
from forensics.ssh import Secrets, SshHost, connect
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd

pytestmark = pytest.mark.root


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture
def host(sshd: Sshd, recorder: MemoryRecorder) -> Iterator[SshHost]:
    reached = connect(sshd.target(), recorder, Secrets())
    yield reached
    reached.close()


def file_change(path: Path, undo: tuple[str, ...] = ()) -> Change:
    return Change("file", str(path), undo or ("rm", "-f", "--", str(path)), ("test", "!", "-e", str(path)))


def test_a_change_is_recorded_before_and_proven_gone_after(
    host: SshHost, recorder: MemoryRecorder, tmp_path: Path
) -> None:
    path = tmp_path / "made"
    with host.change(file_change(path)):
        assert recorder.events[-1] == ("intend", file_change(path))
        path.touch()
    assert not path.exists()
    assert recorder.restorations() == [(str(path), True)]


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()])
def test_a_change_is_undone_when_its_block_breaks(
    host: SshHost, recorder: MemoryRecorder, tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "made"

    def work() -> None:
        with host.change(file_change(path)):
            path.touch()
            raise error

    with pytest.raises(type(error)):
        work()
    assert not path.exists()
    assert recorder.restorations() == [(str(path), True)]


def test_what_cannot_be_taken_away_is_said(host: SshHost, recorder: MemoryRecorder, tmp_path: Path) -> None:
    path = tmp_path / "made"
    with pytest.raises(TargetError, match="left on the target: file"), host.change(file_change(path, ("false",))):
        path.touch()
    assert recorder.restorations() == [(str(path), False)]


def test_what_is_left_never_hides_the_error_of_the_block(
    host: SshHost, recorder: MemoryRecorder, tmp_path: Path
) -> None:
    path = tmp_path / "made"

    def work() -> None:
        with host.change(file_change(path, ("no-such-program",))):
            path.touch()
            raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        work()
    assert recorder.restorations() == [(str(path), False)]


def test_a_file_is_put_below_a_workplace_only(host: SshHost, tmp_path: Path) -> None:
    with host.workplace() as place:
        for wrong in (tmp_path / "x", place, place / ".." / "x"):
            with pytest.raises(ValueError, match="not below a workplace"):
                host.put(b"", wrong)
        (tmp_path / "module").write_bytes(bytes(range(256)) * 5000)
        host.put(tmp_path / "module", place / "module")
        assert (place / "module").read_bytes() == (tmp_path / "module").read_bytes()
    with pytest.raises(ValueError, match="not below a workplace"):
        host.put(b"", place / "late")


def test_another_run_takes_away_what_was_left(host: SshHost, recorder: MemoryRecorder, tmp_path: Path) -> None:
    recorder.boot_id = host.identity().boot_id
    for name in ("first", "second"):
        (tmp_path / name).touch()
        recorder.intend(file_change(tmp_path / name))
    stuck = file_change(tmp_path, ("false",))
    recorder.intend(stuck)
    done = list(host.restore())
    assert [(change.subject, proven) for change, proven, _ in done] == [
        (str(tmp_path), False),
        (str(tmp_path / "second"), True),
        (str(tmp_path / "first"), True),
    ]
    assert not list(tmp_path.iterdir())
    assert [change for _, change, _ in recorder.dangling()] == [stuck]


def test_a_reboot_takes_away_what_is_not_on_disk(host: SshHost, recorder: MemoryRecorder, tmp_path: Path) -> None:
    recorder.boot_id = "another boot"
    (tmp_path / "file").touch()
    recorder.intend(Change("module", "lime", ("false",), ("false",)))
    recorder.intend(Change("folder", "/run/forensics-1234", ("false",), ("false",)))
    recorder.intend(file_change(tmp_path / "file"))
    done = [(change.subject, proven, "reboot" in reason) for change, proven, reason in host.restore()]
    assert done == [
        (str(tmp_path / "file"), True, False),
        ("/run/forensics-1234", True, True),
        ("lime", True, True),
    ]
    assert not (tmp_path / "file").exists()


def test_nothing_left_needs_no_connection(idle_sshd: Sshd) -> None:
    recorder = MemoryRecorder()
    assert list(connect(idle_sshd.target(), recorder, Secrets()).restore()) == []
    assert recorder.events == []


class FullDisk(MemoryRecorder):
    """A record that takes nothing more from a moment on, as a ledger on a full disk."""

    full: bool = False

    def command(self, argv: Sequence[str], *, root: bool) -> None:
        self._write()
        super().command(argv, root=root)

    def restored(self, intent: int, change: Change, *, proven: bool, reason: str = "") -> None:
        self._write()
        super().restored(intent, change, proven=proven, reason=reason)

    def _write(self) -> None:
        if self.full:
            raise CaseError("the ledger could not be written", why="No space left on device")


def test_the_target_is_put_back_though_our_own_disk_is_full(sshd: Sshd) -> None:
    recorder = FullDisk()
    host = connect(sshd.target(), recorder, Secrets())
    with pytest.raises(CaseError, match="ledger"), host.workplace() as place:  # noqa: PT012 - it breaks in the middle
        host.put(b"module", place / "lime.ko")
        assert (place / "lime.ko").exists()
        recorder.full = True
        host.run("true")
    assert not place.exists()
    assert len(recorder.dangling()) == 2, "it is on record as there, and the next run looks"
    host.close()


def test_a_command_of_ours_is_ended_though_our_own_disk_is_full(sshd: Sshd) -> None:
    recorder = FullDisk()
    host = connect(sshd.target(), recorder, Secrets())
    with host.stream("/bin/sh", "-c", "echo $$; exec sleep 3600") as stream:
        process = Path("/proc") / bytes(stream.read()).decode().strip()
        assert process.exists()
        recorder.full = True
    assert not process.exists()
    host.close()


@pytest.mark.timeout(60)
def test_who_watches_a_target_stops_when_our_own_disk_is_full(sshd: Sshd) -> None:
    recorder = FullDisk()
    host = connect(sshd.target(), recorder, Secrets())
    with pytest.raises(CaseError, match="ledger"), watching(host, Bounds()) as watch:  # noqa: PT012 - as above
        while not watch.looks:
            time.sleep(0.05)
        recorder.full = True
        host.run("true")
    host.close()
