"""Time and memory of the trace reader on 1.5 million generated events, beside blkparse and btt where they are here.

python benchmarks/blockio.py [--requests N] [--runs N] [--keep FOLDER]. The trace is that of four processors, with reads
and writes of 16 processes, merges, plugs and names; what every request waited is known, and both are held against it.
Ours: from the files to all tables (totals, latencies over all and by process, processes, devices, overhead, seeks),
each run a process of its own, start-up included, its bytecode
compiled as an installation has it; once more with all pictures. Theirs: `blkparse -O -d` (merge and
sort), then `btt` (latencies); the two do not make the same tables (no percentiles, no processes).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

REQUESTS = 272_000
CPUS = 4
RATIO = 3.0
"""How many times as fast as the peer ours has to be."""
BYTES = 250
"""A record, at most, Python included."""
HEAD = np.dtype(
    [
        ("magic", "<u4"), ("sequence", "<u4"), ("time", "<u8"), ("sector", "<u8"), ("bytes", "<u4"), ("action", "<u4"),
        ("pid", "<u4"), ("device", "<u4"), ("cpu", "<u4"), ("error", "<u2"), ("pdu_len", "<u2"),
    ]
)  # fmt: skip
"""struct blk_io_trace of include/uapi/linux/blktrace_api.h."""
Q, M, G, D, C, PLUG, UNPLUG, INSERT = 1, 2, 4, 7, 8, 9, 10, 12
CATEGORY = {Q: 0x10, M: 0x10, G: 0x10, D: 0x40, C: 0x80, PLUG: 0x10, UNPLUG: 0x10, INSERT: 0x10}
WORK = """
import sys
from pathlib import Path
from forensics import blockio
found = blockio.read([Path(name) for name in sys.argv[2:]], 0)
requests, tables = blockio.analyse(found)
if sys.argv[1] == "pictures":
    from forensics.blockio import pictures
    drawn = pictures.draw(found, requests)
rows = {row["measure"]: row for row in tables[1] if row["scope"] == "all"}
said = [(name, rows[name]["count"], f'{float(rows[name]["average"]):.9f}') for name in ("D2C", "Q2C", "Q2M")]
print(len(found), *(word for part in said for word in part))
"""


class Truth(NamedTuple):
    """What was put into a trace."""

    events: int
    said: tuple[tuple[str, int, float], ...]  # measure, how many, mean in seconds


def generate(folder: Path, requests: int) -> Truth:
    """Write `trace.blktrace.0` … of four processors; every eighth request takes in a second bio behind it."""
    dice = np.random.default_rng(20261123)
    number = np.arange(requests, dtype=np.int64)
    queued = 1_000_000 + number * 25_000
    sector = (number * 7919) % (1 << 24) * 16
    write, pid, home = number % 3 != 0, 1000 + number % 16, number % CPUS
    wait = dice.integers(50_000, 500_000, requests)
    double = number % 8 == 0
    size = np.where(double, 8192, 4096)
    lead = [(Q, 0, 4096), (G, 2_011, 4096), (INSERT, 5_017, size), (D, 20_023, size)]
    parts = [_events(one, queued + after, sector, bytes_, write, pid, home) for one, after, bytes_ in lead]
    parts.append(_events(C, queued + 20_023 + wait, sector, size, write, 0, (home + 1) % CPUS))
    bios = (sector + 8)[double], 4096, write[double], pid[double], home[double]
    parts += [_events(one, queued[double] + after, *bios) for one, after in ((Q, 3_001), (M, 3_499))]
    plugs = number % 16 == 0
    rest = 0, 0, False, pid[plugs], home[plugs]
    parts += [_events(one, queued[plugs] + after, *rest) for one, after in ((PLUG, 1_003), (UNPLUG, 9_007))]
    whole = np.concatenate(parts)
    whole = whole[np.argsort(whole["time"], kind="stable")]
    for cpu in range(CPUS):
        (folder / f"trace.blktrace.{cpu}").write_bytes(b"".join(_file(whole[whole["cpu"] == cpu], cpu)))
    count = int(np.count_nonzero(double))
    q2c = 20_023 + wait
    waits = (
        ("D2C", requests + count, (wait.sum() + wait[double].sum()) / (requests + count) / 1e9),
        ("Q2C", requests + count, (q2c.sum() + (q2c - 3_001)[double].sum()) / (requests + count) / 1e9),
        ("Q2M", count, 498 / 1e9),
    )
    return Truth(len(whole), waits)


def made(folder: Path, requests: int) -> Truth:
    """Generate in a process of its own: a child counts the memory of who started it as its own."""
    argv = [sys.executable, __file__, "--generate", str(folder), "--requests", str(requests)]
    said = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    return Truth(said[0], tuple((measure, count, mean) for measure, count, mean in said[1]))


def _events(event: int, when: object, sector: object, size: object, write: object, pid: object, cpu: object) -> object:  # noqa: PLR0917
    part = np.zeros(len(np.asarray(when)), HEAD)
    part["magic"], part["device"], part["pdu_len"] = 0x65617407, 254 << 20 | 16, 8 if event == UNPLUG else 0
    part["action"] = (np.where(write, 2, 1) | CATEGORY[event]) << 16 | event
    part["time"], part["sector"], part["bytes"], part["pid"], part["cpu"] = when, sector, size, pid, cpu
    return part


def _file(events: np.ndarray, cpu: int) -> Iterator[bytes]:
    """Give one processor's file: names and clock first, and behind each unplug how deep the queue was."""
    for pid in range(1000 + cpu, 1016, CPUS):
        yield _note(0, pid, cpu, b"worker-%d" % pid + bytes(16 - len(b"worker-%d" % pid)))
    if not cpu:
        yield _note(1, 0, cpu, np.array([1_795_460_200, 0], "<u4").tobytes())
    events["sequence"] = np.arange(1, len(events) + 1)
    edges = np.flatnonzero(events["pdu_len"]) + 1
    for part in np.split(events, edges):
        yield part.tobytes()
        if len(part) and part["pdu_len"][-1]:
            yield bytes(7) + b"\x04"


