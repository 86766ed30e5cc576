"""Every collector on every suite, as root and through sudo, with its tools and without; and the target is as before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.collectors import Chosen, CollectSettings, Output, collectors
from forensics.lab import labs
from forensics.lab.recipe import Recipe
from forensics.lab.state import Lab, resolve
from forensics.model import JSON, Draft, Outcome, Result, Role
from forensics.ssh import Secret, Secrets, connect
from forensics.stages.collect import collect
from forensics.tables import Row
from forensics.text import show
from tests.lab.watching import look, ours
from tests.recorder import MemoryRecorder
from tests.stages.live import FACTS, desk

pytestmark = [pytest.mark.lab, pytest.mark.matrix, pytest.mark.timeout(3600)]

SUITES = ("bookworm", "trixie", "bullseye")
ACCOUNTS = ("root", "analyst")
SHORT: dict[str, dict[str, JSON]] = {
    "block_io": {"seconds": 5, "device": "vda"},
    "iostat": {"seconds": 3},
    "iotop": {"seconds": 3},
    "pidstat": {"seconds": 3},
    "oom_watch": {"seconds": 4},
    "packages": {"only": ["bash", "coreutils"]},
    "lynis": {"limit": 900, "defaults": False, "groups": ["banners", "memory_processes", "tooling"]},
}
TOOLS = (
    "ps",
    "ss",
    "who",
    "dmesg",
    "journalctl",
    "systemctl",
    "iostat",
    "iotop",
    "pidstat",
    "blktrace",
    "dpkg",
    "dpkg-query",
)
"""Taken away for the second round: what collectors ask, and not what a login or sudo needs."""
HIDE = "for t in {tools}; do for d in /usr/bin /usr/sbin; do [ ! -e $d/$t ] || mv $d/$t $d/$t.away; done; done"
KEEP = os.environ.get("KEEP_CAPTURED", "")
"""A folder: what was captured is kept there, to be looked at and to become a case of tests/collectors/captured."""


@pytest.fixture(scope="module", params=SUITES)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp(f"lab-{request.param}")
    with labs.booted(root, "lab", Recipe(suite=request.param, seed=20261124)) as up:
        labs.ask(up, _PLANT, seconds=600)
        yield up


_PLANT = r"""
echo '* * * * * root pgrep -f /usr/sbin/sshd | while read PID; do echo -17 > /proc/$PID/oom_adj; done' >/etc/cron.d/keep
echo 1 >/proc/sys/kernel/sysrq
perl -e '$m = "x" x 20_000_000; sleep 3600' >/dev/null 2>&1 </dev/null &
sleep 3; echo f >/proc/sysrq-trigger
perl -e 'open F, "+>", $ARGV[0]; syswrite F, "z" x 4096; unlink $ARGV[0]; sleep 3600' /var/tmp/held \
  >/dev/null 2>&1 </dev/null &
mkdir -p /etc/stunnel /var/crash/202611240001
printf 'chroot = /var/run/stunnel\noutput = /stunnel.log\n[mysql]\naccept = 44323\nconnect = 3306\n' \
  >/etc/stunnel/my.conf
printf 'KDUMP   ' >/var/crash/202611240001/dump.202611240001
sleep 2
"""


def run(lab: Lab, account: str, folder: Path) -> tuple[dict[str, Result], MemoryRecorder, dict[str, list[Draft]]]:
    recorder = MemoryRecorder()
    secret = Secrets(sudo=Secret(lab.password.read_text().strip()) if account != "root" else None)
    groups = tuple((Chosen(name, SHORT.get(name, {})),) for name in collectors())
    host = connect(resolve(lab.folder.parents[1], "lab", account), recorder, secret)
    try:
        given = list(collect.work(desk(folder), host, FACTS, CollectSettings(groups)))
    finally:
        host.close()
    drafts: dict[str, list[Draft]] = {}
    for one in given:
        if isinstance(one, Draft):
            drafts.setdefault(one.item, []).append(one)
    return {one.item: one for one in given if isinstance(one, Result)}, recorder, drafts


def keep(lab: Lab, account: str, drafts: dict[str, list[Draft]]) -> None:
    """Keep parts as files by collector, for those who look."""
    for name, parts in drafts.items() if KEEP else ():
        folder = Path(KEEP) / name / f"{lab.recipe.suite}-{account}"
        folder.mkdir(parents=True, exist_ok=True)
        for part in parts:
            (folder / str(part.facts["part"])).write_bytes(part.path.read_bytes())


@pytest.mark.parametrize("account", ACCOUNTS)
def test_every_collector_brings_something_and_the_target_is_as_before(lab: Lab, account: str, tmp_path: Path) -> None:
    before = look(lab)
    results, recorder, drafts = run(lab, account, tmp_path)
    after = look(lab)
    keep(lab, account, drafts)
    assert set(results) == set(collectors())
    short = {name: f"{one.outcome}: {one.reason}" for name, one in results.items() if one.outcome is not Outcome.DONE}
    assert set(short) <= {"users", "environments"}, short
    assert recorder.dangling() == []
    for part in ("mounts", "modules", "settings", "tracing", "programs", "sockets"):
        assert after[part] ^ before[part] == frozenset(), part
    assert ours(before, after) == []

    show_planted(drafts)


def show_planted(drafts: dict[str, list[Draft]]) -> None:
    """Read what was brought: all of it is read, and it has what was planted."""
    tables: dict[str, list[Row]] = {}
    for name, parts in drafts.items():
        brought = {str(one.facts["part"]): one.path.read_bytes() for one in parts if one.role is Role.EVIDENCE}
        facts = {str(one.facts["part"]): dict(one.facts) for one in parts}
        reading = collectors()[name].read(Output(brought, facts))
        assert not any(reading.unread.values()), (name, reading.unread)
        tables |= {table.name: list(table) for table in reading.tables}
    assert any(row["manual"] is True for row in tables["oom_kills"])
    assert any(row["manual"] is False and row["victim"] for row in tables["oom_kills"])
    assert any(row["kind"] == "cron" and row["value"] == -17 for row in tables["oom_adjusters"])
    assert any(row["path"] == "/var/tmp/held" and row["size"] == 4096 for row in tables["deleted_open"])
    assert any(row["kind"] == "kdump-compressed" for row in tables["crash_files"])
    assert any(row["service"] == "mysql" and row["chroot"] == "/var/run/stunnel" for row in tables["tunnels"])
    assert {row["manual"] for row in tables["oom_kills_logged"]} == {True, False}


@pytest.mark.parametrize("account", ACCOUNTS)
def test_without_its_tools_each_ends_in_an_outcome_with_a_reason(lab: Lab, account: str, tmp_path: Path) -> None:
    labs.ask(lab, HIDE.format(tools=" ".join(TOOLS)), seconds=300)
    before = look(lab)
    results, recorder, _ = run(lab, account, tmp_path)
    after = look(lab)
    assert set(results) == set(collectors())
    for name, one in results.items():
        assert one.outcome is Outcome.DONE or one.reason, name
        print(f"{lab.recipe.suite} {account} {name}: {one.outcome} {show(one.reason)}")  # noqa: T201 - the record of the run
    assert {name for name, one in results.items() if one.outcome is Outcome.ABSENT} >= {
        "processes",
        "services",
        "iostat",
    }
    assert recorder.dangling() == []
    for part in ("mounts", "modules", "settings", "tracing", "programs", "sockets"):
        assert after[part] ^ before[part] == frozenset(), part
    assert ours(before, after) == []
