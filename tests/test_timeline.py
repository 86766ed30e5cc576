"""What has a time stands in one table by the examiner's clock, and in exports that no spreadsheet runs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from forensics.model import ClockOffset
from forensics.tables import Table
from forensics.timeline import export_csv, export_jsonl, timeline
from tests.findings.test_rules import SURVEYED, shell, surveyed, table


def made(*given: Table, seconds: float = 3600.0) -> Table:
    facts = replace(surveyed(), clock=ClockOffset(seconds, 0.1, SURVEYED))
    told = timeline({one.name: one for one in given}, facts)
    assert told is not None
    return told


def test_times_are_corrected_by_the_clocks_offset_and_the_title_says_so() -> None:
    (row,) = made(shell("uptime"))
    assert (row["time"], row["target_time"]) == ("2026-11-23T20:00:00.000000Z", "2026-11-23T21:00:00.000000Z")
    assert "+3600.000 s ± 0.100 s" in made(shell("uptime")).title


def test_an_offset_that_was_not_measured_is_said() -> None:
    told = timeline({"linux.bash.Bash": shell("uptime")}, None)
    assert told is not None
    assert "not measured" in told.title
    assert all(row["time"] == row["target_time"] for row in told)


def test_the_kernel_log_counts_from_boot_and_everything_is_in_order() -> None:
    log = table("kernel_log", "time text", [(0.0, "Linux version"), (100.5, "oops")], "E0005")
    told = made(log, shell("uptime"), seconds=0.0)
    assert [(row["time"], row["kind"]) for row in told] == [
        ("2026-11-23T20:51:40.000000Z", "kernel log"),
        ("2026-11-23T20:53:20.500000Z", "kernel log"),
        ("2026-11-23T21:00:00.000000Z", "command typed"),
    ]
    assert [row["exhibits"] for row in told] == ["E0005", "E0005", "D0003"]


def test_the_live_log_goes_on_where_the_log_in_memory_ends() -> None:
    memory = table("linux.kmsg.Kmsg", "timestamp line", [("0.000001", "Linux version"), ("90.5", "eth0 up")], "D0004")
    live = table("kernel_log", "time text", [(90.5, "eth0 up"), (101.25, "oom-kill")], "E0005")
    told = made(memory, live, seconds=0.0)
    assert [(row["message"], row["exhibits"]) for row in told] == [
        ("Linux version", "D0004"),
        ("eth0 up", "D0004"),
        ("oom-kill", "E0005"),
    ]
    assert [row["message"] for row in made(live)] == ["eth0 up", "oom-kill"]


def test_failed_logins_and_crash_dumps_have_their_place() -> None:
    failed = table("failed_logins", "user terminal from since", [("root", "ssh:notty", "192.0.2.9", SURVEYED)], "E0009")
    dump = table("crash_files", "path modified kind", [("/var/crash/1/vmcore", SURVEYED, "dump")], "E0010")
    told = {row["kind"]: row["message"] for row in made(failed, dump)}
    assert told == {"login failed": "root ssh:notty 192.0.2.9", "crash dump written": "/var/crash/1/vmcore (dump)"}


def test_what_tells_no_time_gives_no_timeline() -> None:
    assert timeline({"load": table("load", "name value", [("x", "1")])}, surveyed()) is None


HOSTILE = ("=HYPERLINK(1)", "+1", "-1", "@SUM(1)")


def hostile() -> Table:
    names = "user terminal from since"
    return made(table("logins", names, [(word, "pts/0", "", SURVEYED) for word in HOSTILE], "E0009"))


def test_a_spreadsheet_finds_no_formula_in_the_export(tmp_path: Path) -> None:
    export_csv(tmp_path / "t.csv", hostile(), "web01")
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(HOSTILE)
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())


def test_the_export_has_what_timesketch_asks_for(tmp_path: Path) -> None:
    export_jsonl(tmp_path / "t.jsonl", hostile(), "web01")
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert all({"message", "datetime", "timestamp_desc", "hostname"} <= set(row) for row in rows)
    assert all(row["message"] and row["timestamp_desc"] for row in rows)
    for row in rows:
        moment = datetime.fromisoformat(row["datetime"])
        assert moment.utcoffset() == timedelta(0)
        assert row["timestamp"] == round(moment.timestamp() * 1_000_000)
    assert {row["message"].split(" ")[0] for row in rows} == set(HOSTILE)
