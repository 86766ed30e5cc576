"""The rule on what an analyst's own YARA rules found in the memory of processes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from forensics.findings.rule import Context, Evidence, listed, number_of, plugin, rule, text_of
from forensics.findings.suspects import suspects
from forensics.model import Finding, Severity
from forensics.tables import Row

YARA = "linux.forensics.yarascan.YaraScan"
_WORDS: Mapping[str, Severity] = {
    "critical": Severity.HIGH, "high": Severity.HIGH, "medium": Severity.MEDIUM, "moderate": Severity.MEDIUM,
    "low": Severity.LOW, "info": Severity.INFORMATION, "informational": Severity.INFORMATION,
    "information": Severity.INFORMATION, "none": Severity.INFORMATION,
}  # fmt: skip
"""What authors of rules write in `severity`."""
_SCORES = ((75, Severity.HIGH), (40, Severity.MEDIUM), (1, Severity.LOW))
"""Of 100, as rules with a `score` mean it."""


@rule("yara")
def matches(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name each process in whose memory a rule of the analyst matched, as gravely as the rule says itself.

    A rule that says nothing is of medium gravity. Where no rules were given there is nothing to say.
    """
    del context
    flagged = suspects(evidence)
    groups: dict[tuple[int | None, str, str], list[Row]] = {}
    for row in evidence.rows(YARA):
        key = (number_of(row.get("PID")), text_of(row.get("Source"), 200), text_of(row.get("Rule"), 128))
        groups.setdefault(key, []).append(row)
    for (pid, source, name), rows in groups.items():
        yield _finding(evidence, rows, f"{name} ({source})", flagged.get(pid, "") if pid is not None else "")


def _finding(evidence: Evidence, rows: list[Row], named: str, why: str) -> Finding:
    first = rows[0]
    pid, process, name = number_of(first.get("PID")), text_of(first.get("Process"), 64), text_of(first.get("Rule"), 128)
    about = text_of(first.get("Description"))
    places = [_place(row) for row in rows]
    parts = [
        f"The rule {named} matches in memory of {process} (pid {pid}): {listed(places, 5)}.",
        f"The rule says: {about}." if about else "",
        f"The process is suspect: {why}." if why else "",
    ]
    return Finding(
        rule="yara",
        severity=severity_of(text_of(first.get("Severity"), 40)),
        title=f"The YARA rule {name} matches in memory of {process} (pid {pid})",
        statement=" ".join(filter(None, parts)),
        exhibits=evidence.exhibits(YARA),
        repeat=f"{plugin(YARA, ours=True)} --rules FOLDER --pid {pid}",
        technique=technique_of(text_of(first.get("Technique"), 200)),
        facts={"pid": pid, "process": process, "yara": name, "matches": len(rows)},
    )


def _place(row: Row) -> str:
    pattern, excerpt = text_of(row.get("Pattern"), 64), text_of(row.get("Excerpt"), 80)
    return " ".join(filter(None, (f"{number_of(row.get('Address')) or 0:#x}", pattern, excerpt)))


def severity_of(words: str) -> Severity:
    """Read what a rule says of its gravity: a word, or a score of 100."""
    if words.isdecimal():
        return next((severity for least, severity in _SCORES if int(words) >= least), Severity.INFORMATION)
    return _WORDS.get(words.strip().lower(), Severity.MEDIUM)


def technique_of(words: str) -> str:
    """Find the number of an ATT&CK technique in what a rule says; "" when there is none."""
    found = re.search(r"\bT1\d{3}(?:\.\d{3})?\b", words)
    return found[0] if found else ""
