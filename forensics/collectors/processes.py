"""Processes as the target's own `ps` and `/proc` tell them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from forensics.collectors import Bench, Bounds, Collector, Command, Output, Reading
from forensics.model import utc
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_DELETED = " (deleted)"
_LOOKED_AT = 500
"""Deleted executables that are looked for at their old path; more than this on one machine is an attack on us."""

_LINE = re.compile(
    r"\s*(\d{1,10})\s+(\d{1,10})\s+(\d{1,10})\s+(\S)\s+(\d{1,15})\s+"
    r"\w{3}\s+(\w{3}\s+\d{1,2}\s+\d\d:\d\d:\d\d\s+\d{4}) (.{64}) (.*)",
    re.DOTALL,
)
_COLUMNS = (
    Column("pid", "integer"),
    Column("ppid", "integer"),
    Column("uid", "integer"),
    Column("started", "time"),
    Column("state"),
    Column("rss", "bytes"),
    Column("comm"),
    Column("exe"),
    Column("exe_deleted", "yes/no"),
    Column("exe_present", "yes/no"),
    Column("args"),
    Column("kernel_thread", "yes/no"),
)
_ENTRY_COLUMNS = (Column("pid", "integer"), Column("exe"))
_NO_LINK = Absent("a kernel thread has no executable, or the link was not readable")


class Processes(Collector[Bounds]):
    """Process list, with each executable and whether a file still stands at its path."""

    name = "processes"
    title = "Processes"
    volatility = 10
    program = "ps"
    package = "procps"
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """List processes, then the links to their executables (find ends with 1: kernel threads have none)."""
        columns = "pid=,ppid=,uid=,state=,rss=,lstart=,comm:64=,args="
        links = ("find", "/proc", "-mindepth", "2", "-maxdepth", "2", "-path", "/proc/[0-9]*/exe")
        return (
            Command("ps", ("ps", "-eww", "-o", columns), settings.limits),
            Command("exe", (*links, "-printf", r"%h\t%l\0"), settings.limits, accepts=(0, 1)),
        )

    @contextmanager
    def capture(self, bench: Bench, settings: Bounds) -> Iterator[Callable[[], None]]:
        """Run the two, then look whether a file stands where each deleted executable was."""

        def work() -> None:
            for command in self.command(settings):
                bench.run(command)
            paths = deleted_paths((bench.folder / "exe").read_bytes())
            if paths:
                argv = ("stat", "--printf", r"%n\0", "--", *paths[:_LOOKED_AT])
                bench.run(Command("present", argv, settings.limits, accepts=(0, 1)))

        yield work

    def read(self, output: Output) -> Reading:
        """Make the tables `processes`, by `ps`, and `processes_in_proc`: who is in /proc and not in `ps` is hidden."""
        links, bad_links = _links(output.part("exe"))
        present = set(output.part("present").split(b"\0")) if "present" in output.parts else set()
        rows: list[tuple[Cell, ...]] = []
        bad = 0
        for line in output.part("ps").splitlines():
            row = _row(decode(line), links, present)
            if row is None:
                bad += 1
            else:
                rows.append(row)
        table = Table("processes", "Processes, as the target listed them", _COLUMNS, tuple(rows))
        entries = tuple((pid, decode(link) if link else _NO_LINK) for pid, link in sorted(links.items()))
        inside = Table("processes_in_proc", "Processes, as /proc lists them", _ENTRY_COLUMNS, entries)
        return Reading((table, inside), {"ps": bad, "exe": bad_links})


def deleted_paths(links: bytes) -> list[str]:
    """Give the paths, each in its process's own root, at which a deleted executable was."""
    paths = []
    for record in links.split(b"\0"):
        folder, _, link = record.partition(b"\t")
        if link.startswith(b"/") and link.endswith(_DELETED.encode()) and re.fullmatch(rb"/proc/\d+", folder):
            paths.append((folder + b"/root" + link[: -len(_DELETED)]).decode("utf-8", "surrogateescape"))
    return [path for path in paths if "\n" not in path]


def _links(raw: bytes) -> tuple[dict[int, bytes], int]:
    found: dict[int, bytes] = {}
    bad = 0
    for record in filter(None, raw.split(b"\0")):
        match = re.fullmatch(rb"/proc/(\d{1,10})\t(.*)", record, re.DOTALL)
        if match:
            found[int(match[1])] = match[2]
        else:
            bad += 1
    return found, bad


def _row(line: str, links: Mapping[int, bytes], present: set[bytes]) -> tuple[Cell, ...] | None:
    match = _LINE.fullmatch(line)
    if not match:
        return None
    pid, ppid, uid, state, rss, started, comm, args = match.groups()
    thread = _is_kernel_thread(int(pid), int(ppid), links)
    executable = _executable(int(pid), links, present, thread=thread)
    numbers = (int(pid), int(ppid), int(uid), _time(started), state, int(rss) * 1024)
    return (*numbers, comm.rstrip(" "), *executable, args, thread)


def _is_kernel_thread(pid: int, ppid: int, links: Mapping[int, bytes]) -> bool:
    """Tell a kernel thread: kthreadd (2) or its child, without an executable. Brackets in a name prove nothing."""
    return (pid == 2 or ppid == 2) and not links.get(pid)


def _executable(pid: int, links: Mapping[int, bytes], present: set[bytes], *, thread: bool) -> tuple[Cell, Cell, Cell]:
    if thread:
        none = Absent("a kernel thread has no executable")
        return none, none, none
    link = links.get(pid, b"")
    if not link:
        none = Absent("the link was not readable, or the process had ended")
        return none, none, none
    if not link.endswith(_DELETED.encode()):
        return decode(link), False, True
    path = link[: -len(_DELETED)]
    return decode(path), True, b"/proc/%d/root%b" % (pid, path) in present


def _time(words: str) -> Cell:
    try:
        return utc(datetime.strptime(" ".join(words.split()), "%b %d %H:%M:%S %Y").replace(tzinfo=UTC))
    except ValueError:
        return Absent("not a time that can be read")


COLLECTOR = Processes()
