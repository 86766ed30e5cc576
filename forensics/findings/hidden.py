"""Rules on what was taken out of a list that memory still holds otherwise: processes and kernel modules."""

from __future__ import annotations

from collections.abc import Iterator

from forensics.findings.presence import TOLERANCE, booted, epoch
from forensics.findings.rule import Context, Evidence, is_true, listed, number_of, plugin, rule, text_of
from forensics.findings.suspects import PSAUX
from forensics.model import Finding, Severity
from forensics.tables import Row

PROCESSES, MODULES = "process_views", "module_views"
HIDDEN = "linux.malware.hidden_modules.Hidden_modules"
CHECKED = "linux.malware.check_modules.Check_modules"
_WAYS = {
    "in_list": "the task list", "in_tree": "the tree of parents", "in_table": "the table by number",
    "in_groups": "the control groups", "in_scan": "a scan",
}  # fmt: skip
_MODULE_WAYS = {
    "in_list": "the list", "in_sysfs": "/sys/module's objects", "in_tree": "the tree by address", "in_scan": "a scan",
}  # fmt: skip


def _ways(row: Row, ways: dict[str, str], *, there: bool) -> list[str]:
    """Name the views of memory that have it, or those that were taken and do not."""
    return [words for name, words in ways.items() if row.get(name) is there]


@rule("hidden-from-ps", needs=(PROCESSES,))
def hidden_from_ps(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name processes that memory and the kernel's own /proc show, and the target's `ps` does not.

    It was there before (the survey reads /proc) and after (/proc again, read after `ps`): it cannot have ended between.
    """
    tool = context.facts.tools.get("ps", "ps") if context.facts else "ps"
    arguments = {number_of(row.get("PID")): text_of(row.get("ARGS")) for row in evidence.rows(PSAUX)}
    for row in evidence.rows(PROCESSES):
        around = is_true(row.get("before")) and is_true(row.get("proc"))
        if around and row.get("ps") is False and _ways(row, _WAYS, there=True):
            name, pid = text_of(row.get("name"), 64), number_of(row.get("pid"))
            yield Finding(
                rule="hidden-from-ps",
                severity=Severity.HIGH,
                title=f"{name} (pid {pid}) is kept out of what ps lists",
                statement=(
                    f"{name} (pid {pid}) is in memory ({listed(_ways(row, _WAYS, there=True))}), and the kernel showed "
                    f"it in /proc before memory was taken and after the list; the target's own {tool} left it out."
                    + (f" It was started as: {started}." if (started := arguments.get(pid, "")) else "")
                ),
                exhibits=evidence.exhibits(PROCESSES, *((PSAUX,) if started else ())),
                repeat=f"table {PROCESSES}, pid {pid}; on the target: ls -d /proc/{pid}; {tool} -p {pid}",
                technique="T1014",
                facts={"pid": pid, "process": name, "program": tool, "arguments": started},
            )


@rule("hidden-process", needs=(PROCESSES,))
def hidden_process(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name running processes that were taken out of the kernel's task list, or out of its table by number.

    Memory is not read in an instant: what began or ended meanwhile may be half in and half out. So a process has to
    be older than the survey, and two other ways have to agree that it is there.
    """
    survey = _began_before(context)
    for row in evidence.rows(PROCESSES):
        others = [name for name in ("in_tree", "in_table", "in_groups", "in_list") if is_true(row.get(name))]
        out = next((name for name in ("in_list", "in_table") if row.get(name) is False), "")
        started = epoch(row.get("started"))
        old = started is not None and survey is not None and started < survey
        if out and row.get("ended") is False and len(others) >= 2 and old:
            name, pid = text_of(row.get("name"), 64), number_of(row.get("pid"))
            yield Finding(
                rule="hidden-process",
                severity=Severity.HIGH,
                title=f"{name} (pid {pid}) was taken out of {_WAYS[out]}",
                statement=(
                    f"{name} (pid {pid}) is in {listed(_ways(row, _WAYS, there=True))}, and not in "
                    f"{listed(_ways(row, _WAYS, there=False))}. It began before the survey and had not ended."
                ),
                exhibits=evidence.exhibits(PROCESSES),
                repeat=plugin("linux.forensics.processes.ProcessViews", ours=True),
                technique="T1014",
                facts={"pid": pid, "process": name},
            )


def _began_before(context: Context) -> float | None:
    """Tell the last moment, by the target's clock, at which a process surely began before the survey."""
    boot = booted(context.facts) if context.facts else None
    return None if boot is None or context.facts is None else boot + context.facts.uptime - TOLERANCE


@rule("hidden-module", needs=(f"{MODULES}|{HIDDEN}|{CHECKED}",))
def hidden_modules(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name modules that are in memory and in no list that the kernel shows."""
    known = {text_of(row.get("name"), 64) for row in evidence.rows("modules")} | set(
        context.facts.modules if context.facts else ()
    )
    seen: set[str] = set()
    for table, row in _unlisted(evidence):
        name = text_of(row.get("name", row.get("Module Name", row.get("Name"))), 64) or "without a name"
        if name not in known | seen | context.instruments:
            seen.add(name)
            yield _hidden_module(evidence, table, row, name)


def _unlisted(evidence: Evidence) -> Iterator[tuple[str, Row]]:
    for row in evidence.rows(MODULES):
        if row.get("in_list") is False and _ways(row, _MODULE_WAYS, there=True):
            yield MODULES, row
    for table in (HIDDEN, CHECKED):
        yield from ((table, row) for row in evidence.rows(table))


def _hidden_module(evidence: Evidence, table: str, row: Row, name: str) -> Finding:
    where = listed(_ways(row, _MODULE_WAYS, there=True))
    address, size = number_of(row.get("base")), number_of(row.get("size"))
    parts = [
        f"Memory has the kernel module {name}",
        f" at {address:#x}, {size} bytes" if address is not None and size is not None else "",
        f", found by {where}" if where else "",
        "; the kernel's own list (/proc/modules) does not.",
    ]
    gone = _ways(row, _MODULE_WAYS, there=False)
    ours = table == MODULES
    return Finding(
        rule="hidden-module",
        severity=Severity.HIGH,
        title=f"The kernel module {name} hides",
        statement="".join(parts) + (f" It was taken out of {listed(gone)}." if gone else ""),
        exhibits=evidence.exhibits(table, "modules"),
        repeat=plugin("linux.forensics.modules.ModuleViews", ours=True) if ours else plugin(table),
        technique="T1014",
        facts={"module": name, "taints": text_of(row.get("taints")), "address": address},
    )


@rule("module-not-shown", needs=(MODULES,))
def not_shown(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name modules that stand in the kernel's list, and that /proc/modules shows neither before nor after."""
    for row in evidence.rows(MODULES):
        name = text_of(row.get("name"), 64)
        unseen = row.get("before") is False and row.get("after") is False
        if is_true(row.get("in_list")) and unseen and name not in context.instruments:
            yield Finding(
                rule="module-not-shown",
                severity=Severity.MEDIUM,
                title=f"The kernel module {name} is in the kernel's list, and /proc/modules did not show it",
                statement=(
                    f"Memory has the module {name} in the list behind /proc/modules; that file, read before and after, "
                    "does not name it. A module that was loaded and unloaded in between leaves the same trace."
                ),
                exhibits=evidence.exhibits(MODULES),
                repeat=plugin("linux.forensics.modules.ModuleViews", ours=True),
                technique="T1014",
                facts={"module": name},
            )
