"""Rules are held against what each process has in memory, as it has it, and nothing is joined that is apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from forensics import tables
from forensics.model import Outcome
from forensics.volatility import YARA, Ended
from tests.volatility import tiny_regions
from tests.volatility.conftest import Running
from tests.volatility.tiny_regions import USER

Scan: TypeAlias = Callable[..., tuple[Ended, list[tables.Row]]]
MARKER = b"kit-00ff11ee\x1b[2J"
RULE = """
rule marker { meta: severity = "high" description = "of a test" attack = "T1014" strings: $a = "kit-00ff11ee"
  condition: $a }
"""


@pytest.fixture
def scan(running: Running, tmp_path: Path) -> Scan:
    def work(content: dict[int, bytes], rules: str = RULE, owners: int = 2) -> tuple[Ended, list[tables.Row]]:
        (tmp_path / "rules").mkdir(exist_ok=True)
        (tmp_path / "rules" / "a.yar").write_text(rules)
        image, table = tiny_regions.image(tmp_path, content, owners)
        arguments = {YARA: {"rules": str(tmp_path / "rules")}}
        *_, ended = running(YARA, image=image, table=table, arguments=arguments)
        assert isinstance(ended, Ended)
        rows = tmp_path / "rows" / f"{YARA}.jsonl"
        return ended, list(tables.read(rows)) if rows.exists() else []

    return work


def test_a_marker_is_found_in_every_process_that_has_its_page_with_address_and_excerpt(scan: Scan) -> None:
    ended, rows = scan({USER + 0x40: MARKER})
    assert (ended.outcome, ended.reason) == (Outcome.DONE, "")
    assert [row["PID"] for row in rows] == [1, 2]
    told = {name: rows[0][name] for name in ("Rule", "Source", "Severity", "Technique", "Address", "Length", "Region")}
    assert told == {
        "Rule": "marker", "Source": "a.yar", "Severity": "high", "Technique": "T1014", "Address": USER + 0x40,
        "Length": 12, "Region": USER,
    }  # fmt: skip


def test_an_excerpt_carries_no_escape_of_the_targets(scan: Scan) -> None:
    _, rows = scan({USER: MARKER}, "rule a { strings: $a = /kit-[0-9a-f]+.{4}/s condition: $a }")
    assert rows[0]["Excerpt"] == "kit-00ff11ee\\x1b[2J"


def test_a_pattern_across_two_pages_that_are_apart_in_memory_is_found(scan: Scan) -> None:
    _, rows = scan({USER + 0x1000 - 5: MARKER, USER + 0x4000 - 3: MARKER})
    assert [row["Address"] for row in rows if row["PID"] == 1] == [USER + 0x1000 - 5, USER + 0x4000 - 3]


def test_nothing_is_joined_across_a_page_that_is_not_in_memory(scan: Scan) -> None:
    ended, rows = scan({USER + 0x2000 - 4: b"kit-", USER + 0x3000: b"00ff11ee"})
    assert (ended.outcome, rows) == (Outcome.EMPTY, [])


def test_a_rule_of_its_condition_alone_is_told_without_a_pattern(scan: Scan) -> None:
    _, rows = scan({}, "rule large { condition: filesize > 4096 }", owners=1)
    assert [(row["Rule"], row["Address"], row["Length"]) for row in rows] == [("large", USER, 0)]
    assert isinstance(rows[0]["Pattern"], tables.Absent)


def test_without_rules_it_does_not_run_and_says_what_it_needs(running: Running) -> None:
    *_, ended = running(YARA)
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.reason) == (Outcome.NOT_RUN, "it needs an argument: rules")
