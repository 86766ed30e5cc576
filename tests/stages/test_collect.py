"""Collecting over a real connection: each kind ends in one outcome, and one that breaks does not stop the next."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from forensics.collectors import Chosen, CollectSettings
from forensics.host import Gone
from forensics.model import Draft, Outcome, Result, Role
from forensics.ssh import Secrets, SshHost, connect
from forensics.stages.collect import collect
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd
from tests.stages.live import FACTS, desk

pytestmark = pytest.mark.root


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture
def host(sshd: Sshd, recorder: MemoryRecorder) -> Iterator[SshHost]:
    reached = connect(sshd.target(), recorder, Secrets())
    yield reached
    reached.close()


def chosen(*names: str) -> CollectSettings:
    return CollectSettings(tuple((Chosen(name),) for name in names))


def run(host: SshHost, folder: Path, settings: CollectSettings) -> tuple[list[Draft], dict[str, Result]]:
    given = list(collect.work(desk(folder), host, FACTS, settings))
    return [one for one in given if isinstance(one, Draft)], {one.item: one for one in given if isinstance(one, Result)}


def test_every_file_comes_before_its_result_with_the_command_that_gave_it(host: SshHost, tmp_path: Path) -> None:
    given = list(collect.work(desk(tmp_path), host, FACTS, chosen("load", "mounts")))
    assert [one.item for one in given] == ["load", "load", "mounts", "mounts"]
    draft = given[0]
    assert isinstance(draft, Draft)
    assert (draft.kind, draft.role, draft.name) == ("live-output", Role.EVIDENCE, "load-load")
    assert draft.facts["part"] == "load"
    assert str(draft.facts["argv"]).startswith("['/usr/bin/grep'")
    assert draft.path.read_bytes().startswith(b"/proc/loadavg:")


def test_our_own_process_is_in_the_list(host: SshHost, tmp_path: Path) -> None:
    drafts, results = run(host, tmp_path, chosen("processes"))
    assert results["processes"].outcome is Outcome.DONE
    listed = next(draft for draft in drafts if draft.facts["part"] == "ps").path.read_bytes()
    assert any(int(line.split()[0]) == os.getpid() for line in listed.splitlines())


@pytest.mark.skipif(bool(shutil.which("iotop")), reason="iotop is installed here, so it cannot be missing")
def test_a_missing_program_is_absent_with_its_package_and_the_next_one_runs(host: SshHost, tmp_path: Path) -> None:
    drafts, results = run(host, tmp_path, chosen("iotop", "load"))
    assert results["iotop"] == Result("iotop", Outcome.ABSENT, "the target has no iotop (package iotop)")
    assert results["load"].outcome is Outcome.DONE
    assert {draft.item for draft in drafts} == {"load"}


def test_an_unknown_disk_is_a_failure_with_its_remedy(host: SshHost, tmp_path: Path) -> None:
    if not shutil.which("blktrace"):
        pytest.skip("blktrace is not here")
    result = run(host, tmp_path, chosen("block_io"))[1]["block_io"]
    assert result.outcome is Outcome.FAILED
    assert "give `device` in the plan" in result.reason


def test_what_had_ended_before_is_not_asked_again(host: SshHost, recorder: MemoryRecorder, tmp_path: Path) -> None:
    before = desk(tmp_path, {"load": Result("load", Outcome.DONE)})
    assert {one.item for one in collect.work(before, host, FACTS, chosen("load", "mounts"))} == {"mounts"}
    assert not any("loadavg" in " ".join(argv) for argv in recorder.commands())


def test_a_command_that_is_too_long_is_cut_and_the_cut_is_said(host: SshHost, tmp_path: Path) -> None:
    settings = CollectSettings(((Chosen("load", {"bytes": 100}),),))
    drafts, results = run(host, tmp_path, settings)
    assert results["load"].outcome is Outcome.FAILED or results["load"].outcome is Outcome.PARTIAL
    assert "limit of bytes" in results["load"].reason
    assert drafts[0].path.stat().st_size <= 100


def test_two_run_at_the_same_time_when_the_plan_says_so(host: SshHost, tmp_path: Path) -> None:
    if not shutil.which("iostat"):
        pytest.skip("iostat (package sysstat) is not here")
    together = CollectSettings(((Chosen("iostat", {"seconds": 2}), Chosen("iotop", {"seconds": 2})),))
    facts = replace(FACTS, tools={"iotop": "/usr/sbin/iotop"})  # as the survey saw it; it has gone since
    given = list(collect.work(desk(tmp_path), host, facts, together))
    results = {one.item: one for one in given if isinstance(one, Result)}
    assert results["iostat"].outcome is Outcome.DONE
    assert results["iotop"].outcome in {Outcome.ABSENT, Outcome.DONE, Outcome.EMPTY}


def test_of_a_target_that_is_gone_nothing_is_asked_and_each_kind_says_so(tmp_path: Path) -> None:
    before = desk(tmp_path, {"load": Result("load", Outcome.DONE)})
    given = list(collect.work(before, Gone("it burnt down"), FACTS, chosen("load", "mounts", "lynis")))
    assert [(one.item, one.outcome) for one in given if isinstance(one, Result)] == [
        ("mounts", Outcome.NOT_RUN),
        ("lynis", Outcome.NOT_RUN),
    ]
    assert "it burnt down" in str(given[-1])
    assert len(given) == 2


def test_what_a_collector_brings_is_for_its_owner_alone_before_it_is_entered(host: SshHost, tmp_path: Path) -> None:
    """Work that is broken off leaves its files where they are."""
    place = desk(tmp_path)
    before = os.umask(0o022)
    try:
        settings = CollectSettings(((Chosen("load"),), (Chosen("oom_watch", {"seconds": 1}),)))
        drafts = [one for one in collect.work(place, host, FACTS, settings) if isinstance(one, Draft)]
    finally:
        os.umask(before)
    assert {one.item for one in drafts} == {"load", "oom_watch"}
    written = list(place.work.rglob("*"))
    assert len(written) > len({one.item for one in drafts})
    assert {str(path): path.stat().st_mode & 0o077 for path in written} == {str(path): 0 for path in written}
