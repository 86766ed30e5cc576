"""Seconds in which memory of the practice target arrives: /proc/kcore over two connections, over one, and LiME.

python benchmarks/acquisition.py [--runs N] [--ways WAY…]. A lab of 256 MiB is booted once; each run is the installed
program on a case of its own, until acquire, and what counts is the time from the first byte to the last as the
acquisition record has it, with the peak memory of the whole process. A way is ENGINE[:STREAMS[:COMPRESSION]].
Under emulation the target's processor, which encrypts, is what is waited for.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from forensics.lab import labs
from forensics.lab.recipe import QUIET_DISK, Recipe

PROGRAM = Path(sys.executable).with_name("forensics")
WAYS = ("kcore:2", "kcore:1", "lime")
BAR = 1.0
"""The first way has to be at least as fast as each of the others."""


def program(root: Path, *words: str) -> float:
    """Run the program to its end; give its peak resident memory in MB."""
    surroundings = {**os.environ, "FORENSICS_ROOT": str(root)}
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen([PROGRAM, *words], env=surroundings, stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if child.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {child.returncode}: {said.read().decode()}")
    return usage.ru_maxrss * 1024 / 1e6


def acquire(root: Path, case: str, way: str) -> tuple[float, float, int]:
    """Acquire memory once; give seconds, megabytes of our process, and bytes of the image."""
    engine, streams, compression = (way.split(":") + ["0", "none"][way.count(":") :])[:3]
    program(root, "open", case, "--title", "Bench", "--examiner", "Bench", "--authority", "our own machine")
    how = ("--engine", engine, "--streams", streams, "--compress", compression)
    peak = program(root, "run", case, "root@lab", "--plan", "light", "--until", "acquire", *how)
    (record,) = (root / "cases" / case / "exhibits").glob("*-acquisition.json")
    received = json.loads(record.read_bytes())["received"]
    if received["reason"]:
        raise SystemExit(f"{way}: {received['reason']}")
    return float(received["seconds"]), peak, int(received["bytes"])


def main() -> int:
    """Measure, print, and end with 1 when a way is faster than the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float, int]]] = {way: [] for way in given.ways}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with labs.booted(root, "lab", Recipe(seed=11, without=QUIET_DISK)):
            for number in range(given.runs):  # interleaved, so that a busy moment meets all of them
                for way, runs in found.items():
                    runs.append(acquire(root, f"{number}-{way.replace(':', '-')}", way))
    print(f"load average {os.getloadavg()[0]:.1f}")
    medians = []
    for place, (way, runs) in enumerate(found.items()):
        medians.append(statistics.median(one[0] for one in runs))
        shown = f"forensics {way}" if place == 0 else way
        rate = runs[0][2] / medians[-1] / 1e6
        print(f"{shown:22} {medians[-1]:6.2f} s  {max(one[1] for one in runs):6.0f} MB   {rate:.1f} MB/s")
    ratio = min(medians[1:], default=medians[0]) / medians[0]
    print(f"ratio                  {ratio:6.2f} x")
    print(f"bar                    {BAR:6.2f} x")
    return int(ratio < BAR)


if __name__ == "__main__":
    sys.exit(main())
