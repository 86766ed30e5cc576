"""Rules on what one view shows and another does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from forensics.findings.rule import Context, Evidence, listed, number_of, plugin, rule, text_of
from forensics.model import Facts, Finding, Severity, Verdict
from forensics.tables import Cell

PSLIST, PSSCAN, SOCKETS = "linux.pslist.PsList", "linux.psscan.PsScan", "linux.sockstat.Sockstat"
TOLERANCE = 10.0
"""Seconds by which two statements of one moment may differ: memory and lists are not read in an instant."""


@dataclass(frozen=True, slots=True)
class _Task:
    pid: int
    comm: str
    started: float | None  # seconds since boot, None unknown


def epoch(cell: Cell | None) -> float | None:
    """Read a time cell as seconds since 1970; None where there is none."""
    try:
        moment = datetime.fromisoformat(text_of(cell))
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None


def booted(facts: Facts) -> float | None:
    """Tell when the target booted by its own clock, in seconds since 1970; None when it cannot be told."""
    if not facts.clock.measured or not facts.uptime:
        return None
    return datetime.fromisoformat(facts.clock.measured).timestamp() + facts.clock.seconds - facts.uptime


def in_memory(evidence: Evidence, facts: Facts) -> dict[int, _Task]:
    """Give the processes (not their threads) of the memory's task list."""
    boot, found = booted(facts), {}
    for row in evidence.rows(PSLIST):
        pid, thread = number_of(row.get("PID")), number_of(row.get("TID"))
        if pid is not None and (thread is None or thread == pid):
            created = epoch(row.get("CREATION TIME"))
            started = created - boot if created is not None and boot is not None else None
            found[pid] = _Task(pid, text_of(row.get("COMM")), started)
    return found


def _afterwards(evidence: Evidence, facts: Facts) -> dict[int, _Task]:
    boot, found = booted(facts), {}
    for row in evidence.rows("processes"):
        pid = number_of(row.get("pid"))
        if pid is not None:
            began = epoch(row.get("started"))
            started = began - boot if began is not None and boot is not None else None
            found[pid] = _Task(pid, text_of(row.get("comm")), started)
    return found


def _same(one: _Task, other: _Task | None) -> bool:
    if other is None:
        return False
    return one.started is None or other.started is None or abs(one.started - other.started) <= TOLERANCE


def _before(facts: Facts) -> dict[int, _Task]:
    return {one.pid: _Task(one.pid, one.comm, one.started) for one in facts.processes}


