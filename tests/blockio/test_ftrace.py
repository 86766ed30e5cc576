"""The kernel's own tracer: its stream, and what stands beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics import blockio
from forensics.blockio import ftrace
from tests.blockio.traces import C, D, Made, Q

STATS = (
    b"entries: 0\noverrun: 3\ncommit overrun: 1\nbytes: 0\noldest event ts: 1.5\n"
    b"now ts: 2.5\ndropped events: 2\nread events: 9\n"
)


def stream() -> Made:
    return Made().event(1000, Q, 8, 8).event(1010, D, 8, 8).event(1030, C, 8, 8)


def test_a_line_that_says_what_was_lost_is_no_damage() -> None:
    raw = stream().content
    cut = raw[:48] + b"CPU:1 [LOST 1127 EVENTS]\n" + raw[48:]
    assert blockio.read([cut]).unread > 0
    trace = blockio.read([ftrace.records(cut)])
    assert (len(trace), trace.unread) == (3, 0)


def test_losses_are_added_over_all_processors_and_kinds() -> None:
    assert ftrace.lost(STATS * 2) == 12
    assert ftrace.lost(STATS.replace(b"3", b"0").replace(b"1\n", b"0\n").replace(b"2\n", b"0\n")) == 0
    assert ftrace.lost(b"") is None


def test_names_stand_beside_the_trace() -> None:
    names = ftrace.names(b"101 dd\n  7 kworker/0:1H-kblockd\n<...>\nx y\n")
    assert names == {101: "dd", 7: "kworker/0:1H-kblockd"}
    assert blockio.read([stream().content], names=names).names[101] == "dd"


def test_processes_that_begin_meanwhile_have_the_name_that_they_took_last() -> None:
    said = (
        b"            sh-99  [000] .....  5.1: task_newtask: pid=101 comm=sh clone_flags=1200000 oom_score_adj=0\n"
        b"            sh-101 [000] .....  5.2: task_rename: pid=101 oldcomm=sh newcomm=my dd oom_score_adj=0\n"
        b"            sh-99  [000] .....  5.3: task_newtask: pid=102 comm=a comm=b clone_flags=0 oom_score_adj=0\n"
    )
    assert ftrace.called(said) == {101: "my dd", 102: "a comm=b"}


def test_the_wall_clock_is_tied_between_two_looks_at_it() -> None:
    clock = b"1795460200.000000000\nnow at 200000000000 nsecs\n1795460200.000000200\n"
    assert ftrace.epoch(clock) == 1_795_460_000_000_000_100
    assert ftrace.epoch(clock.replace(b"now at", b"nowhere")) is None
    assert ftrace.epoch(b"") is None
    report = blockio.interpret(stream().content, 0, {}, ftrace.epoch(clock))
    totals = {row["name"]: row["value"] for row in report.tables[0]}
    assert totals["first event"] == "2026-11-23T18:53:20.000001Z"


@given(st.binary(max_size=200))
def test_no_bytes_crash_what_reads_beside(noise: bytes) -> None:
    ftrace.records(noise)
    ftrace.lost(noise)
    ftrace.names(noise)
    ftrace.called(noise)
    ftrace.epoch(noise)


@pytest.mark.parametrize("count", [0, 2])
def test_a_reader_that_came_late_is_told_by_the_counts(count: int) -> None:
    stats = STATS.replace(b"3", str(count).encode())
    assert ftrace.lost(stats) == count + 3
