"""Pure readers of what a Linux kernel says in /proc about its processes, memory, modules and mounts.

Every one takes bytes that a target sent, gives what could be read, and never raises for what could not.
Layouts are those of fs/proc/array.c, kernel/resource.c, kernel/module/procfs.c and fs/proc_namespace.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from forensics import text
from forensics.model import LiveProcess, MemoryRange

TICKS = 100
"""USER_HZ: on x86-64 the kernel gives times to user space in hundredths of a second, whatever CONFIG_HZ is."""

KERNEL_THREAD = 0x00200000
"""PF_KTHREAD of include/linux/sched.h; field 9 of a stat line."""

# A name may hold spaces, parentheses and line breaks (the kernel escapes them in status, not in stat), so a record ends
# where a state letter and the numbers of a whole record follow. Names have 15 bytes, workers' up to 63.
_STAT = re.compile(rb"(\d{1,10}) \((.{0,79}?)\) ([A-Za-z]) ((?:-?\d{1,20} ){36,80}-?\d{1,20})\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StatLine:
    """What of /proc/PID/stat is used."""

    pid: int
    comm: bytes
    state: str
    ppid: int
    flags: int
    started: float  # seconds since boot


def stat_lines(content: bytes) -> tuple[tuple[StatLine, ...], int]:
    """Read several /proc/PID/stat one after the other; also count the bytes that belong to no record."""
    found: list[StatLine] = []
    read = 0
    for match in _STAT.finditer(content):
        read += len(match[0])
        numbers = match[4].split()
        ppid, flags, ticks = int(numbers[0]), int(numbers[5]), int(numbers[18])
        found.append(StatLine(int(match[1]), match[2], match[3].decode(), ppid, flags, ticks / TICKS))
    return tuple(found), len(content) - read


def owners(content: bytes) -> dict[int, int]:
    """Read `grep -H ^Uid: /proc/PID/status …` as real user id by process id."""
    lines = re.finditer(rb"^/proc/(\d{1,10})/status:Uid:\s+(\d{1,10})\b", content, re.MULTILINE)
    return {int(line[1]): int(line[2]) for line in lines}


def processes(stat: bytes, status: bytes) -> tuple[LiveProcess, ...]:
    """Give the process list; a process whose owner was not told (it ended between the two questions) is left out."""
    uids = owners(status)
    return tuple(
        LiveProcess(
            pid=line.pid,
            ppid=line.ppid,
            uid=uids[line.pid],
            comm=text.decode(line.comm),
            started=line.started,
            kernel_thread=bool(line.flags & KERNEL_THREAD),
        )
        for line in stat_lines(stat)[0]
        if line.pid in uids
    )


def system_ram(iomem: bytes) -> tuple[MemoryRange, ...]:
    """Give the top-level `System RAM` ranges of /proc/iomem, as LiME walks them; () when addresses are hidden.

    Without privilege every address reads as zero, and that says nothing of the machine.
    """
    lines = re.finditer(rb"^([0-9a-f]{1,16})-([0-9a-f]{1,16}) : System RAM$", iomem, re.MULTILINE)
    ranges = [MemoryRange(int(line[1], 16), int(line[2], 16)) for line in lines]
    return tuple(one for one in ranges if one.end > one.start)


def fields(content: bytes) -> dict[str, int]:
    """Read `Name:   123 kB` lines (/proc/meminfo) as bytes, or the bare number where no unit stands."""
    lines = re.finditer(rb"^([A-Za-z0-9_()]+):\s+(\d{1,18})( kB)?\s*$", content, re.MULTILINE)
    return {line[1].decode(): int(line[2]) * (1024 if line[3] else 1) for line in lines}


def module_names(content: bytes) -> tuple[str, ...]:
    """Give the names in /proc/modules, in its order."""
    return tuple(text.decode(line.split(b" ", 1)[0]) for line in content.splitlines() if b" " in line)


def marked_files(content: bytes, names: tuple[str, ...]) -> dict[str, bytes]:
    """Take apart `grep -H "" FILE…`: file name to content. A file that could not be read is not in the result.

    Every line carries its file's name, so that no content can pass for another file.
    """
    marks = {name.encode() + b":": name for name in names}
    found: dict[str, list[bytes]] = {}
    for line in content.split(b"\n"):
        mark = line[: line.find(b":") + 1]
        if mark in marks:
            found.setdefault(marks[mark], []).append(line[len(mark) :])
    return {name: b"\n".join(lines) + b"\n" for name, lines in found.items()}


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo."""

    device: str  # major:minor
    target: str
    type: str
    source: str
    options: str


_OCTAL = re.compile(r"\\([0-7]{3})")


def mounts(content: bytes) -> Iterator[Mount]:
    """Read /proc/PID/mountinfo (proc(5)); lines of another form are passed over."""
    for line in text.decode(content).split("\n"):
        before, separator, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if separator and len(left) >= 6 and len(right) >= 2 and re.fullmatch(r"\d{1,7}:\d{1,7}", left[2]):
            yield Mount(left[2], _unescaped(left[4]), right[0], _unescaped(right[1]), left[5])


def _unescaped(word: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), word)


def assignments(content: bytes) -> Mapping[str, str]:
    """Read NAME=value lines, the value in double, single or no quotes (os-release(5), a kernel's config)."""
    found: dict[str, str] = {}
    for match in re.finditer(r"^([A-Za-z_][A-Za-z0-9_]*)=(.*)$", text.decode(content), re.MULTILINE):
        value = match[2].strip()
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
        found[match[1]] = re.sub(r"\\([\"'$`\\])", r"\1", value[1:-1]) if quoted else value
    return found
