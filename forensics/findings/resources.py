"""Rules on memory that ran out and on disks that were kept busy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from forensics.findings.rule import LONGEST, Context, Evidence, is_true, listed, number_of, rule, size_of, text_of
from forensics.findings.suspects import Process, processes, suspect
from forensics.model import Finding, Severity
from forensics.tables import Cell, Row

LSOF = "linux.lsof.Lsof"
LIVE_FILES = "open_files"
_MOST = 3
"""Processes that are named for their I/O."""
_QUIET = 64 << 10
"""Bytes below which a process's I/O is not worth a finding."""


@rule("oom-kill", needs=("oom_kills",))
def oom_kills(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name each process that the kernel killed for want of memory, with what it held."""
    del context
    for row in evidence.rows("oom_kills"):
        victim, pid = text_of(row.get("victim"), 64) or "a process", number_of(row.get("victim_pid"))
        held, whole = number_of(row.get("anon_rss")), number_of(row.get("total_vm"))
        asked, group = text_of(row.get("invoker"), 64), text_of(row.get("memcg"))
        parts = [
            f"The kernel killed {victim} (pid {pid})",
            f"at {text_of(row.get('time'))} s of its log",
            f"which held {size_of(held)} of memory" if held is not None else "",
            f"of {size_of(whole)} of address space" if whole is not None else "",
        ]
        limit = _limit(evidence, row) if group else ""
        more = [
            f"Memory was asked for by {asked} (pid {text_of(row.get('invoker_pid'))})." if asked else "",
            f"The constraint was {text_of(row.get('constraint'))}" + (f" of {group}{limit}." if group else ".")
            if text_of(row.get("constraint"))
            else "",
            "It was done by hand (SysRq)." if is_true(row.get("manual")) else "",
        ]
        yield Finding(
            rule="oom-kill",
            severity=Severity.LOW,
            title=f"The kernel killed {victim} (pid {pid}) for want of memory",
            statement=" ".join(filter(None, [", ".join(filter(None, parts)) + ".", *more])),
            exhibits=evidence.exhibits("oom_kills"),
            repeat="on the target: dmesg | grep -E 'oom-kill|Killed process'",
            technique="",
            facts={"victim": victim, "victim_pid": pid, "anon_rss": held, "total_vm": whole},
        )


def _limit(evidence: Evidence, kill: Row) -> str:
    """Give the memory limit that the kernel logged just before it killed."""
    when = kill.get("time")
    if isinstance(when, bool) or not isinstance(when, int | float):
        return ""
    told = ""
    for row in evidence.rows("kernel_log"):
        time = row.get("time")
        if isinstance(time, int | float) and when - 5 <= time <= when + 1:
            match = re.search(r"\bmemory: usage \d+kB, limit (\d{1,15})kB", str(row.get("text")))
            told = f", limited to {size_of(int(match[1]) * 1024)}" if match else told
    return told


@dataclass(frozen=True, slots=True)
class _Load:
    pid: int
    name: str
    reads: int
    read_bytes: int
    writes: int
    written_bytes: int

    @property
    def bytes(self) -> int:
        return self.read_bytes + self.written_bytes


def _load(row: Row) -> _Load | None:
    pid = number_of(row.get("pid"))
    counts = [number_of(row.get(name)) or 0 for name in ("reads", "read_bytes", "writes", "written_bytes")]
    return None if pid is None else _Load(pid, text_of(row.get("process"), 64) or "without a name", *counts)


@rule("io-burst", needs=("block_io_processes",))
def io_burst(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name the processes that kept the disk busiest, what they moved, how long they waited, and their files."""
    del context
    loads = sorted(filter(None, map(_load, evidence.rows("block_io_processes"))), key=lambda one: -one.bytes)
    known = processes(evidence)
    for rank, load in enumerate(one for one in loads[:_MOST] if one.bytes >= _QUIET):
        yield _io_finding(evidence, load, rank, known.get(load.pid))


def _io_finding(evidence: Evidence, load: _Load, rank: int, one: Process | None) -> Finding:
    files, files_by = open_files(evidence, load.pid), LSOF
    if not files:
        files, files_by = live_files(evidence, load.pid), LIVE_FILES
    waits = _waits(evidence, load)
    why = suspect(one) if one else ""
    parts = [
        f"{load.name} (pid {load.pid})",
        f"wrote {size_of(load.written_bytes)} in {load.writes} request(s){_each(load.written_bytes, load.writes)}"
        if load.writes
        else "",
        f"read {size_of(load.read_bytes)} in {load.reads} request(s){_each(load.read_bytes, load.reads)}"
        if load.reads
        else "",
    ]
    more = [
        f"Waiting times: {waits}." if waits else "",
        f"Its files open{'' if files_by == LIVE_FILES else ' in memory'}: {listed(files)}." if files else "",
        f"It was started as: {one.args[:LONGEST]}." if one and one.args else "",
        f"The process is suspect: {why}." if why else "",
    ]
    order = ("busiest", "second busiest", "third busiest")[rank]
    return Finding(
        rule="io-burst",
        severity=Severity.MEDIUM if why else Severity.INFORMATION,
        title=f"{load.name} (pid {load.pid}) was the {order} on the disk: {size_of(load.bytes)}",
        statement=" ".join(filter(None, [" ".join(filter(None, parts)) + " while it was traced.", *more])),
        exhibits=evidence.exhibits("block_io_processes", *((files_by,) if files else ())),
        repeat="read the block trace again: the tables block_io_processes and block_io_latency",
        facts={"pid": load.pid, "process": load.name, "bytes": load.bytes, "files": [*files[:50]]},
    )


def _each(count: int, requests: int) -> str:
    return f" of {count // requests} bytes each" if requests and count % requests == 0 else ""


def _waits(evidence: Evidence, load: _Load) -> str:
    """Give Q2D, D2C and Q2C of a process, else of all."""
    rows = [row for row in evidence.rows("block_io_latency") if text_of(row.get("measure")) in ("Q2D", "D2C", "Q2C")]
    own = [row for row in rows if number_of(row.get("pid")) == load.pid and text_of(row.get("scope")) != "all"]
    chosen, of_all = (own, "") if own else ([row for row in rows if text_of(row.get("scope")) == "all"], " (of all)")
    words = [
        f"{text_of(row.get('measure'))} {_milliseconds(row.get('average'))} on average, "
        f"{_milliseconds(row.get('p99'))} at the 99th percentile"
        for row in chosen[:3]
    ]
    return "; ".join(words) + of_all if words else ""


def _milliseconds(cell: Cell | None) -> str:
    return f"{cell * 1000:.3f} ms" if isinstance(cell, int | float) else "not known"


def open_files(evidence: Evidence, pid: int) -> list[str]:
    """Give the regular files that a process has open in memory."""
    paths = {
        text_of(row.get("Path"), LONGEST): None
        for row in evidence.rows(LSOF)
        if number_of(row.get("PID")) == pid and text_of(row.get("Type")) in ("REG", "") and _is_file(row)
    }
    return list(paths)


def live_files(evidence: Evidence, pid: int) -> list[str]:
    """Give the regular files that a process had open when the target was asked."""
    rows = (row for row in evidence.rows(LIVE_FILES) if number_of(row.get("pid")) == pid)
    return list({text_of(row.get("path"), LONGEST): None for row in rows if _regular(text_of(row.get("path")))})


def _regular(path: str) -> bool:
    return path.startswith("/") and not path.startswith(("/dev/", "/proc/", "/sys/"))


def _is_file(row: Row) -> bool:
    return _regular(text_of(row.get("Path")))
