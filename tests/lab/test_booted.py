"""The practice target itself: booted, looked at with ordinary tools, and gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import paramiko
import pytest

from forensics.errors import LabFailed, UsageError
from forensics.lab import labs, machine
from forensics.lab.recipe import FACTS, QUIET_DISK, Recipe
from forensics.lab.state import Lab, folder_of
from tests.lab.workstation import Workstation

pytestmark = pytest.mark.lab

LOGIN = ("/var/log/journal/", "/var/log/wtmp", "/var/log/lastlog", "/var/log/btmp", "/run/", "/proc/", "/sys/", "/dev/")


@pytest.fixture
def root(desk: Workstation) -> Path:
    return desk.root


@pytest.fixture
def truth(lab: Lab) -> dict[str, Any]:
    return {fact["fact"]: fact for fact in json.loads(lab.truth.read_text())}


def sh(lab: Lab, command: str) -> str:
    return labs.ask(lab, command, seconds=120).decode()


def test_a_process_runs_from_a_deleted_file(lab: Lab, truth: dict[str, Any]) -> None:
    fact = truth["deleted-executable"]
    assert sh(lab, f"readlink /proc/{fact['pid']}/exe").strip() == f"{fact['path']} (deleted)"
    assert fact["marker"] in sh(lab, f"ps -o args= -p {fact['pid']}")
    assert fact["environment"] in sh(lab, f"tr '\\0' '\\n' </proc/{fact['pid']}/environ").splitlines()
    assert "gone" in sh(lab, f"test -e {fact['path']} || echo gone")


def test_a_process_shows_itself_as_a_kernel_thread(lab: Lab, truth: dict[str, Any]) -> None:
    fact = truth["forged-name"]
    comm, args = sh(lab, f"ps -o comm= -p {fact['pid']}; ps -o args= -p {fact['pid']}").splitlines()
    assert (comm.strip(), args.strip()) == (fact["process"], fact["arguments"])
    assert sh(lab, f"readlink /proc/{fact['pid']}/exe").strip() == fact["path"]


def test_a_process_listens(lab: Lab, truth: dict[str, Any]) -> None:
    fact = truth["listening-socket"]
    sockets = sh(lab, f"ss -Hltnp sport = :{fact['port']}")
    assert f'("{fact["process"]}",pid={fact["pid"]},' in sockets


def test_a_shell_has_its_commands_in_memory(lab: Lab, truth: dict[str, Any]) -> None:
    fact = truth["shell-history"]
    bounds = sh(lab, f"grep -F '[heap]' /proc/{fact['pid']}/maps").split()[0].split("-")
    start, end = (int(bound, 16) // 4096 for bound in bounds)
    read = f"dd if=/proc/{fact['pid']}/mem bs=4096 skip={start} count={end - start} status=none"
    heap = sh(lab, f"{read} | tr -c '[:print:]' '\\n'")
    assert [command for command in fact["commands"] if command not in heap] == []


def test_the_burst_fills_a_trace_in_ten_seconds(lab: Lab, truth: dict[str, Any]) -> None:
    fact = truth["io-burst"]
    wanted = f"^Q {fact['process']} {fact['block_bytes']}"
    script = [
        "mount -t debugfs debugfs /sys/kernel/debug; mkdir /dev/shm/.t && cd /dev/shm/.t",
        "blktrace -d /dev/vda -o t -w 10 >/dev/null",
        "blkparse -i t -f '%a %C\\n' | grep -c '[QGIDC]'",
        f"blkparse -i t -f '%a %C %N\\n' | grep -m1 '{wanted}'",
        "cd /; rm -r /dev/shm/.t; umount /sys/kernel/debug",
    ]
    events, burst = sh(lab, "; ".join(script)).splitlines()[:2]
    assert int(events) >= 1000
    assert burst == f"Q {fact['process']} {fact['block_bytes']}"
    assert int(sh(lab, f"stat -c %s {fact['file']}")) == fact["bytes"]


def test_the_kernel_log_has_the_kill(lab: Lab, truth: dict[str, Any]) -> None:
    fact = truth["oom-kill"]
    log = sh(lab, "dmesg")
    assert f"Killed process {fact['victim_pid']} ({fact['victim']})" in log
    assert f"{fact['victim']} invoked oom-killer" in log
    assert "Tasks state (memory values in pages):" in log


def test_ps_leaves_a_process_out_that_proc_shows(lab: Lab, truth: dict[str, Any]) -> None:
    fact = truth["hidden-process"]
    assert sh(lab, f"cat /proc/{fact['pid']}/comm").strip() == fact["process"]
    listed = {int(line.split()[0]) for line in sh(lab, "ps -e -o pid=,comm=").splitlines()}
    assert fact["pid"] not in listed
    assert truth["listening-socket"]["pid"] in listed


def test_a_module_is_in_sysfs_and_in_no_list(lab: Lab, truth: dict[str, Any]) -> None:
    name = truth["hidden-module"]["module"]
    assert sh(lab, f"cat /sys/module/{name}/initstate").strip() == "live"
    assert name not in sh(lab, "cut -d' ' -f1 /proc/modules").split()


def test_the_analyst_needs_the_password_for_sudo(lab: Lab) -> None:
    password = lab.password.read_bytes()
    assert labs.ask(lab, "sudo -k -S -p '' id -u", user="analyst", stdin=password) == b"0\n"
    with pytest.raises(LabFailed):
        labs.ask(lab, "sudo -k -S -p '' id -u", user="analyst", stdin=b"wrong\n")


def test_the_analyst_can_log_in_with_the_password_and_root_cannot(lab: Lab) -> None:
    password = lab.password.read_text().strip()
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(lab.folder / "known_hosts"))
        client.connect("127.0.0.1", lab.port, "analyst", password, look_for_keys=False, allow_agent=False, timeout=60)
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(lab.folder / "known_hosts"))
        with pytest.raises(paramiko.AuthenticationException):
            client.connect("127.0.0.1", lab.port, "root", password, look_for_keys=False, allow_agent=False, timeout=60)


def test_secrets_are_for_their_owner_alone(lab: Lab) -> None:
    open_to_others = [file.name for file in lab.folder.iterdir() if file.stat().st_mode & 0o077]
    assert [
        name for name in open_to_others if name not in {"console.log", "qemu.log", "id_ed25519.pub", "host_key.pub"}
    ] == []


def test_a_lab_that_runs_is_not_started_twice(lab: Lab, root: Path) -> None:
    with pytest.raises(UsageError, match="runs already"):
        labs.up(root, "lab")
    assert lab.runs


@pytest.mark.faults
def test_only_near_misses_beside_it_and_none_is_left(lab: Lab, root: Path) -> None:
    with labs.booted(root, "calm", Recipe(seed=5, incident=False)) as calm:
        assert calm.port != lab.port
        assert {one.name for one in labs.status(root) if one.runs} == {"lab", "calm"}
        facts = json.loads(calm.truth.read_text())
        assert {fact["fact"] for fact in facts} == {"near-miss"}
        assert len({fact["rule"] for fact in facts}) == len(FACTS)
        upgraded = next(fact for fact in facts if fact["rule"] == "deleted-executable")
        assert sh(calm, f"readlink /proc/{upgraded['pid']}/exe").strip() == f"{upgraded['path']} (deleted)"
        assert "there" in sh(calm, f"test -x {upgraded['path']} && echo there")
        assert "Killed process" not in sh(calm, "dmesg")
        target = labs.resolve(root, "lab:calm", "analyst")
        assert (target.label, target.port, target.user) == ("lab-calm", calm.port, "analyst")
    assert not calm.runs
    assert not Path(f"/proc/{calm.pid}").exists()
    assert lab.runs


@pytest.mark.faults
def test_a_quiet_lab_changes_no_file_and_refuses_modules(root: Path) -> None:
    with labs.booted(root, "quiet", Recipe(seed=6, without=QUIET_DISK, append="module.sig_enforce=1")) as quiet:
        assert sh(quiet, "cat /sys/module/module/parameters/sig_enforce").strip() == "Y"
        sh(quiet, "sync; touch /dev/shm/.now; sleep 25")
        changed = sh(quiet, "find / -xdev -cnewer /dev/shm/.now -type f; rm /dev/shm/.now").splitlines()
        assert [path for path in changed if not path.startswith(LOGIN)] == []
        before = labs.boot_id(quiet)
        labs.reboot(quiet)
        assert labs.boot_id(quiet) != before
        facts = {fact["fact"]: fact for fact in json.loads(quiet.truth.read_text())}
        assert "io-burst" not in facts
        assert (facts["not-planted"]["rule"], "hidden-module" in facts) == ("hidden-module", False)
        pid = facts["listening-socket"]["pid"]
        assert sh(quiet, f"cat /proc/{pid}/comm").strip() == facts["listening-socket"]["process"]


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_no_machine(tmp_path: Path, word: signal.Signals) -> None:
    code = "import sys; from forensics.lab.cli import app; app(['up', '--root', sys.argv[1]])"
    state = folder_of(tmp_path, "lab") / "state.json"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE) as starting:
        assert machine.wait_until(state.exists, 60)
        pid = json.loads(state.read_text())["pid"]
        assert machine.runs(pid, state.parent)
        starting.send_signal(word)
        starting.communicate(timeout=60)
    assert starting.returncode != 0
    assert not machine.runs(pid, state.parent)
    assert not state.exists()


def test_a_killed_tester_takes_its_machine_along(tmp_path: Path) -> None:
    code = "import sys, pathlib; from forensics.lab import labs\nwith labs.booted(pathlib.Path(sys.argv[1])): pass"
    state = folder_of(tmp_path, "lab") / "state.json"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as tester:
        assert machine.wait_until(state.exists, 60)
        pid = json.loads(state.read_text())["pid"]
        os.kill(tester.pid, signal.SIGKILL)
    assert machine.wait_until(lambda: not machine.runs(pid, state.parent), 10)
    assert not labs.down(tmp_path)


def test_a_machine_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(LabFailed, match="did not start") as raised:
        labs.up(tmp_path, "lab", Recipe(cpu="no-such-cpu"))
    assert "no-such-cpu" in raised.value.why
    assert labs.status(tmp_path) == []


@pytest.mark.matrix
@pytest.mark.parametrize(
    "recipe",
    [Recipe(suite="trixie"), Recipe(suite="bullseye"), Recipe(flavour="amd64")],
    ids=lambda one: f"{one.suite}-{one.flavour}",
)
def test_other_suites_and_kernels_boot_with_everything_planted(tmp_path: Path, recipe: Recipe) -> None:
    with labs.booted(tmp_path, "other", recipe) as other:
        facts = json.loads(other.truth.read_text())
        assert [fact["fact"] for fact in facts] == list(FACTS), facts
