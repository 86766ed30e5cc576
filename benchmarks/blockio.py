"""Time and memory of the trace reader on 1.5 million generated events, beside blkparse and btt where they are here.

python benchmarks/blockio.py [--requests N] [--runs N]. Ours: totals, latencies and processes of one stream, each run a
process of its own, start-up included; once more with pictures. Theirs: `blkparse -O -d` (merge and sort), then `btt`
(latencies). The two do not make the same tables; what both make is compared: completed requests and the mean of D2C.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forensics.blockio.trace import RECORD

REQUESTS = 300_000  # of five events each: queue, get request, insert, issue, complete
STEPS = ((1, 0), (3, 2_000), (12, 3_000), (7, 20_000), (8, 0))  # event, nanoseconds since the queue; C is drawn
RATIO = 3.0
"""How many times as fast as the peer ours has to be."""
WORK = """
import sys
from pathlib import Path
from forensics.blockio import latency, pictures, reading, trace
found = trace.read([Path(sys.argv[1]).read_bytes()], 0)
requests = latency.pair(found)
tables = [reading.totals(found), reading.latencies(found, requests), reading.processes(found)]
if len(sys.argv) > 2:
    pictures.draw(found, requests)
rows = [row for row in tables[1] if row.get("measure") == "D2C" and row.get("scope") == "all"]
print(len(found), rows[0].get("count"), f'{float(rows[0].get("average")):.9f}')
"""


def generate(path: Path, requests: int) -> None:
    """Write one CPU's trace: overlapping writes of 4 KiB, of 16 processes, completed after 50 to 500 microseconds."""
    dice = np.random.default_rng(20261123)
    number = np.arange(requests, dtype=np.int64)
    queued = number * 25_000
    done = dice.integers(50_000, 500_000, requests)
    parts = []
    for event, after in STEPS:
        part = np.zeros(requests, RECORD)
        part["magic"], part["bytes"], part["device"] = 0x65617407, 4096, 254 << 20 | 16
        part["action"] = (2 | {1: 1, 3: 16, 12: 4, 7: 64, 8: 128}.get(event, 0)) << 16 | event
        part["pid"], part["sector"] = 1000 + number % 16, number * 8
        part["time"] = queued + (20_000 + done if event == 8 else after)
        parts.append(part)
    whole = np.concatenate(parts)
    whole = whole[np.argsort(whole["time"], kind="stable")]
    whole["sequence"] = np.arange(1, len(whole) + 1)
    path.write_bytes(whole.tobytes())


def run(*commands: Sequence[str]) -> tuple[float, float, str]:
    """Run programs one after the other; give wall seconds, peak resident memory in MB, and the last one's words."""
    begun, peak, said = time.perf_counter(), 0.0, ""
    for argv in commands:
        with tempfile.TemporaryFile() as words:
            child = subprocess.Popen(argv, stdout=words, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            words.seek(0)
            said = words.read().decode("utf-8", "replace")
        if child.returncode:
            raise SystemExit(f"{argv[0]} ended with {child.returncode}")
        peak = max(peak, usage.ru_maxrss * 1024 / 1e6)
    return time.perf_counter() - begun, peak, said


def theirs(folder: Path) -> list[list[str]]:
    """Give the peer's two commands; [] when the tools are not here."""
    if not (shutil.which("blkparse") and shutil.which("btt")):
        return []
    dump = str(folder / "dump")
    return [["blkparse", "-q", "-O", "-D", str(folder), "-i", "trace", "-d", dump], ["btt", "-i", dump]]


def told(name: str, runs: Sequence[tuple[float, float, str]]) -> float:
    """Print one line of figures; give the median of the seconds."""
    seconds = [one[0] for one in runs]
    spread = f"median of {len(runs)} ({min(seconds):.2f}-{max(seconds):.2f} s)"
    print(f"{name:22} {statistics.median(seconds):6.2f} s  {max(one[1] for one in runs):6.0f} MB   {spread}")
    return statistics.median(seconds)


def main() -> int:
    """Measure, print, and end with 1 when ours is slower than the peer, or they disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trace = folder / "trace.blktrace.0"
        generate(trace, given.requests)
        ours = [sys.executable, "-c", WORK, str(trace)]
        size = trace.stat().st_size / 1e6
        print(f"{5 * given.requests} events, {size:.0f} MB; load average {os.getloadavg()[0]:.1f}")
        peer, mine, drawn, other = theirs(folder), [], [], []
        for _ in range(given.runs):  # interleaved, so that a busy moment meets all of them
            mine.append(run(ours))
            drawn.append(run([*ours, "pictures"]))
            other += [run(*peer)] if peer else []
    seconds = told("forensics, tables", mine)
    told("forensics, + pictures", drawn)
    each = max(one[1] for one in mine) * 1e6 / (5 * given.requests)
    print(f"  {mine[0][2].strip()} (events, completed requests, mean D2C in s)")
    print(f"  {each:.0f} bytes an event, Python included")
    if not other:
        print("blkparse and btt are NOT here (package blktrace): nothing to compare with, no bar was checked")
        return 0
    ratio = told("blkparse -d, btt", other) / seconds
    found = re.search(r"^D2C\s+\S+\s+(\S+)\s+\S+\s+(\d+)$", other[0][2], re.MULTILINE)
    mean, count = (found[1], found[2]) if found else ("?", "?")
    print(f"  {count} completed requests, mean D2C {mean} s")
    print(f"ratio                  {ratio:6.2f} x")
    print(f"bar                    {RATIO:6.2f} x")
    _, completed, average = mine[0][2].split()
    agree = completed == count and abs(float(average) - float(mean)) < 1e-8
    print(f"the two {'agree' if agree else 'DO NOT AGREE'} on what both tell")
    return int(ratio < RATIO or not agree)


if __name__ == "__main__":
    sys.exit(main())
