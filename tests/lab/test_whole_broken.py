"""Runs that are refused or killed on a real machine: what is said, what the ledger says, and how the case goes on."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from forensics.lab import labs
from forensics.lab.state import Lab
from tests.lab.watching import View, look, ours
from tests.lab.workstation import CaseFolder, Ended, Workstation, in_session, kill_when

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

RUN = ("analyst@lab", "--plan", "lab")
ENOUGH = 16 << 20
"""Bytes of memory that have come when the program is killed."""


def assert_told(ended: Ended, case: CaseFolder, code: int, outcome: str, what: str) -> None:
    """Each error says what, where, why and what to do, and the ledger says the same."""
    assert ended.code == code, ended.err
    assert set(ended.error) == {"error", "where", "why", "do"}, ended.err
    assert what in ended.error["error"]
    recorded, reason = case.ends("survey")[-1]
    assert recorded == outcome
    assert all(words in reason for words in ended.error.values()), (reason, ended.error)
    assert case.events[-1]["action"] == "stage ended"


@pytest.mark.usefixtures("lab")
def test_a_wrong_sudo_password_is_refused(desk: Workstation, tmp_path: Path) -> None:
    case = desk.open_case("wrong-password")
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password\n")
    ended = desk.forensics("run", "wrong-password", *RUN, secret=wrong)
    assert_told(ended, case, 1, "failed", "was refused by the target's sudo")
    assert "not-the-password" not in case.folder.joinpath("custody.jsonl").read_text()


@pytest.mark.usefixtures("lab")
def test_no_sudo_password_is_told_from_a_wrong_one(desk: Workstation) -> None:
    case = desk.open_case("no-password")
    ended = desk.forensics("run", "no-password", *RUN)
    assert_told(ended, case, 1, "failed", "was refused by the target's sudo")
    assert "none was given" in ended.error["why"]


def test_an_unknown_host_key_is_refused_before_anything_is_sent(desk: Workstation, lab: Lab, tmp_path: Path) -> None:
    case = desk.open_case("unknown-key")
    home = at_home(tmp_path, lab, known="")
    before = logins(lab)
    ended = desk.forensics("run", "unknown-key", "analyst@practice", secret=lab.password, home=home)
    assert_told(ended, case, 7, "refused", "host key of practice is unknown")
    listed = subprocess.run(["ssh-keygen", "-lf", lab.folder / "host_key.pub"], check=True, capture_output=True)
    fingerprint = listed.stdout.split()[1].decode()
    assert fingerprint in ended.error["why"]
    assert f"--host-key {fingerprint}" in ended.error["do"]
    assert logins(lab) == before + 1  # the one that looked before


def test_a_changed_host_key_is_refused(desk: Workstation, lab: Lab, tmp_path: Path) -> None:
    case = desk.open_case("changed-key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    home = at_home(tmp_path, lab, known=f"[127.0.0.1]:{lab.port} {other}\n")
    ended = desk.forensics("run", "changed-key", "analyst@practice", secret=lab.password, home=home)
    assert_told(ended, case, 7, "refused", "host key of practice has changed")


def test_an_unreachable_target_is_said_to_be(desk: Workstation) -> None:
    case = desk.open_case("unreachable")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ended = desk.forensics("run", "unreachable", f"analyst@127.0.0.1:{closed.getsockname()[1]}")
    assert_told(ended, case, 1, "failed", "cannot be reached")


def at_home(folder: Path, lab: Lab, known: str) -> Path:
    """Make a home with an OpenSSH configuration that names the target `practice`."""
    ssh = folder / ".ssh"
    ssh.mkdir()
    (ssh / "known").write_text(known)
    identity = lab.folder / "id_ed25519"
    lines = ["Host practice", "HostName 127.0.0.1", f"Port {lab.port}", f"IdentityFile {identity}",
             "IdentitiesOnly yes", f"UserKnownHostsFile {ssh / 'known'}"]  # fmt: skip
    (ssh / "config").write_text("\n".join(lines) + "\n")
    return folder


def logins(lab: Lab) -> int:
    """Count the logins that the target's SSH server has let in."""
    return int(labs.ask(lab, "journalctl -t sshd --no-pager -o cat | grep -c '^Accepted '").decode())


@dataclass
class Killed:
    """A case whose run was killed while memory came, and what the next run did."""

    case: CaseFolder
    session: int
    events: int
    second: Ended
    before: View
    between: View
    after: View


@pytest.fixture(scope="module")
def killed(desk: Workstation, lab: Lab) -> Killed:
    case = desk.open_case("killed")
    before = look(lab)
    with desk.begin("run", "killed", *RUN, secret=lab.password) as running:
        kill_when(running, lambda: arrived(case) > ENOUGH)
    between = look(lab)
    events = len(case.events)
    second = desk.forensics("run", "killed", *RUN, "--until", "prove", secret=lab.password)
    return Killed(case, running.pid, events, second, before, between, look(lab))


def arrived(case: CaseFolder) -> int:
    return max((path.stat().st_size for path in case.folder.glob("work/*acquire*/*.lime")), default=0)


def test_what_had_come_when_acquire_was_killed_is_evidence(killed: Killed) -> None:
    (partial,) = killed.case.entered("partial-image")
    assert partial.stat().st_size > ENOUGH
    assert partial.name.startswith("E")
    (whole,) = killed.case.entered("memory-image")
    assert whole.stat().st_size > partial.stat().st_size


def test_the_attempt_that_was_killed_is_on_record_and_the_case_goes_on(killed: Killed) -> None:
    assert killed.second.code == 0, killed.second.err
    assert [outcome for outcome, _ in killed.case.ends("acquire")] == ["interrupted", "finished"]
    assert [outcome for outcome, _ in killed.case.ends("survey")] == ["finished"]
    assert "interrupted" in killed.second.err
    assert killed.case.items("prove")["proof"][0] == "done"


def test_what_the_killed_run_left_on_the_target_is_taken_away(killed: Killed) -> None:
    left = {*killed.between["modules"], *ours(killed.before, killed.between)}
    assert left - killed.before["modules"], "the kill came too late to leave a thing"
    assert "lime" not in killed.after["modules"]
    assert ours(killed.before, killed.after) == []
    assert killed.after["mounts"] == killed.before["mounts"]
    assert killed.after["programs"] == killed.before["programs"]
    taken = [one for one in killed.case.events[killed.events :] if one["action"] == "change restored"]
    assert {one["details"]["kind"] for one in taken if one["details"]["proven"]} >= {"module", "folder"}


def test_nothing_of_a_killed_run_lives_on_here(killed: Killed) -> None:
    assert in_session(killed.session) == []


@pytest.mark.usefixtures("killed")
def test_the_case_of_a_killed_run_is_found_to_be_whole(desk: Workstation) -> None:
    checked = desk.forensics("verify", "killed")
    assert checked.code == 0, checked.out
