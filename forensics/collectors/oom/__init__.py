"""Memory pressure: every process's score for the OOM killer, the settings, and the kernel's log of kills."""

from __future__ import annotations

import re

from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.collectors.oom import log as log_file
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_SYSCTLS = (
    "panic_on_oom",
    "oom_kill_allocating_task",
    "oom_dump_tasks",
    "overcommit_memory",
    "overcommit_ratio",
    "swappiness",
    "min_free_kbytes",
)
_LINE = re.compile(rb"/proc/(\d{1,10})/(oom_score|oom_score_adj|oom_adj|status):(.*)", re.DOTALL)
_STATUS = re.compile(rb"(Name|VmRSS|VmSwap):\t *(.*)", re.DOTALL)
_SCORES = (
    Column("pid", "integer"),
    Column("comm"),
    Column("oom_score", "integer"),
    Column("oom_score_adj", "integer"),
    Column("rss", "bytes"),
    Column("swap", "bytes"),
)
_SETTINGS = (Column("name"), Column("value"))
_NONE = Absent("a kernel thread has none, or the process had ended")


class Oom(Collector[Bounds]):
    """Scores of the OOM killer, its settings, and the kernel log."""

    name = "oom"
    title = "Memory and the OOM killer"
    volatility = 15
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Read the scores in one pass, the settings, and the kernel log; nothing is written."""
        names = ("(", "-name", "oom_score", "-o", "-name", "oom_score_adj", "-o", "-name", "status", ")")
        wanted = r"^-?[0-9]+$|^Name:|^VmRSS:|^VmSwap:"
        here = ("find", "/proc", "-mindepth", "2", "-maxdepth", "2", "-path", "/proc/[0-9]*", *names)
        scores = (*here, "-exec", "grep", "-sHE", wanted, "{}", "+")
        sysctls = tuple(f"/proc/sys/vm/{name}" for name in _SYSCTLS)
        limits = settings.limits
        return (
            Command("scores", scores, limits, accepts=(0, 1)),
            Command("sysctls", ("grep", "-sH", "", *sysctls), limits, accepts=(0, 2)),
            Command("kernel-log", ("dmesg",), limits),
        )

    def read(self, output: Output) -> Reading:
        """Make `oom_scores`, `oom_sysctls`, `oom_kills`, `oom_tasks` and `kernel_log`."""
        scores, bad_scores = _scores(output.part("scores"))
        settings, bad_settings = _sysctls(output.part("sysctls"))
        log = log_file.read(output.part("kernel-log"))
        tables = (
            Table("oom_scores", "Processes by their score for the OOM killer", _SCORES, tuple(scores)),
            Table("oom_sysctls", "Settings of the OOM killer", _SETTINGS, tuple(settings)),
            *log.tables,
        )
        unread = {"scores": bad_scores, "sysctls": bad_settings, "kernel-log": log.unread}
        return Reading(tables, unread)


def _scores(raw: bytes) -> tuple[list[tuple[Cell, ...]], int]:
    processes: dict[int, dict[str, Cell]] = {}
    bad = 0
    for line in raw.splitlines():
        match = _LINE.fullmatch(line)
        value = _value(match[2].decode(), match[3]) if match else None
        if match and value:
            processes.setdefault(int(match[1]), {}).update([value])
        else:
            bad += 1
    names = ("comm", "oom_score", "oom_score_adj", "rss", "swap")
    rows = [(pid, *(of.get(name, _NONE) for name in names)) for pid, of in sorted(processes.items())]
    return rows, bad


def _value(file: str, words: bytes) -> tuple[str, Cell] | None:
    if file != "status":
        return (file, int(words)) if re.fullmatch(rb"-?\d{1,12}", words) else None
    match = _STATUS.fullmatch(words)
    if not match:
        return None
    if match[1] == b"Name":
        return "comm", decode(match[2])
    kibibytes = re.fullmatch(rb"(\d{1,15}) kB", match[2])
    return ("rss" if match[1] == b"VmRSS" else "swap", int(kibibytes[1]) * 1024) if kibibytes else None


def _sysctls(raw: bytes) -> tuple[list[tuple[Cell, ...]], int]:
    rows: list[tuple[Cell, ...]] = []
    bad = 0
    for line in raw.splitlines():
        path, colon, value = decode(line).partition(":")
        if colon and path.startswith("/proc/sys/"):
            rows.append((path.removeprefix("/proc/sys/").replace("/", "."), value))
        else:
            bad += 1
    return rows, bad


COLLECTOR = Oom()
