"""Reports of the OOM killer, of kernels 2.6.32 to 6.x.

mm/oom_kill.c has changed its words often; what stands is: a line "invoked oom-killer", a table whose columns are found
by its header, and lines that name the victim. A kill that a person asked for with sysrq-f has order=-1 since 4.1
(is_sysrq_oom), and moom_callback in its call trace; before 4.1 also the line of sysrq ahead of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from forensics.oom.lines import Line

Value = TypeVar("Value")

_INVOKED = re.compile(r"(.{1,64}?) invoked oom-killer: (.*)", re.DOTALL)
_CPU = re.compile(r"(?:CPU: \d+ (?:UID: \d+ )?PID: (\d{1,10}) Comm: |Pid: (\d{1,10}), comm: )(.*)", re.DOTALL)
_RELEASE = re.compile(r"\b(\d{1,3}\.\d{1,3}\.[\w.+~-]{1,80}) #")
_HEADER = re.compile(r"\[ *pid *\] +((?:[a-z_]+ +)*total_vm +rss\b(?: +[a-z_]+)* +name)\s*")
_TASK = re.compile(r"\[ *(\d{1,10})\] +(.*)", re.DOTALL)
_LIKE_TASK = re.compile(r"\[ *\d{1,10}\](?: +-?\d{1,19}){6,10} +\S.*", re.DOTALL)
_RECORD = re.compile(r"oom-kill:constraint=([A-Z_]{1,40}),(.*)", re.DOTALL)
_CPUSET = re.compile(r".{1,64}? cpuset=(\S{1,255}) mems_allowed=([0-9,-]{1,200})\s*", re.DOTALL)
"""Up to 4.x a line of its own says where the requester may allocate."""
_KILLED = re.compile(
    r"(?:(?P<before>.*?)[:,] )?(?P<verb>[Kk]ill(?:ed)?) process (?P<pid>\d{1,10})(?:, UID (?P<uid_first>\d{1,10}),)?"
    r" \((?P<name>.{0,64}?)\),?(?: UID:? (?P<uid>\d{1,10}),)?(?: (?P<sizes>(?:total-vm|vsz):.*|score .*)|\.?\s*)",
    re.DOTALL,
)
"""Up to 4.x two lines, the one that was chosen and the one that dies; its sizes since 2.6.33, as vsz before 2.6.36."""
_REAPED = re.compile(r"oom_reaper: (?:reaped|unable to reap)(?: process| pid:?)? ?(\d{1,10}).*", re.DOTALL)
_LIMITED = re.compile(r"Task in (\S+) killed as a result of limit of (\S+)")
_USAGE = re.compile(r"memory: usage (\d{1,16})kB, limit (\d{1,19})kB.*")
_SWAP = re.compile(r"(Free|Total) swap += (\d{1,16})kB")
_RAM = re.compile(r"(\d{1,15}) pages RAM")
_ZONE = re.compile(r"(?:Node (\d{1,5}) )?([A-Z][A-Za-z0-9]{1,15}) free:(\d{1,16})kB (.*)", re.DOTALL)
_SYSRQ = re.compile(r"(?:sysrq: )?(?:SysRq : )?Manual OOM execution\s*")
_IGNORED = re.compile(r"(?:sysrq: )?OOM request ignored.*")
_PANIC = re.compile(r"Kernel panic - not syncing: ([Oo]ut of memory.*|System is deadlocked on memory.*)", re.DOTALL)
_WORKER = re.compile(r"kworker/|events/")
_WHOLE_GROUP = re.compile(r"Tasks in (\S+) are going to be killed due to memory\.oom\.group set")

_SIZES = {
    "total-vm": "total_vm",
    "vsz": "total_vm",
    "anon-rss": "anon_rss",
    "file-rss": "file_rss",
    "shmem-rss": "shmem_rss",
    "pgtables": "pgtables",
}
_LONGEST = 4096
"""Characters of a line that are looked at; the kernel writes at most 1,024 (printk.c, LOG_LINE_MAX)."""
PAGE = 4096
"""Bytes of a page on x86-64."""


@dataclass(slots=True)
class Report:
    """One kill, or one report without a kill, while it is read; sizes in bytes."""

    line: Line
    words: dict[str, str] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=dict)
    manual: bool = False
    outcome: str = ""
    columns: tuple[str, ...] = ()
    tasks: list[tuple[dict[str, int], str]] = field(default_factory=list)  # figures in bytes, name
    zones: list[tuple[int, str, dict[str, int]]] = field(default_factory=list)


@dataclass(slots=True)
class Reader:
    """Reads one log, in order; `unread` counts table lines that could not be read."""

    reports: list[Report] = field(default_factory=list)
    unread: int = 0
    _sysrq: bool = False
    _open: bool = False  # the last report has not named its victim yet
    _group: str = ""
    _chosen: bool = False  # the last report names who was chosen, and not yet who dies: it may be a child of that one

    def feed(self, lines: Iterable[Line]) -> Reader:
        """Take lines; those of other programs are passed over."""
        for line in lines:
            if line.program.startswith("kernel"):
                self._line(line)
        return self

    def _line(self, line: Line) -> None:
        text = line.text[:_LONGEST]
        if _SYSRQ.fullmatch(text):
            self._sysrq = True
        elif _IGNORED.fullmatch(text):
            self._sysrq = False
        elif match := _INVOKED.fullmatch(text):
            self._begin(line, match[1], match[2])
        elif match := _KILLED.fullmatch(text):
            self._killed(line, match)
        elif match := _WHOLE_GROUP.fullmatch(text):
            self._group = match[1]
        elif not self._open and (_HEADER.fullmatch(text) or _RECORD.fullmatch(text)):
            self._begun_before(line, text)
        elif self.reports:
            self._after(self.reports[-1], text)
        elif _LIKE_TASK.fullmatch(text):
            self.unread += 1

    def _begin(self, line: Line, invoker: str, words: str) -> None:
        report = Report(line, {"invoker": invoker})
        report.words.update(re.findall(r"(gfp_mask|nodemask)=([^,]*)", words))
        report.figures |= {
            name: int(value) for name, value in re.findall(r"\b(order|oom_score_adj|oom_adj)=(-?\d{1,6})\b", words)
        }
        if "oom_score_adj" in report.figures:
            report.figures["invoker_adj"] = report.figures.pop("oom_score_adj")
        report.manual = report.figures.get("order") == -1 or (self._sysrq and bool(_WORKER.match(invoker)))
        self._sysrq, self._open, self._group, self._chosen = False, True, "", False
        self.reports.append(report)

    def _begun_before(self, line: Line, text: str) -> None:
        """Read the rest of a report whose first lines are gone: a ring buffer that wrapped, a log that was rotated."""
        self._open, self._group, self._chosen = True, "", False
        self.reports.append(Report(line))
        self._after(self.reports[-1], text)

    def _after(self, report: Report, text: str) -> None:
        if match := _PANIC.fullmatch(text):
            report.outcome, self._open = f"panic: {match[1]}", False
        elif (match := _REAPED.match(text)) and report.figures.get("victim_pid") == int(match[1]):
            report.outcome = "killed and its memory reaped" if "unable" not in text else "killed, its memory not reaped"
        elif not self._open:
            self.unread += bool(_LIKE_TASK.fullmatch(text))
        elif not any(take(report, text) for take in _TAKERS):
            self._task(report, text)

    def _task(self, report: Report, text: str) -> None:
        match = _TASK.fullmatch(text)
        if not match or not (report.columns or _LIKE_TASK.fullmatch(text)):
            return
        *numbers, name = match[2].split(None, len(report.columns) - 1) if report.columns else [""]
        whole = bool(report.columns) and len(numbers) == len(report.columns) - 1
        if not whole or not all(re.fullmatch(r"-?\d{1,19}", number) for number in numbers):
            self.unread += 1
            return
        figures = _in_bytes(dict(zip(report.columns, map(int, numbers), strict=False)))
        report.tasks.append(({"pid": int(match[1]), **figures}, name))

    def _killed(self, line: Line, match: re.Match[str]) -> None:
        """Take the line that names the victim; before 5.0 there are two, first with a score and then with sizes."""
        report = self._named(line, int(match["pid"]))
        report.outcome = _how(report, int(match["pid"]), match["name"]) if self._chosen else "killed"
        self._chosen = match["verb"].lower() == "kill"
        report.words["victim"] = match["name"]
        report.figures["victim_pid"] = int(match["pid"])
        if (match["before"] or "").startswith("Memory cgroup"):
            report.words.setdefault("constraint", "CONSTRAINT_MEMCG")
        sizes = match["sizes"] or ""
        if score := re.match(r"score (\d{1,10})", sizes):
            report.figures["score"] = int(score[1])
        uid = match["uid"] or match["uid_first"] or (re.findall(r"\bUID:(\d{1,10})\b", sizes) or [""])[0]
        report.figures |= {"victim_uid": int(uid)} if uid else {}
        for word, kibibytes in re.findall(r"\b([a-z-]+):(\d{1,15})kB", sizes):
            if word in _SIZES:
                report.figures[_SIZES[word]] = int(kibibytes) * 1024
        if adjusted := re.search(r"\boom_score_adj:(-?\d{1,5})\b", sizes):
            report.figures["victim_adj"] = int(adjusted[1])
        self._open = False
        _resize(report)

    def _named(self, line: Line, pid: int) -> Report:
        """Give the report to which a victim belongs: the open one, the one that has no sizes yet, or one of its own."""
        last = self.reports[-1] if self.reports else None
        if last is not None and (
            self._open or self._chosen or (last.figures.get("victim_pid") == pid and "total_vm" not in last.figures)
        ):
            return last
        report = Report(line)
        if last is not None and self._group:  # memory.oom.group: one report, and all of the group die
            report.words = {"memcg": self._group, **_some(last.words, "invoker", "constraint")}
            report.figures = _some(last.figures, "invoker_pid")
        self.reports.append(report)
        return report


def _how(report: Report, pid: int, name: str) -> str:
    """Say how who dies stands to who was chosen: itself, a child of it, or the process of that thread.

    Up to 4.x a thread may be chosen that still has its memory (find_lock_task_mm); the table has processes.
    """
    chosen, known = report.figures["victim_pid"], {figures["pid"] for figures, _ in report.tasks}
    if chosen == pid or (name == report.words["victim"] and pid in known and chosen not in known):
        return "killed"
    shown = f"{report.words['victim']} ({chosen})"
    if name == report.words["victim"] and chosen not in known:
        return f"killed; the score is of {shown}, its parent or a thread of it"
    return f"killed in place of its parent {shown}, which the score is of"


def _resize(report: Report) -> None:
    """Take larger pages than 4 KiB (arm64, ppc64) where the victim's own line, which is in kB, says so."""
    row = next((figures for figures, _ in report.tasks if figures["pid"] == report.figures["victim_pid"]), {})
    told, listed = report.figures.get("total_vm", 0), row.get("total_vm", 0)
    if listed <= 0 or told not in {listed * 4, listed * 16}:
        return
    times = told // listed
    for figures, _ in report.tasks:
        figures |= {name: value * times for name, value in figures.items() if name in _PAGES}
        if "pgtables_bytes" not in figures and "pgtables" in figures:
            figures["pgtables"] *= times
    if "ram" in report.figures:
        report.figures["ram"] *= times


