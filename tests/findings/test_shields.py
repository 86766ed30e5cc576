"""Who shields processes from the OOM killer, and who is root beside root: read from captured output, by the rules."""

from __future__ import annotations

from pathlib import Path

from forensics.collectors import Output, collectors
from forensics.findings import Context, find
from forensics.model import Finding, Severity

CAPTURED = Path(__file__).parents[1] / "collectors" / "captured"


def found(name: str, rule: str, **instead: bytes) -> list[Finding]:
    folder = CAPTURED / name / "bookworm"
    parts = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "expected.json"} | instead
    tables = {table.name: table for table in collectors()[name].read(Output(parts)).tables}
    return [one for one in find(tables, Context()) if one.rule == rule]


def test_a_cron_line_that_makes_sshd_immune_is_named_and_the_distribution_s_units_are_not() -> None:
    (one,) = found("oom_adjusters", "oom-shield")
    assert one.severity is Severity.MEDIUM
    assert "/etc/cron.d/keep" in one.title
    assert "-17" in one.title
    assert "pgrep -f /usr/sbin/sshd" in one.statement


def test_ordinary_accounts_are_no_finding() -> None:
    assert found("accounts", "second-root") == []


def test_a_second_root_and_an_account_without_a_password_are_named() -> None:
    passwd = b"root:x:0:0::/root:/bin/bash\nsync2:x:0:0::/:/bin/sh\nguest:x:1001:1001::/home/guest:/bin/sh\n"
    accounts = {"passwd": passwd, "shadow-states": b"root:locked:1:\nguest:empty:1:\n"}
    assert [one.facts["user"] for one in found("accounts", "second-root", **accounts)] == ["guest", "sync2"]
