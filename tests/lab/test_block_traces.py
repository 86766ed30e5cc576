"""Block I/O of a known workload on the practice target: blkparse's totals, btt's times, the workload's own bytes."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from forensics import blockio
from forensics.blockio import relayed
from forensics.collectors import Chosen, CollectSettings, Output, collectors
from forensics.lab import labs
from forensics.lab.recipe import Recipe
from forensics.lab.state import Lab, resolve
from forensics.model import JSON, Draft, Facts, Outcome, Result
from forensics.ssh import Secrets, connect
from forensics.stages.collect import collect
from forensics.tables import Row
from tests.blockio.test_show import needed
from tests.lab.watching import View, look, ours
from tests.recorder import MemoryRecorder
from tests.stages.live import FACTS, desk

pytestmark = [pytest.mark.lab, pytest.mark.faults, pytest.mark.timeout(3600)]

_FILE = "/var/tmp/pattern"
_PLANT = (
    f"dd if=/dev/urandom of={_FILE} bs=64k count=64 oflag=direct; sync; dd if={_FILE} of=/dev/null iflag=direct bs=64k"
)
_WORK = f"""for i in $(seq 600); do [ "$(cat /sys/block/vda/trace/enable)" = 0 ] || break; sleep 0.1; done; sleep 2
for i in 1 2 3; do head -c 1048576 /dev/zero; sleep 1; done |
 dd of={_FILE} bs=32k seek=8 iflag=fullblock conv=notrunc oflag=direct
