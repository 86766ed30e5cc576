"""Tables as our own plugins give them, made by hand."""

from __future__ import annotations

from collections.abc import Mapping

from forensics.tables import Absent, Cell, Column, Table
from tests.findings.test_rules import moment

KERNEL_WAYS = ("In list", "In tree", "In table", "In groups")


def named(name: str, columns: tuple[str, ...], rows: list[tuple[Cell, ...]], number: str) -> Table:
    return Table(name, name, tuple(map(Column, columns)), tuple(rows), (number,))


def process_rows(*tasks: tuple[int, float, Mapping[str, Cell]]) -> Table:
    """Take (pid, seconds after boot, which ways have it) of each."""
    columns = ("Offset", "Physical offset", "PID", "PPID", "Name", "Started", "Kernel thread", "Ended", *KERNEL_WAYS)
    rows = [
        (0xFFFF0000 + pid, 0x1000 * pid, pid, 1, "x", moment(started), False, False, *(ways[w] for w in KERNEL_WAYS))
        for pid, started, ways in tasks
    ]
    return named("linux.forensics.processes.ProcessViews", columns, rows, "D0030")


def scanned(*pids: int) -> Table:
    """Take pids; one that comes twice is found at another place the second time."""
    rows: list[tuple[Cell, ...]] = []
    for index, pid in enumerate(pids):
        place = 0x1000 * pid if pid not in pids[:index] else 0x900000 + index
        rows.append((place, pid, pid, 1, "x", "TASK_RUNNING"))
    return named("linux.psscan.PsScan", ("OFFSET (P)", "PID", "TID", "PPID", "COMM", "EXIT_STATE"), rows, "D0031")


def module_rows(*modules: tuple[str, bool, bool]) -> Table:
    """Take (name, in the list, in sysfs) of each; all are in the tree and in a scan."""
    columns = ("Offset", "Name", "State", "Base", "Size", "Taints", "In list", "In sysfs", "In tree", "In scan")
    rows: list[tuple[Cell, ...]] = [
        (0xFFFFFFFFC0000000, name, "live", 0xFFFFFFFFC0001000, 4096, "", listed, shown, True, True)
        for name, listed, shown in modules
    ]
    return named("linux.forensics.modules.ModuleViews", columns, rows, "D0032")


NOT_TOLD = Absent("not told")
