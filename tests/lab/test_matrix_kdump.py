"""A kernel that crashed: the vmcore that kdump wrote goes through a case to the processes from before the crash."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from forensics import tables
from forensics.lab import labs, machine
from forensics.lab.recipe import Recipe
from forensics.lab.state import Lab
from forensics.model import Outcome
from forensics.volatility import Ended, Job, run
from tests.lab.workstation import Workstation

pytestmark = [pytest.mark.lab, pytest.mark.matrix, pytest.mark.timeout(3600)]

CRASHING = Recipe(memory=768, append="crashkernel=192M", packages=("kdump-tools", "makedumpfile"), seed=768)
KALLSYMS = "linux.kallsyms.Kallsyms"
LOOK = "ps -e -o pid=,comm="


def fetched(lab: Lab, there: str, here: Path) -> Path:
    """Copy a file from the guest."""
    with here.open("wb") as out:
        subprocess.run(labs.ssh_command(lab, f"cat {there}"), stdout=out, check=True, timeout=900)
    return here


def processes(lab: Lab) -> dict[int, str]:
    """Who runs there, by pid; what comes and goes with the looking itself is seen in one look of two."""
    first, second = ([line.split(None, 1) for line in labs.ask(lab, LOOK).decode().splitlines()] for _ in range(2))
    return {int(pid): name for pid, name in first if [pid, name] in second}


def crashed(lab: Lab) -> str:
    """Let the kernel crash, wait until kdump has written its vmcore and the machine has booted anew; give its path."""
    boot = labs.boot_id(lab)
    crash = "sleep 2; echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger"
    labs.ask(lab, f"sync; setsid sh -c '{crash}' >/dev/null 2>&1 </dev/null &")
    back = machine.wait_until(lambda: labs.boot_id(lab) not in {"", boot}, 1500)
    assert back, machine.last_words(lab.folder)
    return labs.ask(lab, "ls /var/crash/*/dump.*").decode().strip()


def names_of_modules(image: Path, table: Path, folder: Path) -> set[tuple[str, str]]:
    """Module and name of each symbol of a module, as Volatility's kallsyms has them."""
    (ended,) = [one for one in run(Job(str(image), str(table), str(folder), (KALLSYMS,))) if isinstance(one, Ended)]
    assert ended.outcome is Outcome.DONE, ended.reason
    found = tables.read(folder / f"{KALLSYMS}.jsonl")
    place = {column.name: number for number, column in enumerate(found.columns)}
    of_modules = [row for row in found.rows if row[place["SubSystem"]] == "module"]
    return {(str(row[place["ModuleName"]]), str(row[place["SymbolName"]])) for row in of_modules}


def test_a_vmcore_of_kdump_gives_the_processes_from_before_the_crash(tmp_path: Path) -> None:
    desk = Workstation(tmp_path)
    case = desk.open_case("2026-0001")
    with labs.booted(tmp_path, "lab", CRASHING) as lab:
        assert (
            labs.ask(lab, "systemctl start kdump-tools; cat /sys/kernel/kexec_crash_loaded", seconds=600).split()[-1]
            == b"1"
        )
        btf = fetched(lab, "/sys/kernel/btf/vmlinux", tmp_path / "btf")
        names = fetched(lab, "/proc/kallsyms", tmp_path / "kallsyms")
        version = fetched(lab, "/proc/version", tmp_path / "version")
        before = processes(lab)
        vmcore = fetched(lab, crashed(lab), tmp_path / "vmcore")
    table = tmp_path / "table.json"
    made = desk.forensics("symbols", "make", "--btf", str(btf), "--kallsyms", str(names),
                          "--proc-version", str(version), "--output", str(table))  # fmt: skip
    assert made.code == 0, made.err
    done = desk.forensics("import", "2026-0001", str(vmcore), "--target", "db02", "--source", "kdump")
    assert done.code == 3, (done.out, done.err)  # makedumpfile left out what is not the kernel's
    done = desk.forensics("run", "2026-0001", "--symbols", str(table), "--until", "analyse")
    told = json.loads(case.entered("proof")[-1].read_text())
    assert (told["verdict"], told["usable"]) == ("partial", True), told["reasons"]
    assert "kernel pages only" in str(told["reasons"])
    found = {row["PID"]: row["COMM"] for row in case.table("linux.pslist.PsList")}
    # ps has a kernel thread's whole name, and a worker's with what it works on: the kernel itself keeps 15 bytes.
    assert {pid: name for pid, name in before.items() if not name.startswith(found.get(pid, "none"))} == {}
    assert before[1] == "systemd"
    assert len(before) > 50
    assert done.code == 3, (done.out, done.err)
    live = {(words[3].strip("[]"), words[2]) for words in map(str.split, names.read_text().splitlines()) if words[3:]}
    read = names_of_modules(case.entered("memory-image")[-1], table, tmp_path / "kallsyms")
    assert read - live == set()
    assert ("virtio", "register_virtio_driver") in read  # an exported one
