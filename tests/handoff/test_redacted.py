"""The redacted variant: what the rules name is nowhere in it, it says what it is, and no original is in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from forensics.casefile import Case
from forensics.errors import UsageError
from forensics.events import Action, State
from forensics.handoff import redaction
from forensics.handoff.redaction import Field, Pattern, Redactor, Rules
from forensics.tables import Absent, Column, Table
from forensics.verify import DAMAGED, OK, verify
from tests.authority import Authority
from tests.handing import copied, flip, full_case, remade, run, stock
from tests.test_cli import run as command

RULES = r"""
patterns:
  - {name: mail addresses, match: '[\w.]+@example\.org'}
  - {name: the daemon, text: systemd, replace: '[a daemon]'}
  - {name: the host, text: db7.example.org}
fields:
  - {name: start times, table: linux.pslist.PsList, column: CREATION TIME}
exhibits: [D0002]
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory, tsa: Authority) -> Path:
    root = tmp_path_factory.mktemp("root")
    full_case(root, tsa)
    (root / "rules.yaml").write_text(RULES)
    done = command(root, "handoff", "2026-0001", "--to", "Bob", "--redact", str(root / "rules.yaml"), "--json")
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["bag"])


def texts(bag: Path) -> dict[str, str]:
    found = {}
    for path in (one for one in bag.rglob("*") if one.is_file()):
        content = path.read_bytes()
        if path.suffix == ".pdf":
            content = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True).stdout
        found[path.relative_to(bag).as_posix()] = content.decode("utf-8", "replace")
    return found


def test_what_the_rules_name_stands_nowhere_and_the_originals_are_not_there(bag: Path) -> None:
    for name, text in texts(bag).items():
        for words in ("ada@example.org", "ann@example.org", "systemd", "db7.example.org", "20:01:02", "EMiL"):
            assert words not in text, (name, words)
    assert not list(bag.rglob("custody.jsonl"))
    assert not list(bag.rglob("*exhibits*"))
    assert not (bag / "data" / "results" / "D0002.csv").exists()
    assert "[a daemon]" in (bag / "data" / "results" / "D0001.csv").read_text()


def test_it_says_plainly_that_it_is_redacted_and_its_log_how_often_which_rule_was_where(bag: Path) -> None:
    log = json.loads((bag / "data" / "redactions.json").read_text())
    counts = {(one["rule"], one["where"]): one["count"] for one in log["counts"]}
    assert counts["start times", "D0001"] == 3
    assert counts["the daemon", "D0001"] == 1
    assert counts["mail addresses", "report"] >= 1
    table = next(one for one in log["files"] if one["path"] == "data/results/D0001.csv")
    sums = run("sha256sum", bag / "data" / "results" / "D0001.csv").stdout[:64]
    assert table["after"] == f"sha256:{sums}"
    seal = json.loads(next((bag / "data" / "seals").glob("*.json")).read_text())
    assert table["before"] in {one["digest"] for one in seal["exhibits"]}, "what was sealed and signed"
    assert [one["exhibit"] for one in log["left_out"]] == ["D0002"]
    found = texts(bag)
    for name in ("README.txt", "data/report/report.html", "data/report/report.pdf"):
        assert "REDACTED VARIANT" in found[name], name
    assert "mail addresses" in found["data/report/report.html"]


def test_verifier_and_stock_tools_say_what_it_is_and_find_a_change(bag: Path, tmp_path: Path) -> None:
    result = verify(bag)
    assert result.code == OK, result.problems
    assert any("a redacted variant" in one for one in result.notes)
    by_hand = stock(bag)
    assert (by_hand.returncode, "a redacted variant" in by_hand.stdout) == (0, True), by_hand.stdout
    changed = copied(bag, tmp_path / "bag")
    flip(changed / "data" / "results" / "D0001.csv")
    assert verify(changed).code == stock(changed).returncode == DAMAGED
    remade(changed)
    assert any("not what the redaction left" in one.what for one in verify(changed).problems)
    assert stock(changed).returncode == DAMAGED


def test_the_entry_tells_of_the_variant_and_no_exhibit_is_said_to_have_gone(bag: Path) -> None:
    case = Case.load(bag.parents[1], "2026-0001")
    begun = next(one for one in case.events() if one.action is Action.HANDED_OFF and one.outcome is State.STARTED)
    assert (begun.details["variant"], begun.materials) == ("redacted", ())
    sums = run("sha256sum", bag.parents[1] / "rules.yaml").stdout[:64]
    assert begun.details["rules"] == f"sha256:{sums}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "patterns: 7",
        "patterns: [{name: x}]",
        "patterns: [{name: x, match: '('}]",
        "patterns: [{name: x, match: ''}]",
        "patterns: [{name: x, match: 'a*'}]",
        "patterns: [{name: secret, text: secret}]",
        "patterns: [{name: secret, text: secret, replace: '-'}]",
        "more: []",
        "- x",
        "{",
    ],
)
def test_rules_that_would_do_something_else_than_they_say_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(UsageError):
        redaction.load(tmp_path / "rules.yaml")


def test_a_number_is_kept_as_one_unless_a_rule_finds_it_and_a_hidden_cell_is_looked_for_elsewhere() -> None:
    rules = Rules(patterns=(Pattern(name="ports", text="4444"),), fields=(Field(name="names", column="name"),))
    redactor = Redactor(rules, place="D0001")
    table = Table("t", "port 4444", (Column("port", "integer"), Column("name")), ((22, "sshd-x"), (4444, Absent("no"))))
    shown = redactor.table(table)
    assert shown.title == "port [redacted: ports]"
    assert shown.rows == ((22, Absent("redacted: names")), ("[redacted: ports]", Absent("no")))
    assert redactor.counts == {("ports", "D0001"): 2, ("names", "D0001"): 1}
    assert redactor.elsewhere("and sshd-x again") == 1
    assert redactor.left("on 4444") == ["ports"]


def test_what_a_rule_still_finds_is_not_handed_over(tmp_path: Path, tsa: Authority) -> None:
    full_case(tmp_path, tsa)
    (tmp_path / "rules.yaml").write_text("patterns: [{name: a heading of ours, text: How to verify}]")
    done = command(tmp_path, "handoff", "2026-0001", "--to", "Bob", "--redact", str(tmp_path / "rules.yaml"))
    assert done.returncode == 1
    assert "still finds something" in done.stderr
    assert not [one for one in (tmp_path / "reports").iterdir() if "bag" in one.name]
    ends = [one for one in Case.load(tmp_path, "2026-0001").events() if one.action is Action.HANDED_OFF]
    assert ends[-1].outcome is State.FAILED
