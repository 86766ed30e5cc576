"""Each engine on a real kernel: its image is complete and what was sent, and it leaves what it says, no more."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from forensics import course, plan
from forensics.casefile import Case
from forensics.engines import Materials, Paper, Prepared
from forensics.engines.lime import Lime
from forensics.host import MIB, Channel, Host, Piece
from forensics.lab import labs, machine
from forensics.lab.recipe import QUIET_DISK, Recipe
from forensics.lab.state import Lab
from forensics.model import JSON, Facts, Preflight, Verdict
from forensics.progress import Silent
from forensics.ssh import Secrets
from forensics.stages import acquire as stage
from forensics.stages.acquire import AcquireSettings
from tests.lab.watching import look, ours
from tests.lab.workstation import CaseFolder, Ended, Workstation

pytestmark = [pytest.mark.lab, pytest.mark.faults, pytest.mark.timeout(2400)]

DISK = "/srv/usb"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Workstation:
    return Workstation(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def lab(desk: Workstation) -> Iterator[Lab]:
    with labs.booted(desk.root, "lab", Recipe(seed=41, without=QUIET_DISK)) as up:
        labs.ask(up, f"mkdir -m 700 {DISK}")
        yield up


def acquired(desk: Workstation, number: str, *words: str) -> tuple[CaseFolder, dict[str, Any], Ended]:
    """Run a case up to the proof; gives the attempt that is on record last."""
    case = desk.open_case(number)
    ended = desk.forensics("run", number, "root@lab", "--plan", "lab", "--until", "prove", *words)
    (record,) = case.entered("acquisition-record")
    return case, json.loads(record.read_text())["attempts"][-1], ended


def complete(case: CaseFolder, ended: Ended) -> None:
    (proof,) = case.entered("proof")
    told = json.loads(proof.read_text())
    assert (told["verdict"], told["usable"]) == ("complete", True), told["reasons"]
    assert ended.code == 0, (ended.out, ended.err)
    assert told["figures"]["processes"]["lost"] == []


def facts_of_image(case: CaseFolder) -> dict[str, Any]:
    (entry,) = [
        one for one in case.events if one["action"] == "exhibit entered" and one["details"]["kind"] == "memory-image"
    ]
    return {"facts": entry["details"]["facts"], **entry["products"][0]}


def sshd_anew(lab: Lab, change: str) -> None:
    """Change how the guest's sshd is set, and wait until it answers: a reload returns before it listens again."""
    labs.ask(lab, f"{change} && systemctl restart ssh", seconds=120)
    assert machine.wait_until(lambda: labs.boot_id(lab) != "", 120)


@pytest.mark.usefixtures("lab")
def test_what_lime_hashed_is_what_arrived_and_our_sshd_was_shielded(desk: Workstation) -> None:
    case, attempt, ended = acquired(desk, "digest", "--engine", "lime", "--lime-digest")
    complete(case, ended)
    told = facts_of_image(case)
    assert told["facts"]["source_digest"] == told["digest"], attempt
    assert told["facts"]["source_digest_by"] == "LiME"
    guards = attempt["guards"]
    assert guards["sshd"]["problem"] == ""
    assert {one["value"] for one in guards["sshd"]["protected"]} == {-1000}
    assert guards["watch"]["looks"] > 1
    assert guards["watch"]["problem"] == ""
    settings = [
        one["details"]
        for one in case.events
        if one["action"] == "change restored" and one["details"]["kind"] == "setting"
    ]
    assert [one["proven"] for one in settings] == [True] * len(guards["sshd"]["protected"])


def test_where_sshd_forbids_forwarding_lime_comes_through_a_session(desk: Workstation, lab: Lab) -> None:
    drop_in = "/etc/ssh/sshd_config.d/forwarding.conf"
    sshd_anew(lab, f"echo 'AllowTcpForwarding no' >{drop_in}")
    try:
        before = look(lab)
        case, attempt, ended = acquired(desk, "no-forwarding", "--engine", "lime", "--lime-digest")
        after = look(lab)
    finally:
        sshd_anew(lab, f"rm {drop_in}")
    complete(case, ended)
    assert attempt["carried_by"] == "bash, in a session of its own"
    assert [one["status"] for one in attempt["carried_ends"]] == [0, 0]
    assert facts_of_image(case)["facts"]["source_digest"] == facts_of_image(case)["digest"]
    assert ours(before, after) == []
    assert before["programs"] == after["programs"]
    assert before["modules"] == after["modules"]


def test_lime_writes_to_a_named_folder_which_is_hashed_fetched_and_removed(desk: Workstation, lab: Lab) -> None:
    case, attempt, ended = acquired(desk, "disk", "--engine", "lime_disk", "--target-folder", DISK)
    complete(case, ended)
    assert attempt["bytes_there"] == attempt["bytes_expected"] == facts_of_image(case)["size"]
    assert facts_of_image(case)["facts"]["source_digest"] == facts_of_image(case)["digest"]
    (intended,) = [
        one
        for one in case.events
        if one["details"].get("kind") == "folder on disk" and one["action"] == "change intended"
    ]
    assert "not streamed past its disks" in intended["deviation"]["text"]
    assert labs.ask(lab, f"ls -A {DISK}") == b""
    assert "lime" not in look(lab)["modules"]