dd if={_FILE} of=/dev/null bs=16k count=160 iflag=direct
"""
_DISK = "/var/tmp/disk"
_BOTH = f"""sleep 4
dd if=/dev/zero of=/dev/loop0 bs=64k count=16 oflag=direct
dd if=/dev/zero of={_FILE} bs=64k count=4 conv=notrunc oflag=direct
"""
WRITTEN, READ = 96 * 32768, 160 * 16384
SECONDS = 40
KEEP = os.environ.get("KEEP_CAPTURED", "")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    needed("blkparse", "btt")
    with labs.booted(tmp_path_factory.mktemp("lab"), "lab", Recipe(seed=20261125)) as up:
        labs.ask(up, _PLANT, seconds=600)
        yield up


class Taken:
    """What the collectors brought while the workload ran."""

    def __init__(self, given: list[Draft | Result], recorder: MemoryRecorder) -> None:
        self.recorder = recorder
        self.results = {one.item: one for one in given if isinstance(one, Result)}
        self.drafts = [one for one in given if isinstance(one, Draft)]

    def parts(self, name: str) -> dict[str, bytes]:
        return {str(one.facts["part"]): one.path.read_bytes() for one in self.drafts if one.item == name}

    def tables(self, name: str) -> Mapping[str, list[Row]]:
        facts = {str(one.facts["part"]): dict(one.facts) for one in self.drafts if one.item == name}
        reading = collectors()[name].read(Output(self.parts(name), facts))
        assert not any(reading.unread.values()), reading.unread
        return {table.name: list(table) for table in reading.tables}


def take(
    lab: Lab, folder: Path, facts: Facts, way: str, *, more: Mapping[str, JSON] | None = None, work: str = _WORK
) -> Taken:
    recorder = MemoryRecorder()
    host = connect(resolve(lab.folder.parents[1], "lab", "root"), recorder, Secrets())
    trace: dict[str, JSON] = {"seconds": SECONDS, "device": "vda", "way": way, **(more or {})}
    settings = CollectSettings(((Chosen("block_io", trace), Chosen("pidstat", {"seconds": SECONDS})),))
    worker = threading.Thread(target=labs.ask, args=(lab, work), kwargs={"seconds": 600})
    worker.start()
    try:
        given = list(collect.work(desk(folder), host, facts, settings))
    finally:
        host.close()
        worker.join()
    taken = Taken(given, recorder)
    for draft in taken.drafts if KEEP else ():
        (Path(KEEP) / f"{way}-{draft.name}").write_bytes(draft.path.read_bytes())
    return taken


def moved(taken: Taken) -> list[tuple[int, int]]:
    """What each dd wrote and read, by the table of processes: those that moved the workload's megabytes.

    The kernel notes a process's name once, at its first request (trace_note_tsk in kernel/trace/blktrace.c): a dd whose
    own program had to be read from the disk still has its shell's.
    """
    rows = [row for row in taken.tables("block_io")["block_io_processes"] if row["process"] in ("dd", "bash", "sh")]
    pairs = sorted((int(str(row["written_bytes"])), int(str(row["read_bytes"]))) for row in rows)
    return [pair for pair in pairs if sum(pair) >= 1 << 20]


def test_a_known_workload_has_blkparses_totals_btts_times_and_its_own_bytes(lab: Lab, tmp_path: Path) -> None:
    before = look(lab)
    taken = take(lab, tmp_path, FACTS, "relay")
    after = look(lab)
    assert (taken.results["block_io"].outcome, taken.results["block_io"].reason) == (Outcome.DONE, "")
    assert taken.results["pidstat"].outcome is Outcome.DONE
    assert moved(taken) == [(0, READ), (WRITTEN, 0)]
    as_before(before, after, taken)
    tables = taken.tables("block_io")
    numbers = {row["name"]: row["value"] for row in tables["block_io_totals"]}
    assert (numbers["splits"], numbers["dropped"]) == (0, 0)
    apart(taken.parts("block_io")["trace"], tmp_path)
    said = subprocess.run(["blkparse", "-i", "trace", "-d", "dump"], cwd=tmp_path, capture_output=True, check=True)
    total = said.stdout.decode().rpartition("\nTotal")[2]
    for direction in ("Read", "Write"):
        for theirs, name in {"Queued": "queued", "Dispatches": "issued", "Completed": "completed"}.items():
            found = re.search(rf"{direction}s? {theirs}: +(\d+), +(\d+)KiB", total)
            assert found
            kind = f"{direction.lower()}s {name}"
            assert (numbers[kind], numbers[f"{kind}, size"]) == (int(found[1]), int(found[2])), kind
    subprocess.run(["btt", "-i", "dump", "-o", "out"], cwd=tmp_path, capture_output=True, check=True)
    average = (tmp_path / "out.avg").read_text()
    rows = {row["measure"]: row for row in tables["block_io_latency"] if row["scope"] == "all"}
    for measure, label in (("D2C", "D2C"), ("Q2C", "Q2C(?:dm)?"), ("Q2G", "Q2G")):
        told = re.search(rf"^{label} +([\d.]+) +([\d.]+) +([\d.]+) +(\d+)$", average, re.MULTILINE)
        assert told, measure
        assert rows[measure]["count"] == int(told[4]), measure
        for column, value in zip(("minimum", "average", "maximum"), told.groups()[:3], strict=True):
            assert float(str(rows[measure][column])) == pytest.approx(float(value), abs=1.01e-9), (measure, column)


def test_several_disks_and_masks_of_a_plan_are_one_trace_of_those_events_alone(lab: Lab, tmp_path: Path) -> None:
    labs.ask(lab, f"modprobe loop; truncate -s 64M {_DISK}; losetup /dev/loop0 {_DISK}", seconds=300)
    try:
        before = look(lab)
        asked: dict[str, JSON] = {"devices": ["loop0"], "actions": ["issue", "complete"]}
        taken = take(lab, tmp_path, FACTS, "relay", more=asked, work=_BOTH)
        after = look(lab)
    finally:
        labs.ask(lab, f"losetup -d /dev/loop0; rm {_DISK}", seconds=300)
    assert (taken.results["block_io"].outcome, taken.results["block_io"].reason) == (Outcome.DONE, "")
    trace = blockio.read([relayed.records(taken.parts("block_io")["trace"])], 0)
    assert set(trace.event.tolist()) == {7, 8}, "issued and completed"
    disks = {row["device"]: row for row in taken.tables("block_io")["block_io_devices"]}
    assert {device.partition(",")[0] for device in map(str, disks)} == {"7", "254"}
    written = (trace.event == 7) & (trace.device == 7 << 20) & (trace.category & 2 != 0)
    assert int(trace.size[written].sum()) == 16 * 65536, "udev may read that disk too"
    as_before(before, after, taken)


def apart(stream: bytes, folder: Path) -> None:
    """Write each processor's records to a file of its own: from one stream, blkparse's dump is not quite in order."""
    files: dict[int, bytes] = {}
    at = 0
    while at + 48 <= len(stream):
        cpu, length = struct.unpack_from("<I", stream, at + 40)[0], struct.unpack_from("<H", stream, at + 46)[0]
        files[cpu] = files.get(cpu, b"") + stream[at : at + 48 + length]
        at += 48 + length
    for cpu, content in files.items():
        (folder / f"trace.blktrace.{cpu}").write_bytes(content)


def test_processes_that_moved_bytes_are_those_of_pidstat_too(lab: Lab, tmp_path: Path) -> None:
    taken = take(lab, tmp_path, FACTS, "relay")
    rows = [row for row in taken.tables("pidstat")["pidstat"] if str(row["command"]).startswith("dd ")]
    assert rows, "one second at least saw a dd"
    written = sum(float(str(row["written_kib_per_s"])) for row in rows if "of=" in str(row["command"]))
    assert WRITTEN / 1024 * 0.3 < written < WRITTEN / 1024 * 1.1


def test_where_the_kernel_is_locked_down_its_own_tracer_brings_the_same(lab: Lab, tmp_path: Path) -> None:
    labs.ask(lab, "echo integrity >/sys/kernel/security/lockdown", seconds=300)
    before = look(lab)
    taken = take(lab, tmp_path, replace(FACTS, lockdown="integrity"), "auto")
    after = look(lab)
    assert (taken.results["block_io"].outcome, taken.results["block_io"].reason) == (Outcome.DONE, "")
    assert taken.results["block_io"].facts["way"] == "ftrace"
    assert moved(taken) == [(0, READ), (WRITTEN, 0)]
    numbers = {row["name"]: row["value"] for row in taken.tables("block_io")["block_io_totals"]}
    assert str(numbers["first event"])[:13] == labs.ask(lab, "date -u +%Y-%m-%dT%H", seconds=300).decode().strip()
    as_before(before, after, taken)


def test_a_tracer_that_somebody_uses_is_left_alone(lab: Lab, tmp_path: Path) -> None:
    use, leave = (f"echo {tracer} >/sys/kernel/tracing/current_tracer" for tracer in ("blk", "nop"))
    labs.ask(lab, use, seconds=300)
    try:
        taken = take(lab, tmp_path, FACTS, "ftrace")
        still = labs.ask(lab, "cat /sys/kernel/tracing/current_tracer", seconds=300)
    finally:
        labs.ask(lab, leave, seconds=300)
    assert taken.results["block_io"].outcome is Outcome.FAILED
    assert "somebody traces this kernel already" in taken.results["block_io"].reason
    assert still == b"blk\n"


def as_before(before: View, after: View, taken: Taken) -> None:
    """Hold the target against what it was: mounts, settings, tracers, programs, files."""
    assert taken.recorder.dangling() == []
    for part in ("mounts", "modules", "settings", "tracing", "programs", "sockets"):
        assert after[part] ^ before[part] == frozenset(), part
    assert ours(before, after) == []
