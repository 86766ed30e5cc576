"""LiME compiled on the target where the analyst asks for it: on record, checked as any other, and nothing left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.host import Change
from forensics.lime import on_target
from forensics.model import LimeModule, NotBuilt, Outcome
from forensics.ssh.host import SshHost
from forensics.stage import Entered
from forensics.stages.build_there import ThereSettings, build_on_target
from tests.kernel_module import SOURCE
from tests.known import RELEASE, desk, entered, facts
from tests.recorder import MemoryRecorder
from tests.sshd import idle_sshd, sshd
from tests.stages.test_headers import OWN, VERMAGIC, Kept, host, kept, lime_source

__all__ = ["host", "idle_sshd", "kept", "sshd"]

NONE = NotBuilt((), "no headers here")
TMPFS = (Path("/run"), Path("/dev/shm"), Path("/var/tmp"), Path("/tmp"))


def ours() -> set[Path]:
    return {one for folder in TMPFS for one in folder.glob("forensics-????????????????????????????????")}


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = ours()
    yield
    assert ours() <= before


def built(case: Path, host: SshHost, lime: Path) -> tuple[LimeModule | NotBuilt, Entered, str]:
    work = build_on_target.work(desk(case, "build_on_target"), host, facts(), NONE, ThereSettings(lime))
    made = entered(case, work)
    return build_on_target.gives(made), made, (case / "build_on_target" / "build.txt").read_text()


def recorder_of(host: SshHost) -> MemoryRecorder:
    found = host._recorder
    assert isinstance(found, MemoryRecorder)
    return found


def test_the_module_comes_here_and_the_deviation_and_all_that_was_there_is_on_record(
    tmp_path: Path, host: SshHost
) -> None:
    lime = lime_source(tmp_path / "lime")
    (lime / "Makefile").write_text(
        'default:\n\ttest "$$TMPDIR" = "$(CURDIR)"\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) modules\n'
        "\tmv lime.ko lime-$(KVER).ko\n\tsleep 0.1; touch $(KDIR)/Module.symvers\n"
    )
    found, made, log = built(tmp_path / "case", host, lime)
    assert isinstance(found, LimeModule), found.reason
    assert found.vermagic == VERMAGIC.strip()
    assert found.module.facts["origin"] == [f"compiled on the target with {OWN}", "LiME unknown: given"]
    assert [one.outcome for one in made.results] == [Outcome.DONE]
    assert on_target.DEVIATION in log
    assert "on our side: no headers here" in log
    recorder = recorder_of(host)
    intended = [event[1] for event in recorder.events if event[0] == "intend"]
    changes = {change.kind: change for change in intended if isinstance(change, Change)}
    assert set(changes) == {"folder", "build"}
    assert changes["build"].deviation == on_target.DEVIATION
    assert [proven for _, proven in recorder.restorations()] == [True, True]
    assert f"newer than the build, among the headers: {OWN}/Module.symvers" in log


def test_a_module_for_another_kernel_is_refused_there_as_here(tmp_path: Path, host: SshHost) -> None:
    lime = lime_source(tmp_path / "lime")
    (lime / "main.c").write_text(SOURCE % VERMAGIC.replace(RELEASE, "6.1.0-98-test-amd64"))
    found, _, log = built(tmp_path / "case", host, lime)
    assert isinstance(found, NotBuilt)
    assert "not for the target's kernel" in found.reason
    assert "NOT BUILT" in log


def test_what_make_says_when_it_fails_is_the_reason(tmp_path: Path, host: SshHost) -> None:
    lime = lime_source(tmp_path / "lime")
    (lime / "main.c").write_text("int x = no_such_thing;\n")
    found, _, _ = built(tmp_path / "case", host, lime)
    assert isinstance(found, NotBuilt)
    assert "make ended with 2" in found.reason
    assert "no_such_thing" in found.reason


def test_a_make_without_an_end_is_ended_with_its_children(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_target, "SECONDS", 1.0)
    lime = lime_source(tmp_path / "lime")
    (lime / "Makefile").write_text("default:\n\techo $$$$ >" + str(tmp_path / "pid") + "; sleep 600; true\n")
    found, _, _ = built(tmp_path / "case", host, lime)
    assert isinstance(found, NotBuilt)
    assert "make was ended by our limit (time)" in found.reason
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_link_in_the_place_of_the_module_is_not_followed(tmp_path: Path, host: SshHost) -> None:
    lime = lime_source(tmp_path / "lime")
    (lime / "Makefile").write_text("default:\n\tln -s /etc/passwd lime.ko\n")
    found, _, _ = built(tmp_path / "case", host, lime)
    assert isinstance(found, NotBuilt)
    assert "there is no module" in found.reason


def test_a_target_without_headers_is_told_and_nothing_is_put_there(tmp_path: Path, host: SshHost, kept: Kept) -> None:
    shutil.rmtree(kept.modules / RELEASE)
    found, _, _ = built(tmp_path / "case", host, lime_source(tmp_path / "lime"))
    assert isinstance(found, NotBuilt)
    assert "no headers: the target keeps none" in found.reason
    assert not [event for event in recorder_of(host).events if event[0] == "intend"]
