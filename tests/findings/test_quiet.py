"""Rules that point at what is unusual, each beside what only looks like it; and no rule goes without a test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from forensics.findings import Context, find, rules
from forensics.model import Finding, Severity
from forensics.tables import Cell, Column, Table
from tests.findings.test_rules import processes, surveyed, table

SOCKSTAT = "linux.sockstat.Sockstat"
HERE = Path(__file__).parent


def judged(rule: str, *given: Table, context: Context | None = None) -> list[Finding]:
    return [one for one in find({one.name: one for one in given}, context or Context()) if one.rule == rule]


def listening(*rows: tuple[int, str]) -> Table:
    """Take (pid, port) of sockets that memory shows to wait."""
    names = ("PID", "Process Name", "Family", "State", "Source Addr", "Source Port", "Proto")
    cells = [(pid, "wrk", "AF_INET", "LISTEN", "192.0.2.7", port, "TCP") for pid, port in rows]
    return Table(SOCKSTAT, SOCKSTAT, tuple(map(Column, names)), tuple(cells), ("D0001",))


def shown(*ports: int) -> Table:
    rows = [("tcp", "LISTEN", "192.0.2.7", port, 1, "sshd") for port in ports]
    return table("sockets", "protocol state local_address local_port pid process", rows)


def alive(*pids: int) -> Table:
    return processes(*((pid, "wrk", "/usr/bin/wrk", False, True, "wrk") for pid in pids))


def test_a_port_that_memory_has_and_the_target_does_not_list_is_named() -> None:
    (finding,) = judged("hidden-socket", listening((9, "4444")), shown(22), alive(9))
    assert (finding.severity, finding.facts["port"], finding.technique) == (Severity.MEDIUM, 4444, "T1014")


def test_a_port_that_is_listed_or_whose_process_has_ended_is_no_finding() -> None:
    assert judged("hidden-socket", listening((9, "22")), shown(22), alive(9)) == []
    assert judged("hidden-socket", listening((9, "4444")), shown(22), alive(10)) == []


def tasks(*rows: tuple[int, int, str]) -> tuple[Table, Table]:
    """Take (pid, tid, state) of what a scan finds; the list has pid 1 alone."""
    scan = [(pid, tid, "x", state) for pid, tid, state in rows]
    listed: list[tuple[Cell, ...]] = [(1, 1, "systemd")]
    return (
        table("linux.psscan.PsScan", "PID TID COMM EXIT_STATE", scan),
        table("linux.pslist.PsList", "PID TID COMM", listed),
    )


def test_a_running_task_that_a_scan_alone_finds_is_counted_as_information() -> None:
    (finding,) = judged("unlinked-process", *tasks((1, 1, "TASK_RUNNING"), (66, 66, "TASK_RUNNING")))
    assert (finding.severity, "pid 66" in finding.statement) == (Severity.INFORMATION, True)


def test_threads_and_what_has_ended_are_not_counted() -> None:
    assert judged("unlinked-process", *tasks((1, 1, "TASK_RUNNING"), (1, 70, "TASK_RUNNING"), (66, 66, "DEAD"))) == []


def modules(*rows: tuple[str, str]) -> Table:
    return table("linux.malware.modxview.Modxview", "Name Taints", rows)


def test_a_module_from_outside_is_named_and_neither_ours_nor_the_kernels_own() -> None:
    given = modules(("ext4", ""), ("lime", "OOT_MODULE,UNSIGNED_MODULE"), ("zfs", "OOT_MODULE"))
    assert [(one.severity, one.facts["module"]) for one in judged("foreign-module", given)] == [(Severity.LOW, "zfs")]


def test_a_program_in_an_open_folder_is_named_and_one_of_the_system_is_not() -> None:
    given = processes(
        (9, "kit", "/var/tmp/kit", False, True, "kit -d"), (10, "cron", "/usr/sbin/cron", False, True, "cron")
    )  # fmt: skip
    found = judged("temporary-executable", given)
    assert [(one.severity, one.facts["pid"]) for one in found] == [(Severity.MEDIUM, 9)]
    ours = Context(instruments=frozenset({"/var/tmp/kit"}))
    assert judged("temporary-executable", given, context=ours) == []


def test_the_kernels_taint_is_said_and_a_clean_kernel_is_not_spoken_of() -> None:
    (finding,) = judged("kernel-taint", context=Context(replace(surveyed(), taint=1 << 12)))
    assert finding.severity == Severity.INFORMATION
    assert judged("kernel-taint", context=Context(replace(surveyed(), taint=0))) == []


def test_every_rule_has_a_test_that_names_it() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py"))
    names = {one.name for one in rules()}
    assert {one for one in names if f'"{one}"' not in text and not one.startswith("lynis-")} == set()
