"""Pairs of events: hand-made cases have the paired truth; captured ones agree with blkparse and btt."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from forensics import blockio
from forensics.blockio.latency import Requests
from forensics.tables import Table
from tests.blockio.traces import DISK, INSERT, READ, A, C, D, F, G, M, Made, Q, R

CAPTURED = Path(__file__).parent.parent / "collectors/captured/block_io/bookworm/trace"


def paired(made: Made) -> Requests:
    return blockio.pair(blockio.read([made.content]))


def by_sector(requests: Requests, measure: str) -> dict[int, int]:
    times, rows = requests.times(measure)
    return dict(zip(requests.sector[rows].tolist(), times.tolist(), strict=True))


def test_every_step_of_a_plain_request_is_timed() -> None:
    made = Made().event(100, Q, 8, 8).event(103, G, 8, 8).event(107, INSERT, 8, 8)
    requests = paired(made.event(150, D, 8, 8, pid=9).event(400, C, 8, 8, pid=0))
    got = {name: by_sector(requests, name) for name in ("Q2G", "G2I", "I2D", "Q2D", "D2C", "Q2C")}
    assert got == {"Q2G": {8: 3}, "G2I": {8: 4}, "I2D": {8: 43}, "Q2D": {8: 50}, "D2C": {8: 250}, "Q2C": {8: 300}}


def test_time_and_bytes_are_charged_to_who_queued() -> None:
    made = Made().event(1, Q, 8, 8, pid=42).event(5, D, 8, 8, pid=7).event(9, C, 8, 8, pid=0)
    trace = blockio.read([made.content])
    assert blockio.pair(trace).pid.tolist() == [42]
    assert [(row["pid"], row["written_bytes"]) for row in blockio.processes(trace, blockio.pair(trace))] == [(42, 4096)]


def test_a_back_merged_bio_shares_the_rest_of_the_way() -> None:
    made = Made().event(10, Q, 0, 8).event(11, G, 0, 8).event(20, Q, 8, 8, pid=5).event(21, M, 8, 8, pid=5)
    requests = paired(made.event(50, D, 0, 16).event(90, C, 0, 16))
    assert by_sector(requests, "Q2C") == {0: 80, 8: 70}
    assert by_sector(requests, "Q2D") == {0: 40, 8: 30}


def test_a_front_merged_bio_moves_the_start_of_its_request() -> None:
    made = Made().event(10, Q, 8, 8).event(11, G, 8, 8).event(20, Q, 0, 8).event(21, F, 0, 8)
    requests = paired(made.event(50, D, 0, 16).event(90, C, 0, 16))
    assert by_sector(requests, "Q2C") == {8: 80, 0: 70}


def test_a_chain_of_merges_is_followed_to_its_end() -> None:
    made = Made().event(0, Q, 0, 8)
    for number in range(1, 200):
        made.event(number * 10, Q, number * 8, 8).event(number * 10 + 1, M, number * 8, 8)
    requests = paired(made.event(5000, D, 0, 1600).event(6000, C, 0, 1600))
    assert by_sector(requests, "Q2C") == {number * 8: 6000 - number * 10 for number in range(200)}


def test_both_parts_of_a_split_bio_are_timed_from_the_queue_of_the_whole() -> None:
    made = Made().event(10, Q, 0, 24, pid=3).split(12, 0, 8, 8, pid=3).event(13, G, 0, 8).split(14, 8, 8, 16, pid=3)
    made.event(20, D, 0, 8).event(21, D, 8, 8).event(22, D, 16, 8)
    requests = paired(made.event(40, C, 0, 8).event(50, C, 8, 8).event(60, C, 16, 8))
    assert by_sector(requests, "Q2C") == {0: 30, 8: 40, 16: 50}
    assert by_sector(requests, "D2C") == {0: 20, 8: 29, 16: 38}
    assert requests.size.tolist() == [4096] * 3
    assert set(requests.pid.tolist()) == {3}


def test_a_requeued_request_is_timed_from_its_last_issue() -> None:
    made = Made().event(1, Q, 8, 8).event(5, D, 8, 8).event(6, R, 8, 8).event(20, D, 8, 8).event(30, C, 8, 8)
    requests = paired(made)
    assert (by_sector(requests, "Q2D"), by_sector(requests, "D2C")) == ({8: 19}, {8: 10})


def test_a_sector_that_is_written_again_is_two_requests() -> None:
    made = Made()
    for at in (0, 1000):
        made.event(at, Q, 8, 8).event(at + 5, D, 8, 8).event(at + 25 + at // 100, C, 8, 8)
    assert paired(made).times("D2C")[0].tolist() == [20, 30]


def test_a_request_whose_completion_was_dropped_does_not_take_that_of_the_next() -> None:
    made = Made().event(1, Q, 8, 8).event(5, D, 8, 8).event(100, Q, 8, 8).event(105, D, 8, 8).event(125, C, 8, 8)
    assert paired(made).times("D2C")[0].tolist() == [20]


def test_two_reads_of_one_sector_at_once_are_two_requests() -> None:
    made = Made().event(1, Q, 8, 8, way=READ).event(2, Q, 8, 8, way=READ).event(10, D, 8, 8).event(12, D, 8, 8)
    requests = paired(made.event(50, C, 8, 8).event(61, C, 8, 8))
    assert requests.times("Q2C")[0].tolist() == [49, 59]


def test_a_request_that_is_put_back_many_times_keeps_its_queue_and_its_last_issue() -> None:
    made = Made().event(1, Q, 8, 8)
    for at in range(10, 50, 10):
        made.event(at, D, 8, 8).event(at + 1, R, 8, 8)
    requests = paired(made.event(60, D, 8, 8).event(75, C, 8, 8))
    assert (by_sector(requests, "Q2D"), by_sector(requests, "D2C")) == ({8: 59}, {8: 15})


def test_a_request_completed_in_parts_ends_with_its_last_part() -> None:
    made = Made().event(1, Q, 0, 24).event(5, D, 0, 24)
    assert by_sector(paired(made.event(20, C, 0, 8).event(33, C, 8, 16)), "D2C") == {0: 28}


def test_a_bio_of_a_device_without_requests_is_completed_too() -> None:
    assert by_sector(paired(Made().event(3, Q, 8, 8).event(40, C, 8, 8)), "Q2C") == {8: 37}


def test_merging_is_timed() -> None:
    made = Made().event(10, Q, 0, 8).event(11, G, 0, 8).event(20, Q, 8, 8).event(23, M, 8, 8)
    requests = paired(made.event(50, D, 0, 16).event(90, C, 0, 16))
    assert (by_sector(requests, "Q2M"), by_sector(requests, "M2D")) == ({8: 3}, {8: 27})


def test_what_is_mapped_to_a_disk_below_is_charged_to_who_queued_it_above() -> None:
    above = (253 << 20) | 1
    made = Made().event(1, Q, 8, 8, pid=42, device=above)
    made.event(4, A, 1000, 8, pid=7, payload=struct.pack(">IIQ", above, DISK, 8)).event(6, Q, 1000, 8, pid=7)
    made.event(9, D, 1000, 8, pid=7).event(30, C, 1000, 8, pid=0).event(33, C, 8, 8, pid=0, device=above)
    trace = blockio.read([made.content])
    requests = blockio.pair(trace)
    assert requests.pid.tolist() == [42, 42]
    assert by_sector(requests, "Q2A") == {8: 3}
    assert by_sector(requests, "Q2C") == {8: 32, 1000: 24}
    assert [(row["pid"], row["written_bytes"]) for row in blockio.processes(trace, requests)] == [(42, 4096)]


def test_other_disks_with_the_same_sectors_are_kept_apart() -> None:
    made = Made().event(1, Q, 8, 8).event(2, Q, 8, 8, device=7 << 20).event(10, D, 8, 8)
    requests = paired(made.event(11, D, 8, 8, device=7 << 20).event(20, C, 8, 8, device=7 << 20).event(50, C, 8, 8))
    assert sorted(requests.times("D2C")[0].tolist()) == [9, 40]


def test_a_trace_of_what_was_queued_issued_and_completed_alone_has_its_latencies() -> None:
    requests = paired(Made().event(1, Q, 8, 8).event(101, D, 8, 8).event(401, C, 8, 8, pid=0))
    assert [by_sector(requests, name) for name in ("Q2D", "D2C", "Q2C")] == [{8: 100}, {8: 300}, {8: 400}]


def test_without_what_was_queued_there_are_counts_and_no_latencies() -> None:
    trace = blockio.read([Made().event(101, D, 8, 8).event(401, C, 8, 8, pid=0).content])
    requests, tables = blockio.analyse(trace)
    made = {table.name: list(table) for table in tables}
    assert (len(requests), made["block_io_latency"], made["block_io_processes"]) == (0, [], [])
    (disk,) = made["block_io_devices"]
    assert (disk["issued"], disk["completed"], disk["issued_bytes"], disk["queued"]) == (1, 1, 4096, 0)


def test_reads_and_writes_are_told_apart() -> None:
    made = Made().event(1, Q, 8, 8, way=READ, pid=1).event(2, Q, 80, 16, pid=1)
    trace = blockio.read([made.content])
    (row,) = blockio.processes(trace, blockio.pair(trace))
    assert [row[name] for name in ("reads", "read_bytes", "writes", "written_bytes")] == [1, 4096, 1, 8192]


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    if not (shutil.which("blkparse") and shutil.which("btt")):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("blkparse and btt (package blktrace) are not here")
    folder = tmp_path_factory.mktemp("btt")
    argv = ["blkparse", "-i", "-", "-d", "dump"]
    done = subprocess.run(argv, input=CAPTURED.read_bytes(), cwd=folder, capture_output=True, check=True)
    return done.stdout.decode(), folder


def totals(trace: blockio.Trace) -> Table:
    return blockio.tables(trace, blockio.pair(trace))[0]


def numbers(table: Table) -> dict[object, object]:
    return {row["name"]: row["value"] for row in table}


def test_totals_are_those_of_blkparse(dump: tuple[str, Path]) -> None:
    total = dump[0].rpartition("\nTotal")[2]
    ours = numbers(totals(blockio.read([CAPTURED.read_bytes()])))
    words = {"Queued": "queued", "Dispatches": "issued", "Completed": "completed"}
    for direction in ("Read", "Write"):
        for theirs, name in words.items():
            said = re.search(rf"{direction}s? {theirs}: +(\d+), +(\d+)KiB", total)
            assert said
            kind = f"{direction.lower()}s {name}"
            assert (ours[kind], ours[f"{kind}, size"]) == (int(said[1]), int(said[2])), kind
    merges = sum(int(number) for number in re.findall(r"Merges: +(\d+)", total))
    assert ours["merges"] == merges
    entries = re.search(r"Events .*: (\d+) entries", total)
    assert entries
    assert ours["events"] == int(entries[1])


def test_latencies_are_those_of_btt_to_the_nanosecond(dump: tuple[str, Path]) -> None:
    subprocess.run(["btt", "-i", "dump", "-o", "out"], cwd=dump[1], capture_output=True, check=True)
    theirs = (dump[1] / "out.avg").read_text()
    trace = blockio.read([CAPTURED.read_bytes()])
    rows = {row["measure"]: row for row in blockio.tables(trace, blockio.pair(trace))[1] if row["scope"] == "all"}
    for name, label in (("Q2G", "Q2G"), ("D2C", "D2C"), ("Q2C", "Q2C(?:dm)?")):
        said = re.search(rf"^{label} +([\d.]+) +([\d.]+) +([\d.]+) +(\d+)$", theirs, re.MULTILINE)
        assert said, name
        row = rows[name]
        assert row["count"] == int(said[4])
        for column, value in zip(("minimum", "average", "maximum"), said.groups()[:3], strict=True):
            assert float(str(row[column])) == pytest.approx(float(value), abs=1.01e-9), (name, column)