def _some(known: Mapping[str, Value], *names: str) -> dict[str, Value]:
    return {name: known[name] for name in names if name in known}


def _processor(report: Report, text: str) -> bool:
    match = _CPU.match(text)
    if match:
        report.figures.setdefault("invoker_pid", int(match[1] or match[2]))
        release = _RELEASE.search(match[3])
        report.words |= {"kernel": release[1]} if release else {}
    return match is not None


def _columns(report: Report, text: str) -> bool:
    match = _HEADER.fullmatch(text)
    if match:
        report.columns = tuple(match[1].split())
    return match is not None


def _record(report: Report, text: str) -> bool:
    match = _RECORD.fullmatch(text)
    if match:
        report.words["constraint"] = match[1]
        fields: dict[str, str] = dict(
            re.findall(r"(?:^|,)(oom_memcg|task_memcg|cpuset|mems_allowed|nodemask)=([^,]*)", match[2])
        )
        names = {"oom_memcg": "memcg", "task_memcg": "victim_memcg"}
        report.words |= {names.get(name, name): value for name, value in fields.items()}
    return match is not None


def _cpuset(report: Report, text: str) -> bool:
    match = _CPUSET.fullmatch(text)
    if match:
        report.words |= {"cpuset": match[1], "mems_allowed": match[2]}
    return match is not None


