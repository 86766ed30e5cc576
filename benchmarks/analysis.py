"""Every canonical plugin on one image: ours in one session, and `vol` once a plugin, in turns.

python benchmarks/analysis.py [--runs N] [--image F --table F] [--plugins NAME…] [--peer-seconds S] [--growth F…]

Without an image it takes $FORENSICS_BENCH_IMAGE and $FORENSICS_BENCH_TABLE; where there is none it measures nothing and
says so. `vol` runs as long as it is given time for; the ratio is over the plugins that both ran, which are named. With
--growth, other images are measured with ours alone. It says whether the rows of both agree in number.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from forensics.volatility import Ended, Job, Opened, available, run

BAR = 6.0
VOL = Path(sys.executable).with_name("vol")


def canonical() -> list[str]:
    """Every plugin of Volatility's own that runs without an argument."""
    named = [one.name for one in available() if not one.why_not and one.name.startswith("linux.")]
    return [name for name in named if not name.startswith("linux.forensics.")]


def ours(image: Path, table: Path, plugins: Sequence[str]) -> tuple[float, float, dict[str, Ended]]:
    """Give seconds, the largest memory of one process in MB, and how each plugin ended."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(str(image), str(table), folder, tuple(plugins), children=len(os.sched_getaffinity(0)))
        before = time.monotonic()
        said = list(run(job))
        took = time.monotonic() - before
    assert any(isinstance(one, Opened) for one in said), said
    ended = {one.item: one for one in said if isinstance(one, Ended)}
    peak = max(int(str(one.facts.get("peak_memory", 0))) for one in ended.values())
    return took, peak / 1e6, ended


def processor() -> float:
    """Give the processor time of all that was run and has ended: what other work on the machine changes least."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peer(image: Path, table: Path, plugins: Sequence[str], seconds: float) -> dict[str, tuple[float, int]]:
    """Run `vol` once for each plugin as long as there is time; give seconds and rows of each (-1: it broke)."""
    measured: dict[str, tuple[float, int]] = {}
    with tempfile.TemporaryDirectory() as place:
        symbols = Path(place) / "symbols"
        symbols.mkdir()
        shutil.copy(table, symbols / "table.json")
        surroundings = {**os.environ, "XDG_CACHE_HOME": place}
        words = [str(VOL), "-q", "--offline", "-s", str(symbols), "-f", str(image), "-r", "jsonl"]
        subprocess.run([*words, "linux.boottime.Boottime"], env=surroundings, capture_output=True, check=False)  # cache
        end = time.monotonic() + seconds
        for name in plugins:
            if time.monotonic() > end:
                break
            before = time.monotonic()
            done = subprocess.run([*words, name], env=surroundings, capture_output=True, text=True, check=False)
            rows = sum(line.startswith("{") for line in done.stdout.splitlines()) if done.returncode == 0 else -1
            measured[name] = time.monotonic() - before, rows
    return measured


def compare(image: Path, table: Path, plugins: Sequence[str], seconds: float) -> None:
    """Measure both on the plugins that the peer has time for, and print."""
    begun = processor()
    theirs = peer(image, table, plugins, seconds)
    between = processor()
    took, peak, ended = ours(image, table, list(theirs))
    spent = processor() - between, between - begun
    peer_took = sum(one for one, _ in theirs.values())
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    print(
        f"forensics             {took:8.2f} s  {peak:6.0f} MB   {len(theirs)} plugins, {image.stat().st_size >> 20} MiB"
    )
    print(f"vol once a plugin     {peer_took:8.2f} s  {memory:6.0f} MB")
    print(f"bar {BAR:.1f} x")
    print(f"processor time: ours {spent[0]:.1f} s, vol {spent[1]:.1f} s: {spent[1] / spent[0]:.1f} x")
    print(f"ran: {' '.join(theirs)}")
    for name, (_, rows) in theirs.items():
        if rows >= 0 and rows != ended[name].facts.get("rows"):
            print(f"rows differ: {name}: vol {rows}, ours {ended[name].facts.get('rows')} ({ended[name].reason})")
    longest = sorted(ended.values(), key=lambda one: -float(str(one.facts.get("seconds", 0))))[:5]
    print("longest: " + ", ".join(f"{one.item} {one.facts.get('seconds')} s" for one in longest))


def main() -> int:
    """Measure once for each run asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--image", type=Path, default=os.environ.get("FORENSICS_BENCH_IMAGE"))
    parser.add_argument("--table", type=Path, default=os.environ.get("FORENSICS_BENCH_TABLE"))
    parser.add_argument("--plugins", nargs="*", default=())
    parser.add_argument("--peer-seconds", type=float, default=1800.0)
    parser.add_argument("--growth", nargs="*", type=Path, default=(), help="IMAGE of the same kernel, again for more")
    given = parser.parse_args()
    if not (given.image and given.table):
        print("analysis: NOT RUN: give an image and its table (FORENSICS_BENCH_IMAGE, FORENSICS_BENCH_TABLE)")
        return 0
    plugins = given.plugins or canonical()
    for _ in range(given.runs):
        compare(Path(given.image).resolve(), Path(given.table).resolve(), plugins, given.peer_seconds)
    for image in given.growth:
        took, peak, ended = ours(image.resolve(), Path(given.table).resolve(), plugins)
        told = {name: one.facts.get("seconds") for name, one in ended.items()}
        largest = sorted(told.items(), key=lambda one: -float(str(one[1] or 0)))[:3]
        size = image.stat().st_size >> 20
        print(f"grown                 {took:8.2f} s  {peak:6.0f} MB   {size} MiB {json.dumps(largest)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
