"""What an analyst's side and a target can refuse: room, headers, modules; and what the case says then."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.lab import labs
from forensics.lab.recipe import QUIET_DISK, Recipe
from forensics.lab.state import Lab
from tests.lab.watching import look, ours
from tests.lab.workstation import CaseFolder, Workstation, pdf_words, squeezed, until

pytestmark = [pytest.mark.lab, pytest.mark.faults, pytest.mark.timeout(2400)]

RUN = ("root@lab", "--plan", "lab")
OTHER = "6.1.0-1-cloud-amd64"
MIB = 1 << 20


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Workstation:
    return Workstation(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def lab(desk: Workstation) -> Iterator[Lab]:
    with labs.booted(desk.root, "lab", Recipe(seed=9)) as up:
        yield up


@pytest.fixture
def small(desk: Workstation) -> Iterator[Path]:
    """A volume of 420 MiB under cases/: enough for the image of 256 MiB, and for little more."""
    volume = desk.root / "cases"
    volume.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=420m,mode=700", "tmpfs", volume], check=True)
    try:
        yield volume
    finally:
        subprocess.run(["umount", volume], check=True)


def fill(volume: Path, *, leave: int) -> Path:
    """Take the room of a volume, but for these bytes."""
    ballast = volume / "ballast"
    room = shutil.disk_usage(volume).free - leave
    subprocess.run(["fallocate", "-l", str(room), ballast], check=True)
    return ballast


@pytest.mark.root
def test_too_little_room_is_said_before_memory_is_asked_for(desk: Workstation, lab: Lab, small: Path) -> None:
    case = desk.open_case("no-room")
    before = look(lab)
    ballast = fill(small, leave=150 * MIB)
    ended = desk.forensics("run", "no-room", *RUN)
    assert ended.code == 1, ended.err
    assert str(small) in ended.error["where"]
    assert set(ended.error) == {"error", "where", "why", "do"}
    outcome, reason = case.ends("acquire")[-1]
    assert outcome == "failed"
    assert str(small) in reason
    after = look(lab)
    assert ours(before, after) == []
    assert "lime" not in after["modules"]
    ballast.unlink()
    assert desk.forensics("run", "no-room", *RUN, "--until", "acquire").code == 0
    assert desk.forensics("verify", "no-room").code == 0


@pytest.mark.root
def test_a_volume_that_fills_up_under_the_image_is_named_and_the_target_is_clean(
    desk: Workstation, lab: Lab, small: Path
) -> None:
    case = desk.open_case("filled-up")
    before = look(lab)
    with desk.begin("run", "filled-up", *RUN) as running:
        until(lambda: any(one.stat().st_size > 16 * MIB for one in small.glob("*/work/*/*.lime")), 600, running)
        ballast = fill(small, leave=8 * MIB)
        ended = desk.finish(running)
    assert ended.code == 1, (ended.out, ended.err)
    assert str(small) in ended.error["where"] + ended.error["why"], ended.err
    after = look(lab)
    assert ours(before, after) == []
    assert "lime" not in after["modules"]
    assert before["mounts"] == after["mounts"]
    ballast.unlink()
    partial = len(case.entered("partial-image")) + len(case.entered("memory-image"))
    again = desk.forensics("run", "filled-up", *RUN, "--until", "survey")
    assert again.code == 0, again.err
    partial = max(partial, len(case.entered("partial-image")))
    assert partial == 1, "what had come is evidence"
    assert desk.forensics("verify", "filled-up").code == 0


@pytest.mark.usefixtures("lab")
def test_headers_of_another_kernel_are_refused_with_both_releases(desk: Workstation, tmp_path: Path) -> None:
    case = desk.open_case("other-headers")
    (tmp_path / ".kernelvariables").write_text(f"override KERNELRELEASE = {OTHER}\n")
    ended = desk.forensics("run", "other-headers", *RUN, "--until", "symbols", "--headers", str(tmp_path))
    assert ended.code == 3, ended.err
    outcome, reason = case.items("build")["lime"]
    assert outcome == "failed"
    assert OTHER in reason
    assert release(case) in reason
    assert reason in " ".join(ended.out.split()) or OTHER in ended.out
    assert case.ends("symbols")[-1][0] == "finished"


def release(case: CaseFolder) -> str:
    starts = [one["details"] for one in case.events if one["action"] == "stage started"]
    return str(next(one["release"] for one in starts if one["release"]))


def test_a_kernel_that_refuses_modules_leaves_gaps_that_the_report_explains(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    desk = Workstation(tmp_path_factory.mktemp("enforcing"))
    recipe = Recipe(seed=10, without=QUIET_DISK, append="module.sig_enforce=1")
    with labs.booted(desk.root, "lab", recipe) as enforcing:
        case = desk.open_case("enforcing")
        before = look(enforcing)
        ended = desk.forensics("run", "enforcing", *RUN, "--engine", "lime")
        after = look(enforcing)
        other = desk.open_case("enforcing-auto")
        taken = desk.forensics("run", "enforcing-auto", *RUN, "--until", "prove")
        left = look(enforcing)
    assert ended.code == 3, ended.err
    outcome, reason = case.items("acquire")["memory"]
    assert outcome == "failed"
    assert "sign" in reason
    assert "--engine kcore" in reason
    assert case.items("prove")["proof"][0] == "not run"
    assert {told[0] for told in case.items("analyse").values()} <= {"not run"}
    assert {told[0] for told in case.items("collect").values()} <= {"done", "empty"}
    words = pdf_words(desk.root / "reports/enforcing.pdf")
    assert squeezed(reason) in words
    assert ours(before, after) == []
    assert before["modules"] == after["modules"]
    assert desk.forensics("verify", "enforcing").code == 0
    assert taken.code == 0, (taken.out, taken.err)
    assert other.items("prove")["proof"][0] == "done"
    (ended_item,) = [one for one in other.events if (one["action"], one["stage"]) == ("item ended", "acquire")]
    attempts = ended_item["details"]["facts"]["attempts"]
    assert [(one["engine"], one["outcome"]) for one in attempts] == [("lime", "not acquired"), ("kcore", "acquired")]
    changes = {one["details"]["kind"] for one in other.events if one["action"] == "change intended"}
    assert changes <= {"setting"}, "of our own sshd alone, for the time of the acquisition"
    assert ours(before, left) == []
    assert before["modules"] == left["modules"]


def test_a_module_signed_with_a_key_that_the_kernel_does_not_know_is_refused_for_its_signature(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    desk = Workstation(tmp_path_factory.mktemp("strange"))
    key, certificate = desk.root / "strange.key", desk.root / "strange.pem"
    words = [
        "openssl",
        "req",
        "-new",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=a stranger",
        "-days",
        "2",
    ]
    subprocess.run([*words, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    given = ("--module-key", str(key), "--module-certificate", str(certificate))
    with labs.booted(desk.root, "lab", Recipe(seed=10, without=QUIET_DISK, append="module.sig_enforce=1")) as enforcing:
        case = desk.open_case("strange")
        before = look(enforcing)
        ended = desk.forensics("run", "strange", *RUN, "--engine", "lime", "--until", "acquire", *given)
        after = look(enforcing)
    assert ended.code == 3, ended.err
    (log,) = case.entered("build-log")
    assert "signed by CN=a stranger" in log.read_text()
    outcome, reason = case.items("acquire")["memory"]
    assert outcome == "failed"
    assert "the module was refused for its signature" in reason
    assert "--module-key KEY --module-certificate CERT" in reason
    assert ours(before, after) == []
    assert before["modules"] == after["modules"]
    assert desk.forensics("verify", "strange").code == 0