def test_an_image_that_is_to_stay_stays_for_root_alone_with_its_digest(desk: Workstation, lab: Lab) -> None:
    words = ("--engine", "lime_disk", "--target-folder", DISK, "--leave-there")
    case, attempt, ended = acquired(desk, "stays", *words)
    assert ended.code == 3, ended.err
    outcome, reason = case.items("acquire")["memory"]
    assert outcome == "partial"
    assert attempt["left_there"] in reason
    assert case.entered("memory-image") == []
    folder = Path(attempt["left_there"]).parent
    said = labs.ask(
        lab, f"cd {folder} && stat -c '%U %a %n' . * && sha256sum -c memory.lime.sha256", seconds=300
    ).decode()
    assert said.splitlines() == [
        "root 700 .", "root 600 memory.lime", "root 600 memory.lime.sha256", "memory.lime: OK",
    ]  # fmt: skip
    assert (
        attempt["source_digest"].removeprefix("sha256:") in labs.ask(lab, f"cat {folder}/memory.lime.sha256").decode()
    )
    again = desk.forensics("run", "stays", "root@lab", "--plan", "lab", "--until", "prove")
    assert again.code == 3, again.err
    assert labs.ask(lab, f"ls {folder}").split() == [b"memory.lime", b"memory.lime.sha256"]
    labs.ask(lab, f"rm -r {folder}")


def test_kcore_leaves_no_trace_but_the_login(desk: Workstation, lab: Lab) -> None:
    def seen() -> tuple[frozenset[str], frozenset[str], bytes]:
        files = labs.ask(lab, "find / -xdev -type f -printf '%p %s %C@\\n'", seconds=300).decode().splitlines()
        login = ("/var/log/", "/var/lib/systemd/", "/run/")
        view = look(lab)
        kept = frozenset(line for line in files if not line.startswith(login))
        return kept, view["modules"], labs.ask(lab, "cat /proc/sys/kernel/tainted")

    acquired(desk, "warm", "--engine", "kcore")  # what a first login alone makes is there
    before, view = seen(), look(lab)
    case, attempt, ended = acquired(desk, "no-trace", "--engine", "kcore", "--streams", "2")
    after = seen()
    complete(case, ended)
    assert attempt["streams"] == 2
    assert before == after
    assert ours(view, look(lab)) == []
    kinds = {one["details"]["kind"] for one in case.events if one["action"] == "change intended"}
    assert kinds == {"setting"}  # the score of our own sshd, for the time of the acquisition


def test_a_module_of_that_name_that_is_there_already_is_not_touched(desk: Workstation, lab: Lab) -> None:
    """What another has loaded under LiME's name: here any module whose file is called lime.ko would do."""
    case, _, _ = acquired(desk, "made", "--engine", "lime")
    (module,) = case.entered("lime-module")
    labs.ask(lab, "cat >/dev/shm/lime.ko", stdin=module.read_bytes())
    labs.ask(lab, "insmod /dev/shm/lime.ko path=/dev/null format=lime; rm /dev/shm/lime.ko", seconds=300)
    try:
        case, attempt, ended = acquired(desk, "loaded", "--engine", "lime")
        assert ended.code == 3, ended.err
        assert "loaded already" in attempt["reason"]
        assert "lime" in look(lab)["modules"]
        assert case.entered("memory-image") == []
    finally:
        labs.ask(lab, "rmmod lime")


@dataclass
class Pausing:
    """A channel whose reader pauses once, behind so many bytes."""

    channel: Channel
    after: int
    seconds: float
    came: int = 0

    def read(self, size: int = MIB) -> Piece:
        if 0 < self.after <= self.came:
            self.after = 0
            time.sleep(self.seconds)
        data = self.channel.read(size)
        self.came += len(data)
        return data


@dataclass
class _Paused:
    inner: Prepared
    record: dict[str, JSON] = field(default_factory=dict)
    papers: list[Paper] = field(default_factory=list)

    @contextmanager
    def stream(self) -> Iterator[Channel]:
        with self.inner.stream() as channel:
            yield Pausing(channel, 208 << 20, 5.0)  # of 255 MiB: the kernel itself has come


@dataclass(frozen=True)
class Impatient:
    """LiME with the timeout that it has by itself, and a reader that pauses five seconds."""

    name: str = "impatient"
    inner: Lime = field(default_factory=lambda: Lime(timeout="1000"))

    def check(self, facts: Facts, materials: Materials) -> Preflight:
        return self.inner.check(facts, materials)

    @contextmanager
    def _prepared(self, host: Host, facts: Facts, materials: Materials) -> Iterator[Prepared]:
        with self.inner.prepare(host, facts, materials) as prepared:
            yield _Paused(prepared, prepared.record)

    def prepare(self, host: Host, facts: Facts, materials: Materials) -> AbstractContextManager[Prepared]:
        return self._prepared(host, facts, materials)


def test_a_reader_that_pauses_under_limes_own_timeout_is_a_gap_that_is_named(
    desk: Workstation, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = desk.open_case("paused")
    monkeypatch.setattr(stage, "LADDER", (Impatient(),))
    order = course.Order(desk.root, plan.load("lab"), AcquireSettings(engine="impatient"), until="prove")
    target = labs.resolve(desk.root, "lab", "root")
    summary = course.work(Case.load(desk.root, "paused"), target, Secrets(), order, Silent())
    assert summary.verdict is Verdict.COMPLETE_WITH_GAPS
    (proof,) = case.entered("proof")
    told = json.loads(proof.read_text())
    (record,) = case.entered("acquisition-record")
    received = json.loads(record.read_text())["received"]
    longest = max(received["ranges"], key=lambda one: one["zero_tail"])
    assert longest["zero_tail"] > 8 << 20
    assert f"range {longest['start']:#x}-{longest['end']:#x} ends with {longest['zero_tail']} zero bytes" in " ".join(
        told["reasons"]
    )
    assert lab.runs
