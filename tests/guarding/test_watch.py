"""A target is watched while its memory is read: too little memory or too much load ends the reading."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from forensics.guarding import watch
from forensics.guarding.watch import Bounds, Watch
from forensics.ssh import Secrets, SshHost, connect
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd

OLD = b"0.50 0.60 0.70 1/99 1234\nMemTotal: 500000 kB\nMemFree: 1000 kB\nBuffers: 200 kB\nCached: 3000 kB\n"


def seen(load: float, available: int) -> bytes:
    return b"%.2f 0.10 0.10 2/100 4321\nMemTotal:  900000 kB\nMemFree: 1 kB\nMemAvailable: %d kB\n" % (load, available)


@pytest.fixture
def host(sshd: Sshd) -> Iterator[SshHost]:
    found = connect(sshd.target(), MemoryRecorder(), Secrets())
    yield found
    found.close()


def test_available_memory_is_told_of_kernels_that_do_not_count_it() -> None:
    assert watch.read(OLD) == watch.Look(0.5, 4200 << 10)
    assert watch.read(seen(1.25, 77)) == watch.Look(1.25, 77 << 10)
    assert watch.read(b"\x1b[2Jno such thing\n") == watch.Look(None, None)


def test_memory_that_stays_low_ends_it_and_a_moment_does_not() -> None:
    watched = Watch(Bounds(memory=64 << 20, load=0))
    for available in (30000, 30000, 90000, 30000, 30000):
        watched.take(seen(500.0, available))
    assert watched.reason == ""
    watched.take(seen(500.0, 30000))
    assert "30000 KiB of memory were available, less than 32768" in watched.reason
    assert watched.told()["least_memory_available"] == 30000 << 10


def test_load_counts_by_processor() -> None:
    watched = Watch(Bounds(memory=0, load=4.0), processors=2)
    for _ in range(5):
        watched.take(seen(7.9, 1))
    assert watched.reason == ""
    for _ in range(3):
        watched.take(seen(8.1, 1))
    assert "load was 8.1, more than 8.0" in watched.reason


def test_no_acquisition_begins_below_the_floor(host: SshHost) -> None:
    assert watch.too_little(host, Bounds()) == ""
    assert watch.too_little(host, Bounds(memory=0)) == ""
    assert "--min-memory" in watch.too_little(host, Bounds(memory=1 << 60))


def test_one_command_watches_all_the_time_and_is_gone_afterwards(
    host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.1)
    with watch.watching(host, Bounds(memory=1 << 60, load=0)) as watched:
        limit = time.monotonic() + 30
        while not watched.reason and time.monotonic() < limit:
            time.sleep(0.05)
    told = watched.told()
    assert "MiB" not in watched.reason
    assert "--min-memory" in watched.reason
    assert told["problem"] == ""
    assert watched.looks >= 3
    assert host.run("pgrep", "-f", "echo @over").status == 1
    assert host.run("true").ok  # the connection is as it was


def test_a_target_that_cannot_be_watched_is_said(idle_sshd: Sshd) -> None:
    idle_sshd.start("MaxSessions 1")
    host = connect(idle_sshd.target(), MemoryRecorder(), Secrets())
    with host.stream("sleep", "60"), watch.watching(host, Bounds()) as watched:
        assert "no further session" in watched.problem
    host.close()
