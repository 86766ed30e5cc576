"""Kills beside memory and disks: one table on one clock, and the picture that is drawn of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.collectors import Output, collectors
from forensics.model import ClockOffset
from forensics.rendering import moments, pressure
from forensics.rendering.blocks import FactList, Figure, Grid, Words
from forensics.rendering.record import TargetRecord
from forensics.tables import Table
from forensics.views.pressure import view
from tests.stages.live import FACTS

CAPTURED = Path(__file__).parent.parent / "collectors" / "captured"
BOOTED = replace(FACTS, uptime=54.0, clock=ClockOffset(0.0, 0.01, "2026-11-24T01:00:35.53Z"))
"""27.87 s after it booted is 01:00:09.40 of the captured journal."""


def brought(**cases: str) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    for name, case in cases.items():
        parts = {path.name: path.read_bytes() for path in (CAPTURED / name / case).iterdir()}
        tables |= {one.name: one for one in collectors()[name].read(Output(parts)).tables}
    return tables


def test_kills_memory_and_disks_stand_on_one_clock() -> None:
    tables = brought(oom="bookworm-sysrq", oom_watch="bookworm", iostat="bookworm", kernel_logs="bookworm")
    made = view(tables, BOOTED)
    assert made is not None
    rows = list(made)
    assert [row["time"] for row in rows] == sorted(str(row["time"]) for row in rows)
    assert {row["sort"] for row in rows} == {"kill", "memory", "disk"}
    assert {row["series"] for row in rows if row["sort"] == "disk"} == {"read from vda", "written to vda"}


def test_a_kill_that_two_logs_tell_of_is_one() -> None:
    tables = brought(oom="bookworm-sysrq", kernel_logs="bookworm")
    made = view(tables, BOOTED)
    assert made is not None
    kills = [row for row in made if row["sort"] == "kill"]
    assert [str(row["time"])[11:19] for row in kills] == ["01:00:09", "01:00:21"]
    assert [row["source"] for row in kills] == ["oom_kills_logged"] * 2
    assert "by hand" in str(kills[1]["message"])


def test_a_kill_of_the_kernels_log_is_put_on_the_calendar_by_the_uptime() -> None:
    made = view(brought(oom="bookworm-sysrq"), BOOTED)
    assert made is not None
    assert [str(row["time"])[:21] for row in made if row["sort"] == "kill"] == [
        "2026-11-24T01:00:09.4",
        "2026-11-24T01:00:21.1",
    ]
    assert view(brought(oom="bookworm-sysrq"), FACTS) is None, "without a clock it is not told when that was"


def test_the_report_draws_kills_beside_memory_and_disks_and_who_held_the_memory() -> None:
    tables = brought(oom="bookworm-sysrq", oom_watch="bookworm", iostat="bookworm", kernel_logs="bookworm")
    made = view(tables, BOOTED)
    assert made is not None
    blocks = pressure.blocks(TargetRecord("web01", (), {}, tables={**tables, "pressure": made}))
    figures = {one.title: one for one in blocks if isinstance(one, Figure)}
    beside = figures["Kills beside the memory that was left and what the disks did"]
    words = "".join(ET.fromstring(beside.svg).itertext())  # noqa: S314 - ours
    assert "killed perl (pid 370), by hand" in words
    assert "available memory" in words
    assert "written to vda" in words
    assert "Who held the memory at the last kill" in figures
    grids = {one.title: one for one in blocks if isinstance(one, Grid)}
    assert grids["Kills in the kernel log"].total == 2
    assert grids["Kills in the logs on disk: the journal, /var/log"].rows[0][0] == "2026-11-24 01:00:09"
    (facts,) = (one for one in blocks if isinstance(one, FactList))
    assert {"vm.panic_on_oom", "vm.oom_kill_allocating_task", "vm.overcommit_memory"} <= {
        fact.label for fact in facts.facts
    }
    (scores,) = (one for one in blocks if isinstance(one, Grid) and one.title == "Scores")
    assert [column.title for column in scores.columns][2:4] == ["Score", "Of it, baseline"]
    assert any(row[3] == "666" for row in scores.rows)


def test_without_a_kill_nothing_is_drawn_beside_it() -> None:
    tables = brought(oom_watch="bookworm", iostat="bookworm")
    made = view(tables, BOOTED)
    assert made is not None
    blocks = pressure.blocks(TargetRecord("web01", (), {}, tables={**tables, "pressure": made}))
    assert not [one for one in blocks if isinstance(one, Figure)]


def test_kills_long_before_what_is_drawn_are_said_to_be_missing() -> None:
    tables = brought(oom_watch="bookworm")
    made = view(tables, BOOTED)
    assert made is not None
    days = [f"2026-11-{day}T01:00:00Z" for day in range(10, 20)]
    kills = tuple((day, "kill", "kill", 1.0, "bytes", "killed x", "oom_kills") for day in days)
    table = replace(made, rows=(*kills, *made.rows))
    blocks = pressure.blocks(TargetRecord("web01", (), {}, tables={"pressure": table}))
    assert any("6 earlier kills are not on it" in one.text for one in blocks if isinstance(one, Words))


@given(
    st.lists(st.tuples(st.floats(0, 4e9), st.floats(0, 1e15)), max_size=30),
    st.lists(st.tuples(st.floats(0, 4e9), st.text(max_size=20)), min_size=1, max_size=8),
)
def test_any_moments_can_be_drawn(points: list[tuple[float, float]], marks: list[tuple[float, str]]) -> None:
    svg, early = moments.draw([moments.Lane("Memory", {"free <memory>": points}, {})], marks)
    ET.fromstring(svg)  # noqa: S314 - ours
    assert 0 <= early <= len(marks)


@pytest.mark.parametrize("time", ["", "yesterday", "9999-99-99T00:00:00Z"])
def test_a_row_without_a_time_is_left_out(time: str) -> None:
    tables = brought(oom_watch="bookworm")
    watch = tables["memory_watch"]
    tables["memory_watch"] = replace(watch, rows=tuple((time, *row[1:]) for row in watch.rows))
    assert view(tables, BOOTED) is None


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("5.x-cpuset", "CONSTRAINT_CPUSET of "),
        ("4.4-memcg", "CONSTRAINT_MEMCG of "),
        ("el6-2.6.32-memcg", "CONSTRAINT_MEMCG of "),
        ("4.4-sysrq", "by hand"),
    ],
)
def test_the_report_says_what_ran_out(case: str, words: str) -> None:
    blocks = pressure.blocks(TargetRecord("web01", (), {}, tables=brought(oom=case)))
    (kills,) = (one for one in blocks if isinstance(one, Grid) and one.title == "Kills in the kernel log")
    assert any(words in str(row[4]) for row in kills.rows)


def test_the_adjustment_of_an_old_kernel_is_shown_as_its_own() -> None:
    scores = b"/proc/9/oom_score:12\n/proc/9/oom_adj:-17\n/proc/9/status:Name:\tsshd\n/proc/9/status:VmRSS:\t  900 kB\n"
    tables = {one.name: one for one in collectors()["oom"].read(Output({"scores": scores})).tables}
    blocks = pressure.blocks(TargetRecord("web01", (), {}, tables=tables))
    (shown,) = (one for one in blocks if isinstance(one, Grid) and one.title == "Scores")
    assert shown.rows[0][4] == "oom_adj -17"


def test_candidates_that_were_watched_stand_once_with_how_their_memory_went() -> None:
    tables = brought(oom_watch="bookworm")
    blocks = pressure.blocks(TargetRecord("web01", (), {}, tables=tables))
    (shown,) = (one for one in blocks if isinstance(one, Grid) and one.title.startswith("Whom the kernel would have"))
    watched = list(tables["oom_watch"])
    assert shown.total == len({row["pid"] for row in watched})
    assert int(str(shown.rows[0][3])) == max(int(str(row["oom_score"])) for row in watched)
    assert any(row[0] == "perl" for row in shown.rows)


def test_kills_by_other_programs_are_shown_with_their_words() -> None:
    words = b"Killed /system.slice/x.service due to memory pressure"
    said = b"/var/log/syslog\0Nov 24 01:02:03 web01 systemd-oomd[77]: " + words + b"\n"
    tables = {one.name: one for one in collectors()["kernel_logs"].read(Output({"logs": said})).tables}
    blocks = pressure.blocks(TargetRecord("web01", (), {}, tables=tables))
    (shown,) = (
        one for one in blocks if isinstance(one, Grid) and one.title == "Kills by programs other than the kernel"
    )
    assert shown.rows[0] == ("Nov 24 01:02:03", "systemd-oomd", words.decode())
