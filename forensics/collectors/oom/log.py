"""The kernel's log, and its reports of the OOM killer, of kernels 3.10 to 6.x.

mm/oom_kill.c has changed its words often; what stands is: a line "invoked oom-killer", a table whose columns are found
by its header, and lines that name the victim. rss of the table is in pages, the victim's line in kB. A kill that a
person asked for with sysrq-f has order=-1 (is_sysrq_oom), and before 4.1 only the line of sysrq ahead of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

PAGE = 4096
"""Bytes of a page on x86-64."""

_PREFIX = re.compile(
    r"(?:<\d+>)?(?:\w{3} +\d+ [\d:]{8} \S+ |\d{4}-\d\d-\d\dT\S+ \S+ )?(?:kernel: )?"
    r"\[ *(\d{1,12}\.\d{1,9})\](?:\[.{1,16}?\])? ?(.*)",
    re.DOTALL,
)
_INVOKED = re.compile(r"(.{1,64}) invoked oom-killer: (.*)", re.DOTALL)
_INVOKER = re.compile(r"CPU: \d+ (?:UID: \d+ )?PID: (\d{1,10}) Comm: ")
_HEADER = re.compile(r"\[ *pid *\] +(uid .*\bname)\s*")
_TASK = re.compile(r"\[ *(\d{1,10})\] +(.*)", re.DOTALL)
_RECORD = re.compile(r"oom-kill:constraint=([A-Z_]{1,40}),(.*)", re.DOTALL)
_KILLED = re.compile(
    r"(?:(.*?)[:,] )?Kill(?:ed)? process (\d{1,10}) \((.{0,64}?)\),?(?: UID:? \d+,)? (total-vm:.*|score .*)", re.DOTALL
)
_MEMCG = re.compile(r"Task in (\S+) killed as a result of limit of (\S+)")
_SYSRQ = re.compile(r"sysrq: (?:SysRq : )?Manual OOM execution|SysRq : Manual OOM execution")

_KILLS = (
    Column("kill", "integer"),
    Column("time", "number"),
    Column("constraint"),
    Column("invoker"),
    Column("invoker_pid", "integer"),
    Column("victim"),
    Column("victim_pid", "integer"),
    Column("total_vm", "bytes"),
    Column("anon_rss", "bytes"),
    Column("manual", "yes/no"),
    Column("memcg"),
)
_TASKS = (
    Column("kill", "integer"),
    Column("pid", "integer"),
    Column("uid", "integer"),
    Column("tgid", "integer"),
    Column("total_vm", "bytes"),
    Column("rss", "bytes"),
    Column("oom_score_adj", "integer"),
    Column("name"),
)
_LOG = (Column("time", "number"), Column("text"))
_UNSAID = Absent("the log does not say it")


@dataclass(frozen=True, slots=True)
class OomLog:
    """Tables `oom_kills`, `oom_tasks` and `kernel_log`, with the lines that could not be read."""

    tables: tuple[Table, ...]
    unread: int


@dataclass(slots=True)
class _Report:
    """One report while it is read."""

    time: float
    cells: dict[str, Cell] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    tasks: list[dict[str, Cell]] = field(default_factory=list)


class _Reader:
    def __init__(self) -> None:
        self.reports: list[_Report] = []
        self.unread = 0
        self._manual = False

    def line(self, time: float, text: str) -> None:
        if _SYSRQ.search(text):
            self._manual = True
        elif invoked := _INVOKED.fullmatch(text):
            self._begin(time, invoked[1], _is_manual(invoked[2]) or self._manual)
        elif killed := _KILLED.fullmatch(text):
            self._killed(time, killed)
        elif self.reports and "victim" not in self.reports[-1].cells:
            self._inside(self.reports[-1], text)

    def _begin(self, time: float, invoker: str, manual: bool) -> None:  # noqa: FBT001
        self.reports.append(_Report(time, {"invoker": invoker, "manual": manual}))
        self._manual = False

    def _inside(self, report: _Report, text: str) -> None:
        if match := _INVOKER.match(text):
            report.cells.setdefault("invoker_pid", int(match[1]))
        elif match := _HEADER.fullmatch(text):
            report.columns = tuple(match[1].split())
        elif match := _RECORD.fullmatch(text):
            report.cells["constraint"] = match[1]
            group = re.search(r"(?:^|,)oom_memcg=([^,]*)", match[2])
            report.cells.update({"memcg": group[1]} if group else {})
        elif match := _MEMCG.fullmatch(text.strip()):
            report.cells.update({"constraint": "CONSTRAINT_MEMCG", "memcg": match[2]})
        elif report.columns and (match := _TASK.fullmatch(text)):
            self._task(report, int(match[1]), match[2])

    def _task(self, report: _Report, pid: int, words: str) -> None:
        *numbers, name = words.split(None, len(report.columns) - 1) or [""]
        try:
            row: dict[str, Cell] = dict(zip(report.columns, map(int, numbers), strict=False))
        except ValueError:
            self.unread += 1
            return
        if len(numbers) != len(report.columns) - 1:
            self.unread += 1
            return
        report.tasks.append({"pid": pid, **row, "name": name})

    def _killed(self, time: float, match: re.Match[str]) -> None:
        """Take the line that names the victim; older kernels say it twice, first with a score and then with sizes."""
        before, pid, name, sizes = match.groups()
        last = self.reports[-1] if self.reports else None
        known = last.cells.get("victim_pid") if last else None
        if last is None or known not in {None, int(pid)} or (known is not None and "total_vm" in last.cells):
            last = _Report(time, {})
            self.reports.append(last)
        last.cells.update({"victim": name, "victim_pid": int(pid)})
        if before and before.startswith("Memory cgroup"):
            last.cells.setdefault("constraint", "CONSTRAINT_MEMCG")
        for word, column in (("total-vm", "total_vm"), ("anon-rss", "anon_rss")):
            if size := re.search(rf"{word}:(\d{{1,15}})kB", sizes):
                last.cells[column] = int(size[1]) * 1024


def read(raw: bytes) -> OomLog:
    """Read a kernel log as dmesg, syslog or the journal print it; lines without the kernel's time are counted."""
    reader = _Reader()
    rows: list[tuple[Cell, ...]] = []
    for line in raw.splitlines():
        match = _PREFIX.fullmatch(decode(line))
        if match:
            rows.append((float(match[1]), match[2]))
            reader.line(float(match[1]), match[2])
        elif rows and line[:1].isspace():  # dmesg indents the further lines of one message
            rows.append((rows[-1][0], decode(line.strip())))
        else:
            reader.unread += 1
    tables = (
        Table("oom_kills", "Kills by the OOM killer", _KILLS, tuple(_kills(reader.reports))),
        Table("oom_tasks", "Processes as each report of the OOM killer lists them", _TASKS, tuple(_tasks(reader))),
        Table("kernel_log", "Kernel log", _LOG, tuple(rows)),
    )
    return OomLog(tables, reader.unread)


def _is_manual(words: str) -> bool:
    return bool(re.search(r"\border=-1\b", words))


def _kills(reports: list[_Report]) -> list[tuple[Cell, ...]]:
    names = [column.name for column in _KILLS[2:]]
    rows: list[tuple[Cell, ...]] = []
    for index, report in enumerate(reports):
        cells: dict[str, Cell] = {"manual": False, "constraint": _UNSAID, **report.cells}
        rows.append((index, report.time, *(cells.get(name, _UNSAID) for name in names)))
    return rows


def _tasks(reader: _Reader) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for index, report in enumerate(reader.reports):
        for task in report.tasks:
            cells = {**task, **{name: _bytes(task.get(name)) for name in ("total_vm", "rss")}}
            rows.append((index, *(cells.get(column.name, _UNSAID) for column in _TASKS[1:])))
    return rows


def _bytes(pages: Cell | None) -> Cell:
    return pages * PAGE if isinstance(pages, int) else _UNSAID
