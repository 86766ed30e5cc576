"""The report file of Lynis (report.dat): lines `key=value`, lists `key[]=value`, comments with `#`."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass

from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_SUMMARY = (Column("name"), Column("value"))
_FINDINGS = (Column("kind"), Column("test"), Column("category"), Column("text"), Column("details"), Column("solution"))
_DETAILS = (
    Column("test"),
    Column("category"),
    Column("service"),
    Column("description"),
    Column("field"),
    Column("preferred"),
    Column("value"),
)
_PARTS = re.compile(r";(?=(?:desc|field|prefval|value|other):)")
_WEIGHT = re.compile(r"^[HML]\|(?=.)")
_NONE = Absent("Lynis gives none")
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
    """Scalars as they stand; `lynis_summary`, `lynis_findings`, `lynis_details`; how many lines could not be read."""

    summary: Mapping[str, str]
    tables: tuple[Table, ...]
    unread: int

    @property
    def finished(self) -> bool:
        """Whether Lynis came to its end: only then it has said all that it had to say."""
        return self.summary.get("finish") == "true"

    def listed(self, name: str) -> frozenset[str]:
        """Give the tests of one of the report's lists, `tests_executed` or `tests_skipped`."""
        return frozenset(filter(None, self.summary.get(name, "").split("|")))


def read(raw: bytes) -> LynisReport:
    """Read a report, also one that was cut off; `summary["finish"]` is "true" only when it was not."""
    summary: dict[str, str] = {}
    findings: list[tuple[Cell, ...]] = []
    details: list[tuple[Cell, ...]] = []
    unread = 0
    for line in whole_lines(raw):
        if not line.strip() or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            unread += 1
        elif key in {"warning[]", "suggestion[]"} and value.strip("|"):
            findings.append(_finding(key[:-2], value))
        elif key == "details[]":
            details.append(_detail(value))
        elif key in {"warning[]", "suggestion[]"} or not key:
            unread += 1
        elif not key.endswith("[]"):
            summary[key] = value
    tests = [test for test in summary.get("tests_executed", "").split("|") if test]
    shown: list[tuple[Cell, ...]] = [(name, summary[name]) for name in _SHOWN if name in summary]
    shown.append(("tests_executed", str(len(tests))))
    tables = (
        Table("lynis_summary", "Lynis: the run", _SUMMARY, tuple(shown if raw else ())),
        Table("lynis_findings", "Lynis: warnings and suggestions", _FINDINGS, tuple(findings)),
        Table("lynis_details", "Lynis: values that are not as it prefers", _DETAILS, tuple(details)),
    )
    return LynisReport(summary, tables, unread)


def whole_lines(raw: bytes) -> list[str]:
    """Give the lines of a file of Lynis's, also of one that came by Windows (CR LF, a mark of UTF-8)."""
    return decode(raw.removeprefix(BOM_UTF8).replace(b"\r\n", b"\n")).removesuffix("\r").split("\n")


def _finding(kind: str, value: str) -> tuple[Cell, ...]:
    """Split `ID|text|details|solution|` from both ends: a bar can only be inside the text.

    Before 2.2 there is no more than `ID|text|`, and in 1.x a letter for the weight stands ahead of the text.
    """
    test, _, rest = value.removesuffix("|").partition("|")
    rest = _WEIGHT.sub("", rest)
    fields = rest.rsplit("|", 2)
    text, details, solution = [*fields, "", ""][:3]
    return kind, test, category(test), text, _given(details), _given(solution.removeprefix("text:"))


def category(test: str) -> str:
    """Give our name for what a test is about, by the letters before its number."""
    letters = test.partition("-")[0]
    return CATEGORIES.get(letters, letters)


def _detail(value: str) -> tuple[Cell, ...]:
    """Split `ID|service|desc:…;field:…;prefval:…;value:…;|`, as ReportDetails of Lynis writes it; each may lack."""
    test, _, rest = value.removesuffix("|").partition("|")
    service, _, words = rest.partition("|")
    parts = dict(part.partition(":")[::2] for part in _PARTS.split(words.removesuffix(";")))
    told = (parts.get(name, "") for name in ("desc", "field", "prefval", "value"))
    return test, category(test), _given(service), *(one or _NONE for one in told)


def _given(words: str) -> Cell:
    return words if words not in {"", "-"} else _NONE