@rule("in-memory-not-live", needs=(PSLIST,))
def in_memory_not_live(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name processes that memory shows and the target's own lists, before and after, do not.

    A process that began after the first list and ended before the second is in neither, and is left out.
    """
    facts = context.facts
    if facts is None or not facts.processes:
        return
    before, after = _before(facts), _afterwards(evidence, facts)
    for task in in_memory(evidence, facts).values():
        listed_once = _same(task, before.get(task.pid)) or _same(task, after.get(task.pid))
        began_before = task.started is not None and task.started < facts.uptime - TOLERANCE
        if task.pid and began_before and not listed_once:
            yield Finding(
                rule="in-memory-not-live",
                severity=Severity.HIGH,
                title=f"{task.comm} (pid {task.pid}) is in memory, and the target did not list it",
                statement=(
                    f"Memory has the process {task.comm} (pid {task.pid}). It began {task.started:.0f} s after boot, "
                    f"before the survey ({facts.uptime:.0f} s); the target's lists before and after do not have it."
                ),
                exhibits=(*evidence.exhibits(PSLIST, "processes"), *filter(None, [context.facts_exhibit])),
                repeat=plugin("linux.pslist.PsList"),
                technique="T1014",
                facts={"pid": task.pid, "process": task.comm},
            )


@rule("live-not-in-memory", needs=(PSLIST, "processes"))
def live_not_in_memory(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name processes that ran before and after the acquisition, and that memory does not show."""
    facts = context.facts
    remembered = in_memory(evidence, facts) if facts else {}
    if facts is None or not remembered:
        return
    after = _afterwards(evidence, facts)
    scanned = {number_of(row.get("PID")) for row in evidence.rows(PSSCAN)}
    whole = context.verdict is Verdict.COMPLETE
    for task in _before(facts).values():
        if _same(task, after.get(task.pid)) and not _same(task, remembered.get(task.pid)):
            named = f"{task.comm} (pid {task.pid})"
            where = "A scan of memory finds it all the same: it is not linked in the task list." * (task.pid in scanned)
            doubt = "" if whole else f"The image's verdict is {context.verdict}: it may be missing for that reason."
            yield Finding(
                rule="live-not-in-memory",
                severity=Severity.HIGH if whole else Severity.LOW,
                title=f"{named} ran, and is not in memory's task list",
                statement=" ".join(filter(None, [f"{named} ran before and after memory was taken.", where, doubt])),
                exhibits=(*evidence.exhibits(PSLIST, "processes"), *filter(None, [context.facts_exhibit])),
                repeat=plugin("linux.pslist.PsList"),
                technique="T1014",
                facts={"pid": task.pid, "process": task.comm},
            )


@rule("unlinked-process", needs=(PSSCAN, PSLIST))
def unlinked(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Count running tasks that a scan of memory finds and the task list does not have.

    Information only: a process that ended while memory was read leaves just this.
    """
    known = {number_of(row.get("PID")) for row in evidence.rows(PSLIST)} | {0}
    found = [
        f"{text_of(row.get('COMM'), 64)} (pid {row.get('PID')})"
        for row in evidence.rows(PSSCAN)
        if row.get("PID") == row.get("TID")
        and text_of(row.get("EXIT_STATE")) == "TASK_RUNNING"
        and number_of(row.get("PID")) not in known
    ]
    del context
    if found and len(known) > 1:
        yield Finding(
            rule="unlinked-process",
            severity=Severity.INFORMATION,
            title=f"{len(found)} task(s) are in memory and not in the task list",
            statement=f"A scan finds {listed(found)}. A process that ended in the meantime leaves the same trace.",
            exhibits=evidence.exhibits(PSSCAN, PSLIST),
            repeat=f"{plugin('linux.psscan.PsScan')}, beside linux.pslist.PsList",
        )


@rule("hidden-socket", needs=(SOCKETS, "sockets", "processes"))
def hidden_socket(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name ports on which a process that still runs listened in memory, and that the target does not list."""
    running = {number_of(row.get("pid")) for row in evidence.rows("processes")}
    shown = {number_of(row.get("local_port")) for row in evidence.rows("sockets")}
    del context
    for row in _listening(evidence):
        port, pid = int(text_of(row["Source Port"])), number_of(row.get("PID"))
        if pid in running and port not in shown:
            name = f"{text_of(row.get('Process Name'), 64)} (pid {pid})"
            yield Finding(
                rule="hidden-socket",
                severity=Severity.MEDIUM,
                title=f"{name} listens on port {port} in memory, and the target does not list it",
                statement=(
                    f"In memory {name} listens on {text_of(row.get('Source Addr'))} port {port}. The process still ran "
                    "when the target listed its sockets, and that list does not have the port."
                ),
                exhibits=evidence.exhibits(SOCKETS, "sockets", "processes"),
                repeat=plugin("linux.sockstat.Sockstat"),
                technique="T1014",
                facts={"pid": pid, "port": port},
            )


def _listening(evidence: Evidence) -> Iterator[Mapping[str, Cell]]:
    for row in evidence.rows(SOCKETS):
        tcp = text_of(row.get("State")) == "LISTEN" and text_of(row.get("Family")) in ("AF_INET", "AF_INET6")
        if tcp and text_of(row.get("Source Port")).isdecimal():
            yield row
