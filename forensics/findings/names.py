"""Rules on names that are not a program's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from forensics.findings.rule import LONGEST, Context, Evidence, rule
from forensics.findings.suspects import SPOOFING, Process, kernel_like, processes
from forensics.model import Finding, Severity

_MANY_NAMES = frozenset({"systemd", "busybox", "toybox"})
"""Programs that are started by other names on purpose."""


@rule("forged-name", needs=(f"processes|{SPOOFING}",))
def forged(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name processes that show themselves as something else than they run."""
    del context
    for one in processes(evidence).values():
        claim = _claim(one)
        if claim:
            severity, what, technique = claim
            yield Finding(
                rule="forged-name",
                severity=severity,
                title=f"{one.named} is not what its name says",
                statement=(
                    f"{one.named} {what}, but its program is {one.exe[:LONGEST]}. "
                    f"Its name is {one.comm[:64]}, and its arguments begin: {one.args[:LONGEST] or 'not known'}."
                ),
                exhibits=evidence.exhibits(*one.tables),
                repeat=f"table {one.tables[0]}, pid {one.pid}; on the target: readlink /proc/{one.pid}/exe",
                technique=technique,
                facts={
                    "pid": one.pid,
                    "process": one.comm[:64],
                    "path": one.exe[:LONGEST],
                    "arguments": one.args[:LONGEST],
                },
            )


def _claim(one: Process) -> tuple[Severity, str, str] | None:
    """Tell what a process pretends; None when its names agree, or differ as honest programs' do."""
    if not one.exe or one.state.startswith("Z"):
        return None
    first = one.args.split(" ")[0]
    if kernel_like(one.comm) or kernel_like(first) or _bracketed(one):
        return Severity.HIGH, "shows itself as a thread of the kernel", "T1036.004"
    program = PurePosixPath(one.exe).name
    shown = "" if one.args == f"[{one.comm}]" else _bare(first)  # ps writes [name] where there are no arguments
    if not shown or program in _MANY_NAMES or not _same(program[:15], one.comm):
        return None  # it changed its own name, or was started through a link or a script: both are usual
    if _same(program, shown) or _same(one.comm, shown):
        return None
    return Severity.MEDIUM, f"was started under the name {first[:LONGEST]}", "T1036.005"


def _bracketed(one: Process) -> bool:
    """Tell whether the arguments stand in brackets of the program's own."""
    return re.match(r"\[\S+\]", one.args) is not None and one.args != f"[{one.comm}]"


def _bare(word: str) -> str:
    """Take from argv[0] what login (-bash), systemd (@name), titles (sshd:) and folders add."""
    return PurePosixPath(word.lstrip("-@").rstrip(":")).name


def _same(one: str, other: str) -> bool:
    """Compare names but for versions and variants: python3 and python3.11, nc and nc.openbsd."""
    short, long = sorted((one.lower(), other.lower()), key=len)
    return long == short or (long.startswith(short) and len(short) >= 2)
