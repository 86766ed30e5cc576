"""Rules on the programs that processes run from."""

from __future__ import annotations

from collections.abc import Iterator

from forensics.findings.rule import LONGEST, Context, Evidence, listed, rule
from forensics.findings.suspects import ENVARS, SPOOFING, SYSTEM, Process, environment, in_open_folder, processes
from forensics.model import Finding, Severity

_NEEDS = (f"processes|{SPOOFING}",)


@rule("deleted-executable", needs=_NEEDS)
def deleted(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name processes whose program is no longer the file it was started from."""
    for one in processes(evidence).values():
        if one.deleted and not _ours(one, context):
            severity, why = _judge(one)
            marks = environment(evidence, one.pid)
            parts = [
                f"{one.named} runs from {one.exe[:LONGEST]}, a file that was deleted: {why}.",
                f"Its arguments are: {one.args[:LONGEST]}." if one.args else "",
                f"Its environment in memory has: {listed(marks)}." if marks else "",
            ]
            yield Finding(
                rule="deleted-executable",
                severity=severity,
                title=_title(one, severity),
                statement=" ".join(filter(None, parts)),
                exhibits=evidence.exhibits(*one.tables, *((ENVARS,) if marks else ())),
                repeat=f"table {one.tables[0]}, pid {one.pid}; on the target: readlink /proc/{one.pid}/exe",
                technique=_technique(one, severity),
                facts={
                    "pid": one.pid, "process": one.comm, "path": one.exe[:LONGEST], "arguments": one.args[:LONGEST],
                    "environment": [*marks],
                },
            )  # fmt: skip


def _title(one: Process, severity: Severity) -> str:
    if severity is Severity.INFORMATION:
        return f"{one.named} runs an older version of its program"
    return f"{one.named} runs from a deleted file"


def _technique(one: Process, severity: Severity) -> str:
    if severity is Severity.INFORMATION:
        return ""
    return "T1620" if one.exe.startswith("/memfd:") else "T1070.004"


def _judge(one: Process) -> tuple[Severity, str]:
    if one.exe.startswith("/memfd:"):
        return Severity.HIGH, "it never was on a file system (memfd)"
    if in_open_folder(one.exe):
        return Severity.HIGH, "it was in a folder where every account may write"
    if one.present is False:
        return Severity.HIGH, "nothing stands at that path now"
    if one.present is None:
        return Severity.MEDIUM, "nobody could look whether a file stands there now"
    if one.exe.startswith(SYSTEM):
        return Severity.INFORMATION, "another file stands there now, as after an upgrade"
    return Severity.LOW, "another file stands there now, outside the system's folders"


def _ours(one: Process, context: Context) -> bool:
    return any(one.exe == path or one.exe.startswith(f"{path}/") for path in context.instruments if path[:1] == "/")


@rule("temporary-executable", needs=_NEEDS)
def temporary(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name processes whose program stands where every account may write."""
    for one in processes(evidence).values():
        if in_open_folder(one.exe) and not one.deleted and not _ours(one, context):
            yield Finding(
                rule="temporary-executable",
                severity=Severity.MEDIUM,
                title=f"{one.named} runs from a folder where every account may write",
                statement=f"{one.named} runs {one.exe[:LONGEST]}, its arguments: {one.args[:LONGEST] or 'not known'}.",
                exhibits=evidence.exhibits(*one.tables),
                repeat=f"table {one.tables[0]}, pid {one.pid}; on the target: readlink /proc/{one.pid}/exe",
                facts={"pid": one.pid, "process": one.comm, "path": one.exe[:LONGEST]},
            )


PRELOAD = ("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH")


@rule("preload", needs=(ENVARS,))
def preload(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name processes into which the loader was told to bring other code."""
    del context
    known = processes(evidence)
    for row in evidence.rows(ENVARS):
        key, value = str(row.get("KEY")), str(row.get("VALUE"))
        if key in PRELOAD and value:
            open_folder = any(in_open_folder(f"{path}/") for path in value.replace(":", " ").split())
            if key == "LD_LIBRARY_PATH" and not open_folder:
                continue
            pid = row.get("PID")
            name = known[pid].named if isinstance(pid, int) and pid in known else f"{row.get('COMM')} (pid {pid})"
            yield Finding(
                rule="preload",
                severity=Severity.HIGH if open_folder else Severity.LOW,
                title=f"{name} has {key} in its environment",
                statement=f"The environment of {name} in memory has {key}={value[:LONGEST]}.",
                exhibits=evidence.exhibits(ENVARS),
                repeat=f"vol -f the memory image linux.envars.Envars --pid {pid}",
                technique="T1574.006",
                facts={"pid": pid if isinstance(pid, int) else None, "variable": key, "value": value[:LONGEST]},
            )
