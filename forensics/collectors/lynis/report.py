"""The report file of Lynis (report.dat): lines `key=value`, lists `key[]=value`, comments with `#`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_SUMMARY = (Column("name"), Column("value"))
_FINDINGS = (Column("kind"), Column("test"), Column("category"), Column("text"), Column("details"), Column("solution"))
_SHOWN = (
    "lynis_version",
    "lynis_tests_done",
    "hardening_index",
    "report_datetime_start",
    "report_datetime_end",
    "test_group",
    "test_category",
    "os_fullname",
    "os_kernel_version_full",
    "hostname",
    "finish",
)
CATEGORIES = {
    "ACCT": "Accounting",
    "AUTH": "Authentication",
    "BANN": "Banners",
    "BOOT": "Boot and services",
    "CONT": "Containers",
    "CRYP": "Cryptography",
    "DBS": "Databases",
    "DNS": "Name resolution",
    "FILE": "File systems",
    "FINT": "File integrity",
    "FIRE": "Firewalls",
    "HOME": "Home folders",
    "HRDN": "Hardening",
    "HTTP": "Web servers",
    "INSE": "Insecure services",
    "KRNL": "Kernel",
    "LDAP": "Directory services",
    "LOGG": "Logging",
    "LYNIS": "Lynis itself",
    "MACF": "Mandatory access control",
    "MAIL": "Mail",
    "MALW": "Malware",
    "NAME": "Name services",
    "NETW": "Networking",
    "PHP": "PHP",
    "PKGS": "Packages",
    "PRNT": "Printing",
    "PROC": "Memory and processes",
    "SCHD": "Scheduling",
    "SHLL": "Shells",
    "SNMP": "SNMP",
    "SQD": "Squid",
    "SSH": "SSH",
    "STRG": "Storage",
    "TIME": "Time",
    "TOOL": "Tooling",
    "USB": "USB devices",
    "VIRT": "Virtualization",
}
"""Our names for the letters before a test's number."""


@dataclass(frozen=True, slots=True)
class LynisReport:
    """Scalars as they stand, tables `lynis_summary` and `lynis_findings`, and the lines that could not be read."""

    summary: Mapping[str, str]
    tables: tuple[Table, ...]
    unread: int


def read(raw: bytes) -> LynisReport:
    """Read a report, also one that was cut off; `summary["finish"]` is "true" only when it was not."""
    summary: dict[str, str] = {}
    findings: list[tuple[Cell, ...]] = []
    unread = 0
    for line in decode(raw).split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            unread += 1
        elif key in {"warning[]", "suggestion[]"}:
            findings.append(_finding(key[:-2], value))
        elif not key.endswith("[]"):
            summary[key] = value
    tests = [test for test in summary.get("tests_executed", "").split("|") if test]
    shown: list[tuple[Cell, ...]] = [(name, summary[name]) for name in _SHOWN if name in summary]
    shown.append(("tests_executed", str(len(tests))))
    tables = (
        Table("lynis_summary", "Lynis: the run", _SUMMARY, tuple(shown if raw else ())),
        Table("lynis_findings", "Lynis: warnings and suggestions", _FINDINGS, tuple(findings)),
    )
    return LynisReport(summary, tables, unread)


def _finding(kind: str, value: str) -> tuple[Cell, ...]:
    """Split `ID|text|details|solution|` from both ends: a bar can only be inside the text."""
    test, _, rest = value.removesuffix("|").partition("|")
    fields = rest.rsplit("|", 2)
    text, details, solution = [*fields, "", ""][:3]
    letters = test.partition("-")[0]
    return kind, test, CATEGORIES.get(letters, letters), text, _given(details), _given(solution.removeprefix("text:"))


def _given(words: str) -> Cell:
    return words if words not in {"", "-"} else Absent("Lynis gives none")
