"""A folder on the target is written to only where nobody but root can read, replace or redirect what comes."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.errors import Refused
from forensics.host import Change
from forensics.lime import folders
from forensics.ssh import Secrets, SshHost, connect
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd, skip

pytestmark = pytest.mark.root


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture
def host(sshd: Sshd, recorder: MemoryRecorder) -> Iterator[SshHost]:
    found = connect(sshd.target(), recorder, Secrets())
    yield found
    found.close()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "usb"
    folder.mkdir(0o755)
    return folder


def refused(host: SshHost, folder: object, needed: int = 1) -> str:
    with pytest.raises(Refused) as told:
        folders.inspect(host, str(folder), needed)
    return told.value.why


def test_a_folder_of_roots_with_room_is_taken(host: SshHost, disk: Path) -> None:
    told = folders.inspect(host, str(disk), 1 << 20)
    assert told["folder"] == str(disk)
    assert isinstance(told["free"], int)
    assert told["free"] > 1 << 20


def test_what_leads_elsewhere_is_refused_wherever_in_the_path(host: SshHost, disk: Path) -> None:
    (disk / "real").mkdir()
    (disk / "link").symlink_to(disk / "real")
    (disk / "real/deep").mkdir()
    assert f"it leads elsewhere: {disk}/real;" in refused(host, disk / "link")
    assert "it leads elsewhere" in refused(host, disk / "link/deep")


def test_what_others_may_write_to_is_refused_and_a_sticky_one_is_not(host: SshHost, disk: Path) -> None:
    (disk / "open").mkdir()
    (disk / "open").chmod(0o777)
    (disk / "open/inner").mkdir(0o700)
    assert f"others may write in {disk}/open (mode 777)" in refused(host, disk / "open/inner")
    (disk / "open").chmod(0o1777)
    folders.inspect(host, str(disk / "open/inner"), 1)


def test_another_owner_is_put_on_record(host: SshHost, disk: Path) -> None:
    os.chown(disk, 1234, 1234)
    assert folders.inspect(host, str(disk), 1)["owned_by_others"] == [f"{disk} (uid 1234)"]


@pytest.mark.parametrize("words", ["relative/usb", "/mnt/../etc", "/mnt/a b", "/mnt/$(id)", "/mnt/'", ""])
def test_words_that_are_no_plain_path_are_refused(host: SshHost, recorder: MemoryRecorder, words: str) -> None:
    assert "absolute" in refused(host, words)
    assert recorder.commands() == []


def test_too_little_room_and_memory_itself_are_refused_before(host: SshHost, disk: Path) -> None:
    assert "are free" in refused(host, disk, 1 << 60)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", disk], check=False).returncode:
        skip("cannot mount a tmpfs: needs root with CAP_SYS_ADMIN")
    try:
        assert "tmpfs" in refused(host, disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_private_folder_is_roots_alone_and_cannot_be_planted(host: SshHost, disk: Path) -> None:
    names = {folders.name(str(disk)) for _ in range(50)}
    assert len(names) == 50
    place = names.pop()
    folders.make(host, place)
    assert (place.stat().st_uid, place.stat().st_mode & 0o7777) == (0, 0o700)
    planted = names.pop()
    planted.symlink_to(disk)
    with pytest.raises(Exception, match="failed"):
        folders.make(host, planted)


def test_limes_file_is_taken_from_others(host: SshHost, disk: Path) -> None:
    file = disk / folders.FILE
    file.write_bytes(b"x" * 10)
    file.chmod(0o444)
    assert folders.close(host, file) == {"bytes_there": 10, "mode_there": "0600"}
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("finished", [True, False])
def test_what_is_to_stay_stays_only_when_it_is_finished(host: SshHost, disk: Path, *, finished: bool) -> None:
    place = disk / "forensics-1"
    change: Change = folders.change(place, stays=True)
    with host.change(change):
        folders.make(host, place)
        (place / folders.FILE).write_bytes(b"memory")
        if finished:
            (place / folders.PAPER).write_text(hashlib.sha256(b"memory").hexdigest())
    assert place.exists() is finished
    assert change.deviation


def test_what_was_fetched_is_removed_and_looked_for(host: SshHost, disk: Path, recorder: MemoryRecorder) -> None:
    place = disk / "forensics-2"
    with host.change(folders.change(place, stays=False)):
        folders.make(host, place)
        (place / folders.FILE).write_bytes(b"memory")
    assert not place.exists()
    assert recorder.restorations() == [(str(place), True)]
