"""What an analyst's rule says of itself is what the finding says of it."""

from __future__ import annotations

import pytest

from forensics.findings import Context, find
from forensics.model import Finding, Severity
from forensics.tables import Absent, Cell, Table
from tests.findings.test_rules import table

COLUMNS = "PID Process Rule Source Severity Technique Description Pattern Address Length Excerpt Region"
NONE = Absent("does not apply")


def hits(*rows: tuple[Cell, ...]) -> Table:
    return table("linux.forensics.yarascan.YaraScan", COLUMNS, list(rows), "D0040")


def hit(pid: int = 9, severity: Cell = "high", technique: Cell = NONE, pattern: Cell = "$a", rule: str = "r") -> Table:
    return hits((pid, "diskfeed", rule, "a.yar", severity, technique, "a marker", pattern, 0x7F00, 4, "00ff", 0x7000))


def judged(*given: Table) -> list[Finding]:
    return [one for one in find({one.name: one for one in given}, Context()) if one.rule == "yara"]


def test_a_match_is_named_with_rule_process_address_and_excerpt() -> None:
    (finding,) = judged(hit())
    for words in ("r (a.yar)", "diskfeed (pid 9)", "0x7f00 $a 00ff", "a marker"):
        assert words in finding.statement
    assert (finding.severity, finding.exhibits) == (Severity.HIGH, ("D0040",))
    assert "--rules" in finding.repeat


@pytest.mark.parametrize(
    ("said", "severity"),
    [("critical", Severity.HIGH), ("Medium", Severity.MEDIUM), ("low", Severity.LOW), ("info", Severity.INFORMATION),
     ("90", Severity.HIGH), ("40", Severity.MEDIUM), ("5", Severity.LOW), ("0", Severity.INFORMATION),
     (NONE, Severity.MEDIUM), ("unheard of", Severity.MEDIUM)],
)  # fmt: skip
def test_the_rules_own_words_decide_how_grave_it_is(said: Cell, severity: Severity) -> None:
    assert [one.severity for one in judged(hit(severity=said))] == [severity]


def test_matches_of_one_rule_in_one_process_are_one_finding() -> None:
    row = ("x", "r", "a.yar", "low", NONE, NONE, "$a", 1, 1, "b", 0)
    found = judged(hits((9, *row), (9, *row), (10, *row)))
    assert {one.facts["pid"]: one.facts["matches"] for one in found} == {9: 2, 10: 1}


def test_a_technique_that_a_rule_names_is_the_findings() -> None:
    assert [one.technique for one in judged(hit(technique="attack.t1014, T1059.004"))] == ["T1059.004"]
    assert [one.technique for one in judged(hit(technique="none"))] == [""]


def test_a_rule_without_patterns_is_told_and_no_match_is_no_finding() -> None:
    (finding,) = judged(hit(pattern=NONE))
    assert "0x7f00 00ff" in finding.statement
    assert judged(hits()) == []
    assert judged() == []
