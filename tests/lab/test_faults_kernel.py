"""Rows L2, L5, L8 and L9 on a real kernel: refused, raced, not let go, booted anew; never complete, always told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from forensics.lab import labs, machine
from forensics.lab.state import Lab
from tests.lab.test_faults_engines import acquired, desk, lab, sshd_anew
from tests.lab.watching import look, ours
from tests.lab.workstation import CaseFolder, Workstation

__all__ = ["desk", "lab"]

pytestmark = [pytest.mark.lab, pytest.mark.faults, pytest.mark.timeout(2400)]

# Connects to whatever begins to listen on the loopback alone, long before a question over SSH can be answered.
RACER = """
import socket, time
def ports():
    rows = [line.split() for line in open("/proc/net/tcp").read().splitlines()[1:]]
    return {int(row[1][9:], 16) for row in rows if row[3] == "0A" and row[1].startswith("0100007F:")}
known, limit = ports(), time.time() + 900
while time.time() < limit:
    for port in ports() - known:
        with socket.create_connection(("127.0.0.1", port)) as link:
            open("/run/raced", "w").write(str(port))
            while link.recv(1 << 20): pass
        raise SystemExit
"""

# Listens at the port that LiME is to have, gives whoever connects a range of memory, and lets the kernel refuse LiME.
QUICKER = """#!/usr/bin/python3
import os, socket, struct, sys, time
(port,) = [int(word[9:]) for word in sys.argv if word.startswith("path=tcp:")]
server = socket.create_server(("127.0.0.1", port))
if os.fork() == 0:
    for number in range(3):
        os.dup2(os.open("/dev/null", os.O_RDWR), number)
    server.settimeout(30)
    link, _ = server.accept()
    link.sendall(struct.pack("<IIQQ8x", 0x4C694D45, 1, 0, 4095) + bytes(4096))
    os._exit(0)
server.close()
time.sleep(0.5)
os.execv("/usr/bin/kmod", ["insmod", *sys.argv[1:]])
"""


def begun(lab: Lab, script: str, stdin: bytes = b"") -> None:
    """Start something in the guest that runs beside an acquisition."""
    labs.ask(lab, f"cat >/run/beside; setsid sh -c '{script}' >/dev/null 2>&1 </dev/null &", stdin=stdin)


def once_it_flows(what: str) -> str:
    """Wait until somebody is connected over the loopback, as sshd is with LiME's port, and then two seconds more."""
    connected = "0100007F:[0-9A-F]* 0100007F:[0-9A-F]* 01 "
    return f'until grep -q "{connected}" /proc/net/tcp; do sleep 0.1; done; sleep 2; {what}'


@contextmanager
def contained(lab: Lab) -> Iterator[None]:
    """Take the capability to load modules from all that sshd starts, as a container has it."""
    folder = "/etc/systemd/system/ssh.service.d"
    words = "[Service]\\nCapabilityBoundingSet=~CAP_SYS_MODULE\\n"
    sshd_anew(lab, f"mkdir -p {folder} && printf '{words}' >{folder}/contained.conf && systemctl daemon-reload")
    try:
        yield
    finally:
        sshd_anew(lab, f"rm -r {folder} && systemctl daemon-reload")


def undone(case: CaseFolder, kind: str) -> list[bool]:
    events = [one for one in case.events if one["action"] == "change restored" and one["details"]["kind"] == kind]
    return [one["details"]["proven"] for one in events]


def test_without_the_capability_lime_is_refused_nothing_is_left_and_kcore_does_the_work(
    desk: Workstation, lab: Lab
) -> None:
    with contained(lab):
        before = look(lab)
        case, attempt, ended = acquired(desk, "contained", "--engine", "lime")
        assert ended.code == 3, ended.err
        assert "not permitted" in attempt["reason"]
        assert case.entered("memory-image") == []
        assert ours(before, look(lab)) == []
        case, attempt, ended = acquired(desk, "contained-auto")
        assert attempt["engine"] == "kcore"
        assert len(case.entered("memory-image")) == 1


def test_who_connects_first_gets_the_memory_and_that_is_told(desk: Workstation, lab: Lab) -> None:
    begun(lab, "python3 /run/beside", RACER.encode())
    case, attempt, ended = acquired(desk, "raced", "--engine", "lime")
    assert labs.ask(lab, "cat /run/raced").strip().isdigit()
    assert ended.code == 3, ended.err
    assert attempt["outcome"] == "not acquired"
    assert "another process may have connected first" in attempt["reason"]
    assert attempt["listens_on"] == ["0100007F"]
    assert case.entered("memory-image") == []
    assert "lime" not in look(lab)["modules"]


def test_a_port_that_another_took_before_lime_is_not_read(desk: Workstation, lab: Lab) -> None:
    labs.ask(lab, "mv /usr/sbin/insmod /root/insmod; cat >/usr/sbin/insmod; chmod 755 /usr/sbin/insmod",
             stdin=QUICKER.encode())  # fmt: skip
    try:
        case, attempt, ended = acquired(desk, "quicker", "--engine", "lime")
    finally:
        labs.ask(lab, "mv /root/insmod /usr/sbin/insmod")
    assert ended.code == 3, ended.err
    assert attempt["outcome"] == "not acquired"
    assert "the port that was chosen is in use" in attempt["reason"]
    assert case.entered("memory-image") == []
    assert "lime" not in look(lab)["modules"]


def test_a_target_that_boots_anew_in_the_middle_leaves_a_partial_image_and_is_not_loaded_again(
    desk: Workstation, lab: Lab
) -> None:
    boot = labs.boot_id(lab)
    begun(lab, once_it_flows("echo b >/proc/sysrq-trigger"))
    case = desk.open_case("anew")
    words = ("run", "anew", "root@lab", "--plan", "lab", "--until", "prove", "--engine", "lime")
    ended = desk.forensics(*words, "--limit", "4M")
    assert ended.code in {1, 3, 7}, ended.err  # 3: nobody answers; 7: it answers again, and is another boot
    (entry,) = [one for one in case.events if one["details"].get("kind") == "memory-image"]
    assert entry["details"]["facts"]["ended_well"] is False
    assert machine.wait_until(lambda: labs.boot_id(lab) not in {"", boot}, 600)
    again = desk.forensics(*words)
    assert again.code == 7, (again.out, again.err)
    assert "booted anew" in again.err + again.out
    assert "lime" not in look(lab)["modules"]


def test_a_module_that_is_not_let_go_is_said_to_be_left_and_a_reboot_clears_it(desk: Workstation, lab: Lab) -> None:
    """modules_disabled forbids unloading as well, until the machine boots anew; so this test is the last."""
    begun(lab, once_it_flows("echo 1 >/proc/sys/kernel/modules_disabled"))
    case = desk.open_case("not-let-go")
    words = ("run", "not-let-go", "root@lab", "--plan", "lab", "--until", "prove", "--engine", "lime")
    ended = desk.forensics(*words, "--limit", "16M")
    assert ended.code == 1, (ended.out, ended.err)
    assert "left on the target: module" in ended.err
    assert "lime" in look(lab)["modules"]
    assert undone(case, "module")[-1] is False
    assert len(case.entered("memory-image")) == 1
    labs.reboot(lab)
    desk.forensics(*words[:-2], "--new-attempt", "it was booted anew")
    assert undone(case, "module")[-1] is True
