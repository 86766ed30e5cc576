"""`forensics blockio show`: the lines and counts of blkparse, of traces in every form in which they are kept."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forensics import blockio
from forensics.blockio import captures, listing
from forensics.errors import UsageError
from tests.blockio.traces import DISK, READ, WRITE, A, C, D, Made, Q, R

CAPTURED = Path(__file__).parent.parent / "collectors/captured/block_io/bookworm/trace"
LINE = re.compile(r" *\d+,\d+ +\d+ +\d+ +\d+\.\d{9} .*")


def needed(*programs: str) -> None:
    if not all(map(shutil.which, programs)):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{programs} (package blktrace) are not here")


def shown(*words: str, data: bytes | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "forensics.cli", "blockio", *words]
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def listed(made: Made, wanted: listing.Wanted | None = None) -> list[str]:
    return list(listing.lines(blockio.read([made.content], sequences=True), wanted))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """What blkparse prints of the captured trace, and a folder with its dump of it."""
    needed("blkparse")
    folder = tmp_path_factory.mktemp("blkparse")
    argv = ["blkparse", "-i", "-", "-d", "dump"]
    done = subprocess.run(argv, input=CAPTURED.read_bytes(), cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().splitlines(), folder


def test_every_line_is_one_that_blkparse_prints(theirs: tuple[list[str], Path]) -> None:
    done = shown("show", str(CAPTURED))
    ours = [line for line in done.stdout.splitlines() if LINE.fullmatch(line)]
    assert len(ours) > 8000
    assert sorted(ours) == sorted(filter(LINE.fullmatch, theirs[0]))  # from a pipe, blkparse does not sort them all
    times = [float(line.split()[3]) for line in ours]
    assert times == sorted(times)
    assert done.returncode == 0


def test_the_counts_of_every_processor_are_those_of_blkparse(theirs: tuple[list[str], Path]) -> None:
    def counts(lines: list[str]) -> list[tuple[str, ...]]:
        text = "\n".join(lines).replace(",", "")
        wanted = r"((?:Reads?|Writes?) (?:Queued|Dispatches|Completed|Merges)): +(\d+) +(\d+)KiB"
        return re.findall(wanted, text) + re.findall(r"(Events) .*: (\d+) entries", text)

    ours = counts(shown("show", "--no-events", str(CAPTURED)).stdout.splitlines())
    assert len(ours) == 8 * 3 + 1
    assert ours == counts(theirs[0])


def test_what_was_requeued_and_half_kibibytes_are_counted_as_blkparse_does(tmp_path: Path) -> None:
    needed("blkparse")
    trace = tmp_path / "made.blktrace.0"
    made = Made().name(100, b"dd")
    for number, sectors in enumerate((3, 8, 17)):
        at = 1_000_000 + number * 40_000_000
        for later, event in enumerate((Q, D, R, D, C) if number == 1 else (Q, D, C)):
            made.event(at + later * 1_000_000, event, number * 64, sectors, way=READ if number == 2 else WRITE)
    trace.write_bytes(made.content)
    theirs = subprocess.run(["blkparse", "-i", "made"], cwd=tmp_path, capture_output=True, text=True, check=True)
    kinds = r"((?:Reads?|Writes?) (?:Queued|Dispatches|Completed)): +(\d+), +(\d+)KiB"
    told = re.findall(kinds, theirs.stdout)
    assert ("Write Dispatches", "3", "5") in told  # of 1.5 and 4 KiB; those that came back are not counted again
    assert re.findall(kinds, shown("show", "--no-events", str(trace)).stdout) == told


def test_a_dump_and_a_stream_are_read_as_the_files_are(theirs: tuple[list[str], Path]) -> None:
    whole, dump = shown("show", str(CAPTURED)), shown("show", str(theirs[1] / "dump"))
    stream = shown("show", "-", data=CAPTURED.read_bytes())
    assert stream.stdout == whole.stdout
    wall = re.compile(r"^First event .*\n", re.MULTILINE)
    assert sorted(wall.sub("", dump.stdout).splitlines()) == sorted(wall.sub("", whole.stdout).splitlines())


def test_a_dump_of_blkparse_tells_no_moment_that_it_does_not_know(theirs: tuple[list[str], Path]) -> None:
    said = shown("show", "--no-events", str(theirs[1] / "dump")).stdout  # its events begin at 0, its clock does not
    assert "First event  – (blkparse -d leaves it out; tracing began at 2026-11-23T21:39:49.402541Z)" in said
    assert shown("show", "--absolute", "--until", "0", str(theirs[1] / "dump")).stdout.startswith("254,0 ")


def test_files_of_processors_are_found_by_any_name_that_blkparse_takes(tmp_path: Path) -> None:
    for cpu in (0, 1, 10):
        (tmp_path / f"sda.blktrace.{cpu}").write_bytes(b"")
    (tmp_path / "sdb.blktrace.0").write_bytes(b"")
    wanted = tuple(tmp_path / f"sda.blktrace.{cpu}" for cpu in (0, 1, 10))
    one = tmp_path / "sda.blktrace.1"
    for names in ([tmp_path / "sda"], [one], [*wanted], [tmp_path / "sda", one]):
        assert [capture.files for capture in captures.find(names)] == [wanted], names
    assert [capture.files for capture in captures.find([tmp_path])] == [(*wanted, tmp_path / "sdb.blktrace.0")]
    with pytest.raises(UsageError, match=r"sdc\.blktrace\.0"):
        captures.find([tmp_path / "sdc"])


def test_what_an_event_says_beside_is_printed() -> None:
    above = (253 << 20) | 1
    made = Made().name(100, b"dd").split(10, 8, 16, 16)
    made.event(20, A, 1000, 8, payload=above.to_bytes(4, "big") + DISK.to_bytes(4, "big") + (8).to_bytes(8, "big"))
    made.event(30, 10, 0, 0, payload=(3).to_bytes(8, "big")).event(40, D, 0, 0, way=0x204).event(50, C, 8, 8, way=READ)
    words = [line[line.index("100") :].split(maxsplit=2)[1:] for line in listed(made)]
    assert words[0] == ["X", "W 8 / 16 [dd]"]
    assert words[1] == ["A", "W 1000 + 8 <- (253,1) 8"]
    assert words[2] == ["U", "N [dd] 3"] or words[2] == ["U", "W [dd] 3"]
    assert words[3] == ["D", "FN 0 [dd]"]
    assert words[4] == ["C", "R 8 + 8 [0]"]


def test_messages_of_the_kernel_stand_where_they_were_said() -> None:
    made = Made().event(1000, Q, 8, 8).note(2, b"bfq: \x1b[31mword", time=1500).event(2000, C, 8, 8)
    lines = listed(made)
    assert [line.split()[5] for line in lines] == ["Q", "m", "C"]
    assert lines[1].endswith(r"m   N bfq: \x1b[31mword")


def test_events_are_chosen_by_letter_process_disk_and_time() -> None:
    made = Made().event(0, Q, 8, 8).event(10**9, D, 8, 8, pid=7).event(2 * 10**9, C, 8, 8, device=(8 << 20) | 1)
    chosen = {
        "Q D": listing.Wanted(frozenset({"Q", "D"})),
        "D": listing.Wanted(pids=frozenset({7})),
        "C": listing.Wanted(devices=frozenset({"8,1"})),
        "D C": listing.Wanted(since=0.5),
        "Q ": listing.Wanted(until=0.5),
    }
    for wanted, one in chosen.items():
        assert [line.split()[5] for line in listed(made, one)] == wanted.split(), wanted


def test_absolute_times_are_those_of_the_traced_machine() -> None:
    made = Made().clock(500, 1_795_460_200, 500).event(1_000_000_123, Q, 8, 8)
    assert listed(made, listing.Wanted(absolute=True))[0].startswith("2026-11-23T18:56:41.000000123Z ")


def test_json_holds_the_tables_and_what_is_missing(tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(CAPTURED.read_bytes()[:-20])
    done = shown("show", "--json", "--drops", "5", str(cut))
    said = json.loads(done.stdout)
    assert (done.returncode, said["dropped"], said["events_read"]) == (3, 5, 8209)
    assert said["unread_bytes"] == 28
    assert {row["name"]: row["value"] for row in said["tables"]["block_io_totals"]}["events"] == 8209
    assert "events" not in said


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["show", "nowhere"], 2, "there is no such trace"),
        (["show", __file__], 1, "these bytes are no trace"),
        (["show", "--actions", "Z", str(CAPTURED)], 2, "no such event"),
        (["show", "--device", "sda", str(CAPTURED)], 2, "not a disk as blkparse names it"),
        (["show"], 2, "Missing argument 'TRACE…'"),
    ],
)
def test_what_cannot_be_shown_is_said_with_its_reason(words: list[str], code: int, what: str) -> None:
    done = shown(*words, "--json")
    said = json.loads(done.stderr)
    assert (done.returncode, said["what"].rstrip(".")) == (code, what)


def test_a_trace_of_notes_alone_says_why_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "sda.blktrace.0").write_bytes(Made().name(1, b"init").content)
    done = shown("show", str(tmp_path))
    assert done.returncode == 1
    assert "the trace has no events" in done.stderr
    assert "sda.blktrace.0" in done.stderr