def _limit(report: Report, text: str) -> bool:
    if match := _LIMITED.fullmatch(text.strip()):
        report.words |= {"constraint": "CONSTRAINT_MEMCG", "victim_memcg": match[1], "memcg": match[2]}
        return True
    if match := _USAGE.fullmatch(text.strip()):
        report.figures |= {"usage": int(match[1]) * 1024, "limit": int(match[2]) * 1024}
        return True
    return False


def _memory(report: Report, text: str) -> bool:
    if match := _SWAP.fullmatch(text.strip()):
        report.figures[f"swap_{match[1].lower()}"] = int(match[2]) * 1024
    elif match := _RAM.fullmatch(text.strip()):
        report.figures["ram"] = int(match[1]) * PAGE
    elif match := _ZONE.fullmatch(text):
        marks = {name: int(value) * 1024 for name, value in re.findall(r"\b(min|low|high):(\d{1,16})kB", match[4])}
        report.zones.append((int(match[1] or 0), match[2], {"free": int(match[3]) * 1024, **marks}))
    elif "moom_callback" in text:
        report.manual = True
    else:
        return False
    return True


_PAGES = ("total_vm", "rss", "rss_anon", "rss_file", "rss_shmem", "swapents", "nr_ptes", "nr_pmds")
_TAKERS: tuple[Callable[[Report, str], bool], ...] = (_processor, _columns, _record, _cpuset, _limit, _memory)


def _in_bytes(figures: Mapping[str, int]) -> dict[str, int]:
    """Turn pages into bytes; `pgtables_bytes` is bytes, `nr_ptes` (and `nr_pmds`) are pages of page tables."""
    sized = {name: value * PAGE if name in _PAGES else value for name, value in figures.items()}
    tables = sized.get("pgtables_bytes")
    if tables is None and "nr_ptes" in sized:
        tables = sized["nr_ptes"] + sized.get("nr_pmds", 0)
    return sized | ({"pgtables": tables} if tables is not None else {})


def read(lines: Iterable[Line]) -> Reader:
    """Read one log."""
    return Reader().feed(lines)