def _note(kind: int, pid: int, cpu: int, payload: bytes) -> bytes:
    head = np.zeros(1, HEAD)
    head["magic"], head["action"], head["time"], head["cpu"] = 0x65617407, 0x400 << 16 | kind, 500_000, cpu
    head["pid"], head["pdu_len"] = pid, len(payload)
    return head.tobytes() + payload


def installed(folder: Path) -> dict[str, str]:
    """Give the environment in which Python keeps its bytecode, as it does where a program is installed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def run(*commands: Sequence[str], folder: Path) -> tuple[float, float, str]:
    """Run programs one after the other; give wall seconds, peak resident memory in MB, and the last one's words."""
    begun, peak, said = time.perf_counter(), 0.0, ""
    for argv in commands:
        with tempfile.TemporaryFile() as words:
            child = subprocess.Popen(argv, stdout=words, stderr=subprocess.DEVNULL, cwd=folder, env=installed(folder))
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            words.seek(0)
            said = words.read().decode("utf-8", "replace")
        if child.returncode:
            raise SystemExit(f"{argv[0]} ended with {child.returncode}")
        peak = max(peak, usage.ru_maxrss * 1024 / 1e6)
    return time.perf_counter() - begun, peak, said


def told(name: str, runs: Sequence[tuple[float, float, str]]) -> float:
    """Print one line of figures; give the median of the seconds."""
    seconds = [one[0] for one in runs]
    spread = f"median of {len(runs)} ({min(seconds):.2f}-{max(seconds):.2f} s)"
    print(f"{name:22} {statistics.median(seconds):6.2f} s  {max(one[1] for one in runs):6.0f} MB   {spread}")
    return statistics.median(seconds)


def true(truth: Truth, said: str) -> bool:
    """Tell whether the counts and means that ours printed are those that were put in."""
    words = said.split()
    wanted = [str(truth.events)]
    for measure, count, mean in truth.said:
        wanted += [measure, str(count), f"{mean:.9f}"]
    return words == wanted


def agreed(truth: Truth, said: str) -> bool:
    """Tell whether btt found the same, to its last digit."""
    found = {
        row[0][:3]: row for row in re.findall(r"^([QDM]2[CM]\S*)\s+\S+\s+(\S+)\s+\S+\s+(\d+)$", said, re.MULTILINE)
    }
    return all(
        measure in found and int(found[measure][2]) == count and abs(float(found[measure][1]) - mean) < 1.01e-9
        for measure, count, mean in truth.said
    )


def measure(folder: Path, runs: int) -> dict[str, list[tuple[float, float, str]]]:
    """Run all of them in turns, so that a busy moment meets all."""
    files = [str(folder / f"trace.blktrace.{cpu}") for cpu in range(CPUS)]
    commands = {
        "forensics, tables": [[sys.executable, "-c", WORK, "tables", *files]],
        "forensics, + pictures": [[sys.executable, "-c", WORK, "pictures", *files]],
    }
    if shutil.which("blkparse") and shutil.which("btt"):
        commands["blkparse -d, btt"] = [["blkparse", "-q", "-O", "-i", "trace", "-d", "dump"], ["btt", "-i", "dump"]]
    found: dict[str, list[tuple[float, float, str]]] = {name: [] for name in commands}
    for argvs in commands.values():  # once for the bytecode and the page cache
        run(*argvs, folder=folder)
    for _ in range(runs):
        for name, argvs in commands.items():
            found[name].append(run(*argvs, folder=folder))
    return found


def main() -> int:
    """Measure, print, and end with 1 when ours is too slow or too big, or something is not the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--generate", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.generate:
        events, said = generate(given.generate, given.requests)
        print(json.dumps([events, [(measure, count, float(mean)) for measure, count, mean in said]]))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = made(folder, given.requests)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        print(f"{truth.events} events, {size:.0f} MB; load average {os.getloadavg()[0]:.1f}")
        found = measure(folder, given.runs)
    medians = {what: told(what, runs) for what, runs in found.items()}
    ours, peer = found["forensics, tables"], found.get("blkparse -d, btt")
    each = max(one[1] for one in ours) * 1e6 / truth.events
    print(f"  {each:.0f} bytes an event, Python included; at most {BYTES}")
    good = all(true(truth, one[2]) for one in [*ours, *found["forensics, + pictures"]]) and each < BYTES
    print(f"  ours {'agrees with' if good else 'DO NOT AGREE with'} what was put in")
    if not peer:
        print("blkparse and btt are NOT here (package blktrace): nothing to compare with, no bar was checked")
        return int(not good)
    ratio = medians["blkparse -d, btt"] / medians["forensics, tables"]
    print(f"ratio                  {ratio:6.2f} x")
    print(f"bar                    {RATIO:6.2f} x")
    same = all(agreed(truth, one[2]) for one in peer)
    print(f"  btt {'agrees with' if same else 'DO NOT AGREE with'} what was put in")
    return int(ratio < RATIO or not good or not same)


if __name__ == "__main__":
    sys.exit(main())
