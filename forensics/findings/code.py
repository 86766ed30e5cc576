"""Rules on code that stands in memory without a file behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from forensics.findings.rule import Context, Evidence, listed, number_of, rule, text_of
from forensics.findings.suspects import suspects
from forensics.model import Finding, Severity

MALFIND = "linux.malware.malfind.Malfind"


@rule("injected-code", needs=(MALFIND,))
def injected(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name processes with memory that can be written and run; just-in-time compilers have it too."""
    del context
    flagged = suspects(evidence)
    regions = Counter((number_of(row.get("PID")), text_of(row.get("Process"), 64)) for row in evidence.rows(MALFIND))
    for (pid, name), count in sorted(regions.items(), key=lambda one: one[0][0] or 0):
        where = [
            f"{number_of(row.get('Start')) or 0:#x} {text_of(row.get('Protection'), 8)} {text_of(row.get('Path'), 120)}"
            for row in evidence.rows(MALFIND)
            if number_of(row.get("PID")) == pid
        ]
        why = flagged.get(pid, "") if pid is not None else ""
        end = f" The process is suspect: {why}." if why else " Programs that compile at run time do this too."
        yield Finding(
            rule="injected-code",
            severity=Severity.MEDIUM if why else Severity.INFORMATION,
            title=f"{name} (pid {pid}) has {count} region(s) of code without a file",
            statement=f"Memory of {name} (pid {pid}) has regions that can be run: {listed(where, 6)}.{end}",
            exhibits=evidence.exhibits(MALFIND),
            repeat=f"vol -f the memory image {MALFIND} --pid {pid}",
            technique="T1055" if why else "",
            facts={"pid": pid, "process": name, "regions": count},
        )
