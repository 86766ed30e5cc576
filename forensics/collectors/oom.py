"""Memory pressure: every process's score for the OOM killer, the settings, and the kernel's log of kills."""

from __future__ import annotations

import re
from collections.abc import Mapping

from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.oom import lines, reports, tables
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
_LINE = re.compile(rb"/proc/(\d{1,10})/(oom_score|oom_score_adj|oom_adj|status|cgroup):(.*)", re.DOTALL)
_STATUS = re.compile(rb"(Name|VmRSS|VmSwap|PPid|Uid):[\t ]*(.*)", re.DOTALL)
_GROUP = re.compile(r"/sys/fs/cgroup(/.*)?/(memory\.[a-z_.]{1,40}):(.*)", re.DOTALL)
_SCORES = (
    Column("pid", "integer"),
    Column("ppid", "integer"),
    Column("uid", "integer"),
    Column("comm"),
    Column("oom_score", "integer"),
    Column("baseline", "integer"),
    Column("oom_score_adj", "integer"),
    Column("oom_adj", "integer"),
    Column("rss", "bytes"),
    Column("swap", "bytes"),
    Column("cgroup"),
)
_SETTINGS = (Column("name"), Column("value"))
_GROUPS = (Column("group"), Column("name"), Column("value"))
_LOG = (Column("time", "number"), Column("text"))
_NONE = Absent("a kernel thread has none, this kernel has no such file, or the process had ended")
_EXEMPT = -1000
_TWO_THIRDS = 600
"""Since 5.9 a process without memory and without adjustment has 666 (fs/proc/base.c, proc_oom_score), before that 0."""


class Oom(Collector[Bounds]):
    """Scores of the OOM killer, its settings, limits of groups, and the kernel log."""

    name = "oom"
    title = "Memory and the OOM killer"
    volatility = 15
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Read the scores in one pass, the settings, the groups' counters, and the kernel log; nothing is written."""
        limits = settings.limits
        sysctls = tuple(f"/proc/sys/vm/{name}" for name in _SYSCTLS)
        return (
            Command("scores", _scores_command(), limits, accepts=(0, 1)),
            Command("sysctls", ("grep", "-sH", "", *sysctls), limits, accepts=(0, 2)),
            Command("groups", _groups_command(), limits, accepts=(0, 1), optional=True),
            Command("kernel-log", ("dmesg",), limits),
        )

    def read(self, output: Output) -> Reading:
        """Make `oom_scores`, `oom_sysctls`, `oom_groups`, `oom_kills`, `oom_tasks`, `oom_zones` and `kernel_log`."""
        scores, bad_scores = _scores(output.part("scores"))
        settings, bad_settings = _sysctls(output.part("sysctls"))
        groups, bad_groups = _groups(output.part("groups"))
        log, bad_lines = lines.ring(output.part("kernel-log"))
        read = reports.read(log)
        no_time = Absent("the log does not say it")
        rows = tuple((no_time if one.time is None else one.time, one.text) for one in log)
        made = (
            Table("oom_scores", "Processes by their score for the OOM killer", _SCORES, tuple(scores)),
            Table("oom_sysctls", "Settings of the OOM killer", _SETTINGS, tuple(settings)),
            Table("oom_groups", "Limits and counters of memory groups", _GROUPS, tuple(groups)),
            *tables.made({"kernel log": read}),
            Table("kernel_log", "Kernel log", _LOG, rows),
        )
        unread = {"scores": bad_scores, "sysctls": bad_settings, "groups": bad_groups}
        return Reading(made, unread | {"kernel-log": bad_lines + read.unread})


def _scores_command() -> tuple[str, ...]:
    """Write the one pass over /proc; a control group is that of v2, or of v1's memory controller."""
    files = ("oom_score", "oom_score_adj", "oom_adj", "status", "cgroup")
    names = [word for name in files for word in ("-o", "-name", name)][1:]
    here = ("find", "/proc", "-mindepth", "2", "-maxdepth", "2", "-path", "/proc/[0-9]*", "(", *names, ")")
    wanted = r"^-?[0-9]+$|^Name:|^PPid:|^Uid:|^VmRSS:|^VmSwap:|^0::|^[0-9]+:([^:]*,)?memory[,:]"
    return (*here, "-exec", "grep", "-sHE", wanted, "{}", "+")


def _groups_command() -> tuple[str, ...]:
    """Ask only for what says something: a limit that is set, a count that is not 0."""
    names = ("memory.events", "memory.max", "memory.oom.group", "memory.failcnt", "memory.oom_control")
    chosen = [word for name in names for word in ("-o", "-name", name)][1:]
    here = ("find", "/sys/fs/cgroup", "-maxdepth", "8", "(", *chosen, ")")
    return (
        *here,
        "-exec",
        "grep",
        "-sHE",
        "^((max|oom|oom_kill|oom_group_kill|oom_kill_disable) )?[1-9][0-9]*$",
        "{}",
        "+",
    )


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
    new = _counts_from_two_thirds(processes)
    names = [column.name for column in _SCORES[1:]]
    rows = []
    for pid, of in sorted(processes.items()):
        known = {**of, "baseline": _baseline(of, new)}
        rows.append((pid, *(known.get(name, _NONE) for name in names)))
    return rows, bad


def _counts_from_two_thirds(processes: Mapping[int, Mapping[str, Cell]]) -> bool | None:
    """Tell from the lowest score without adjustment whether this kernel counts from 666; None: there is none."""
    plain = [
        of["oom_score"]
        for of in processes.values()
        if of.get("oom_score_adj") == 0 and "rss" in of and of.get("oom_score")
    ]
    lowest = min((one for one in plain if isinstance(one, int)), default=None)
    return None if lowest is None else lowest > _TWO_THIRDS


def _baseline(of: Mapping[str, Cell], new: bool | None) -> Cell:  # noqa: FBT001
    """Give the score that a process with this adjustment would have without any memory."""
    adjusted = of.get("oom_score_adj")
    if "rss" not in of or adjusted == _EXEMPT or of.get("oom_score") == 0:
        return Absent("the kernel never chooses it, or it has no memory")
    if new is None or not isinstance(adjusted, int):
        return Absent("it is not known how this kernel counts")
    return (1000 + adjusted) * 2 // 3 if new else max(adjusted, 0)


def _value(file: str, words: bytes) -> tuple[str, Cell] | None:
    if file == "cgroup":
        return "cgroup", decode(words.split(b":", 2)[-1])
    if file != "status":
        return (file, int(words)) if re.fullmatch(rb"-?\d{1,12}", words) else None
    match = _STATUS.fullmatch(words)
    if not match:
        return None
    name, value = match[1].decode(), match[2]
    if name == "Name":
        return "comm", decode(value)
    number = re.match(rb"\d{1,15}", value)
    if not number:
        return None
    count = int(number[0])
    return {"PPid": ("ppid", count), "Uid": ("uid", count), "VmRSS": ("rss", count * 1024)}.get(
        name, ("swap", count * 1024)
    )


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


def _groups(raw: bytes) -> tuple[list[tuple[Cell, ...]], int]:
    rows: list[tuple[Cell, ...]] = []
    bad = 0
    for line in raw.splitlines():
        match = _GROUP.fullmatch(decode(line))
        if not match:
            bad += 1
            continue
        word, _, value = match[3].rpartition(" ")
        rows.append((match[1] or "/", f"{match[2]} {word}".strip(), value))
    return rows, bad


COLLECTOR = Oom()
