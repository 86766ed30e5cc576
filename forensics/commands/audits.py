"""Audits by Lynis where the command line names them: a report file, its folder, or what a case holds of a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forensics.casefile import Case
from forensics.collectors.lynis import database, log, report, tree
from forensics.collectors.lynis.database import KnownTest
from forensics.collectors.lynis.difference import Audit
from forensics.errors import CaseError, StageFailed, UsageError
from forensics.model import JSON, Exhibit

_REPORTS = ("report.dat", "lynis-report.dat", "report")
_LOGS = ("lynis.log", "log")
_MOST = 64 << 20
"""Bytes of a file that are read; a whole report has 50,000, a log half a million."""


@dataclass(frozen=True, slots=True)
class Found:
    """One audit with where it is: exhibits with their digests, or files."""

    audit: Audit
    sources: tuple[str, ...]
    log: bytes
    tests: Mapping[str, KnownTest]  # of the very copy that was run; empty where that is not at hand

    @property
    def short(self) -> bool:
        """Whether it is not all that Lynis would have said, or not all of it could be read."""
        log_unread = self.audit.log.unread if self.audit.log else 0
        return not self.audit.report.finished or bool(self.audit.report.unread or log_unread)

    def described(self) -> dict[str, JSON]:
        """Give the run as JSON."""
        summary = self.audit.report.summary
        points = self.audit.log.points if self.audit.log and len(self.audit.log.table) else None
        return {
            "audit": self.audit.label,
            "sources": list(self.sources),
            "version": summary.get("lynis_version", ""),
            "started": summary.get("report_datetime_start", ""),
            "finished": self.audit.report.finished,
            "tests": len(self.audit.report.listed("tests_executed")),
            "hardening_index": summary.get("hardening_index", ""),
            "points": None if points is None else points[0],
            "possible_points": None if points is None else points[1],
            "unread_lines": self.audit.report.unread + (self.audit.log.unread if self.audit.log else 0),
        }


def find(root: Path, words: str) -> Found:
    """Find an audit; UsageError when the words name none, or more than one."""
    path = Path(words)
    if path.exists():
        return _of_files(path)
    if "/" in words:
        raise UsageError("there is no such file", where=words, remedy="name a report of Lynis, its folder, or a case")
    return _of_case(root, words)


def known_tests() -> Mapping[str, KnownTest]:
    """Give the tests of the copy of Lynis on this machine; none when there is none."""
    found = tree.here()
    path = found / tree.SHARE / database.PLACE if found else None
    return database.read(path.read_bytes()) if path and path.is_file() else {}


def _of_files(path: Path) -> Found:
    folder = path if path.is_dir() else path.parent
    reports = [path] if path.is_file() else [folder / name for name in _REPORTS if (folder / name).is_file()]
    if not reports:
        raise UsageError("no report of Lynis is there", where=str(path), why=f"it is called {' or '.join(_REPORTS)}")
    logs = [folder / name for name in _LOGS if (folder / name).is_file()] if reports[0].name in _REPORTS else []
    content = _content(reports[0])
    logged = _content(logs[0]) if logs else b""
    return _found(words=str(path), sources=tuple(map(str, (*reports[:1], *logs[:1]))), content=content, logged=logged)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError as problem:
        raise StageFailed.of(problem, path) from None


def _of_case(root: Path, words: str) -> Found:
    """Read what stands behind CASE, CASE:TARGET or CASE:EXHIBIT: the last run where there are several."""
    number, _, which = words.partition(":")
    case = Case.load(root, number)
    held = [one for one in case.held() if one.item == "lynis" and one.facts.get("part")]
    reports = [one for one in held if one.facts["part"] == "report" and which in {"", one.target, one.number}]
    targets = sorted({one.target for one in reports})
    if not reports:
        raise CaseError("there is no report of Lynis", where=words, remedy="the collector lynis brings one")
    if len(targets) > 1:
        remedy = " or ".join(f"{number}:{target}" for target in targets)
        raise UsageError("the case has audits of several targets", where=words, remedy=remedy)
    chosen = reports[-1]
    same = [one for one in held if one.target == chosen.target]
    logs, copies = _log_of(chosen, same), _copies_before(chosen, same)
    parts = [chosen, *logs, *copies]
    for one in parts:
        case.check(one)
    tests = database.of_archive(case.path(copies[0])) if copies else {}
    label = f"{number}:{chosen.number} ({chosen.target})"
    logged = _content(case.path(logs[0])) if logs else b""
    return _found(label, tuple(map(_named, parts)), _content(case.path(chosen)), logged, tests)


def _log_of(report_: Exhibit, same: list[Exhibit]) -> list[Exhibit]:
    """Give the log of the same run: it is entered behind its report, and before the next one."""
    later = [one for one in same if one.sequence > report_.sequence and one.facts["part"] in {"report", "log"}]
    return [one for one in later[:1] if one.facts["part"] == "log"]


def _copies_before(report_: Exhibit, same: list[Exhibit]) -> list[Exhibit]:
    """Give the copy of Lynis that was brought for this run."""
    return [one for one in same if one.facts["part"] == "lynis.tar.gz" and one.sequence < report_.sequence][-1:]


def _named(exhibit: Exhibit) -> str:
    return f"{exhibit.number}, {exhibit.digest}"


def _found(
    words: str, sources: tuple[str, ...], content: bytes, logged: bytes, tests: Mapping[str, KnownTest] | None = None
) -> Found:
    read = report.read(content)
    if not read.summary and not len(read.tables[1]):
        why = "it has no line of one" if content else "it is empty"
        raise StageFailed("that is no report of Lynis", where=words, why=why)
    return Found(Audit(words, read, log.read(logged) if logged else None), sources, logged, tests or {})
