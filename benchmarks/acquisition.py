"""Seconds in which memory of the practice target arrives: /proc/kcore over two connections, over one, and LiME.

python benchmarks/acquisition.py [--runs N] [--memory MIB] [--package NAME] [--keep FOLDER] [--ways WAY…]. A lab is
booted once; each run is the installed program on a case of its own, until prove, and what counts is the time from the
first byte to the last as the acquisition record has it, then the time from the last byte to the verdict on record, and
the peak memory of the whole process. A way is ENGINE[:STREAMS[:COMPRESSION]].
Under emulation the target's processor, which encrypts, is what is waited for.
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
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from forensics.lab import labs
from forensics.lab.recipe import QUIET_DISK, Recipe

PROGRAM = Path(sys.executable).with_name("forensics")
WAYS = ("kcore:2", "kcore:1", "lime")
BAR = 1.0
"""The first way has to be at least as fast as each of the others."""


def program(root: Path, *words: str) -> float:
    """Run the program to its end; give its own peak resident memory in MB, without that of its children."""
    surroundings = {**os.environ, "FORENSICS_ROOT": str(root)}
    peak = 0
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen([PROGRAM, *words], env=surroundings, stdout=said, stderr=said)
        while child.poll() is None:
            mark = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{child.pid}/status").read_text(encoding="ascii"))
            peak = int(mark[1]) if mark else peak
            time.sleep(0.1)
        said.seek(0)
        if child.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {child.returncode}: {said.read().decode()}")
    return peak * 1024 / 1e6


@dataclass(frozen=True)
class Run:
    """One acquisition."""

    seconds: float  # from the first byte to the last
    verdict: float  # seconds from the last byte to the verdict on record
    peak: float  # MB of our process
    size: int  # bytes of the image


def acquire(root: Path, case: str, way: str) -> Run:
    """Acquire memory once, and let it be judged."""
    engine, streams, compression = (way.split(":") + ["0", "none"][way.count(":") :])[:3]
    program(root, "open", case, "--title", "Bench", "--examiner", "Bench", "--authority", "our own machine")
    how = ("--engine", engine, "--streams", streams, "--compress", compression)
    peak = program(root, "run", case, "root@lab", "--plan", "light", "--until", "prove", *how)
    (record,) = (root / "cases" / case / "exhibits").glob("*-acquisition.json")
    received = json.loads(record.read_bytes())["received"]
    if received["reason"]:
        raise SystemExit(f"{way}: {received['reason']}")
    return Run(float(received["seconds"]), judged(root / "cases" / case), peak, int(received["bytes"]))


def judged(case: Path) -> float:
    """Give the seconds from the last byte to the entry of the verdict into the ledger."""
    events = [json.loads(line) for line in (case / "custody.jsonl").read_bytes().splitlines()]
    entered = {one["details"]["kind"]: one for one in events if one["action"] == "exhibit entered"}
    verdict = json.loads((case / entered["proof"]["details"]["path"]).read_bytes())
    if (verdict["verdict"], verdict["usable"]) != ("complete", True):
        raise SystemExit(f"{case.name}: {verdict['verdict']}: {verdict['reasons']}")
    last = datetime.fromisoformat(entered["memory-image"]["details"]["facts"]["ended"])
    return (datetime.fromisoformat(entered["proof"]["time"]) - last).total_seconds()


def keep(case: Path, folder: Path, memory: int) -> None:
    """Move the image and its symbol table out of a case that is over."""
    folder.mkdir(parents=True, exist_ok=True)
    for end in ("lime", "json"):
        (found,) = (case / "exhibits").glob("*-memory.lime" if end == "lime" else "*-symbols.json")
        shutil.move(found, folder / f"{memory}.{end}")


def main() -> int:
    """Measure, print, and end with 1 when a way is faster than the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory", type=int, default=256, help="of the machine, in MiB")
    parser.add_argument("--package", action="append", default=[], help="to have on it, such as lz4; again for more")
    parser.add_argument("--keep", type=Path, help="a folder for the last image and its table: benchmarks/analysis.py")
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    given = parser.parse_args()
    found: dict[str, list[Run]] = {way: [] for way in given.ways}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with labs.booted(
            root, "lab", Recipe(seed=11, memory=given.memory, packages=tuple(given.package), without=QUIET_DISK)
        ):
            for number in range(given.runs):  # interleaved, so that a busy moment meets all of them
                for way, runs in found.items():
                    case = f"{number}-{way.replace(':', '-')}"
                    runs.append(acquire(root, case, way))
        if given.keep:
            keep(root / "cases" / case, given.keep, given.memory)
    print(f"load average {os.getloadavg()[0]:.1f}")
    medians = []
    for place, (way, runs) in enumerate(found.items()):
        medians.append(statistics.median(one.seconds for one in runs))
        shown = f"forensics {way}" if place == 0 else way
        rate, verdict = runs[0].size / medians[-1] / 1e6, max(one.verdict for one in runs)
        print(f"{shown:22} {medians[-1]:6.2f} s  {max(one.peak for one in runs):6.0f} MB   {rate:.1f} MB/s")
        print(f"  its verdict          {verdict:6.2f} s after the last byte, at most")
    ratio = min(medians[1:], default=medians[0]) / medians[0]
    print(f"ratio                  {ratio:6.2f} x")
    print(f"bar                    {BAR:6.2f} x")
    return int(ratio < BAR)


if __name__ == "__main__":
    sys.exit(main())
