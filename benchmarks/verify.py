"""Seconds in which the exhibits of a case are verified, against `sha256sum` and `openssl dgst` of the same files.

python benchmarks/verify.py [--runs N] [--gib N] [--exhibits N] [--folder F]. The exhibits are random files of equal
size in the page cache (by default 8 of 256 MiB; `--gib 16` is what the bar was set for: seconds grow with it, ratios do
not). Every way reads and hashes every byte: ours is `verify.py` as an auditor runs it, ledger and start included. `one
exhibit` is the same amount in a single file, whole and by its pieces (`--pieces`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from forensics import verify
from forensics.casefile import Case, open_case
from forensics.intake import Place, enter
from forensics.model import Draft, Examiner, Role

BARS = {"sha256sum": 7.0, "openssl dgst": 1.8}
"""How many times as fast as each peer, on two processors."""
MEMORY = 100.0  # megabytes
BLOCK = 1 << 20


def make(root: Path, number: str, count: int, size: int) -> Case:
    """Open a case and enter random files in it."""
    case = open_case(root, number, "Bench", Examiner("Bench"), "our own machine")
    for one in range(count):
        path = case.folder / "work" / f"memory-{one}.lime"
        with path.open("wb") as file:
            for _ in range(size // BLOCK):
                file.write(os.urandom(BLOCK))
        enter(case, Draft(path, Role.EVIDENCE, "memory-image", "Memory"), Place("bench"))
    return case


def run(words: list[str]) -> tuple[float, float, float]:
    """Run a program to its end; give seconds, peak megabytes and processor seconds."""
    begin = time.perf_counter()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    took = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{words[0]} ended with {child.returncode}")
    return took, usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure, print, and end with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--exhibits", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="where the case is made; it needs room for twice the size")
    given = parser.parse_args()
    size = int(given.gib * (1 << 30)) // given.exhibits // BLOCK * BLOCK
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        many = make(Path(name), "many", given.exhibits, size)
        single = make(Path(name), "one", 1, size * given.exhibits)
        files = [str(many.path(one)) for one in many.exhibits()]
        ours = [sys.executable, "-I", str(verify.__file__)]
        ways = {
            "forensics verify": [*ours, str(many.folder)],
            "forensics one, pieces": [*ours, str(single.folder), "--pieces"],
            "forensics one, whole": [*ours, str(single.folder)],
            "openssl dgst": ["openssl", "dgst", "-sha256", *files],
            "sha256sum": ["sha256sum", *files],
        }
        found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
        for _ in range(given.runs):  # interleaved, so that a busy moment meets all of them
            for way, words in ways.items():
                found[way].append(run(words))
    load, processors = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"load average {load:.1f}, {processors} processors, {given.exhibits} exhibits of {size >> 20} MiB")
    took = {way: statistics.median(one[0] for one in runs) for way, runs in found.items()}
    for way, runs in found.items():
        spent = statistics.median(one[2] for one in runs)
        print(f"{way:22} {took[way]:6.2f} s  {max(one[1] for one in runs):6.0f} MB   {spent:.2f} s of a processor")
    peak = max(one[1] for one in found["forensics verify"])
    ratios = {peer: took[peer] / took["forensics verify"] for peer in BARS}
    for peer, bar in BARS.items():
        print(f"ratio to {peer:13} {ratios[peer]:6.2f} x")
        print(f"bar to {peer:15} {bar:6.2f} x")
    return int(any(ratios[peer] < bar for peer, bar in BARS.items()) or peak > MEMORY)


if __name__ == "__main__":
    sys.exit(main())
