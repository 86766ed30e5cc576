"""Run every benchmark of this folder three times, interleaved, and hold the medians against their bars.

python benchmarks/run.py [--rounds N] [--output FILE]. Each module is run as `MODULE --runs 1` and prints lines of
`NAME seconds s megabytes MB`, and its bar as `bar seconds s megabytes MB`, `bar ratio x` or `bar to PEER ratio x`;
`bar of memory megabytes MB` holds beside them. Ends with 1 when a bar is missed. A peer that is "NOT run side by side"
is a published figure, and its ratio is marked so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
FIGURE = re.compile(r"^(\S.*?)\s{2,}([\d.]+) s\s+([\d.]+) MB(.*)$", re.MULTILINE)
BAR = re.compile(r"^bar(?: to (\S.*?))?\s{2,}([\d.]+) x", re.MULTILINE)
MOST = re.compile(r"^bar of memory\s+([\d.]+) MB", re.MULTILINE)
PACKAGES = ("numpy", "volatility3", "matplotlib")


def measure(module: Path) -> str:
    """Run one benchmark once and give what it printed; its own verdict on one run counts for nothing."""
    done = subprocess.run([sys.executable, str(module), "--runs", "1"], capture_output=True, text=True, check=False)
    if not FIGURE.search(done.stdout) and "NOT RUN:" not in done.stdout:
        raise SystemExit(f"{module.name} measured nothing: {done.stdout}{done.stderr}")
    return done.stdout


def judge(name: str, said: list[str]) -> dict[str, object]:
    """Take the medians, the ratios to each peer, and whether the bar is met."""
    seconds: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    published = set()
    for words in said:
        for what, took, peak, rest in FIGURE.findall(words):
            seconds.setdefault(what, []).append(float(took))
            memory.setdefault(what, []).append(float(peak))
            published |= {what} if "NOT run side by side" in rest else set()
    medians = {what: statistics.median(all_) for what, all_ in seconds.items()}
    ours = next(what for what in medians if what.startswith("forensics"))
    peers = {what: took / medians[ours] for what, took in medians.items() if not what.startswith(("forensics", "bar"))}
    bars = {peer: float(ratio) for peer, ratio in BAR.findall(said[0])}
    if bars:
        met = all(ratio >= bars.get(peer, bars.get("", 0)) for peer, ratio in peers.items()) if peers else None
    else:
        met = medians[ours] <= medians["bar"] and max(memory[ours]) <= max(memory["bar"])
    most = MOST.search(said[0])
    if most and max(memory[ours]) > float(most[1]):
        met = False
    if any("DO NOT AGREE" in words for words in said):
        met = False
    for what, took in medians.items():
        print(f"{name:8} {what:22} {took:7.2f} s  {max(memory[what]):6.0f} MB")
    for what, ratio in peers.items():
        note = "  (published, not side by side)" if what in published else ""
        print(f"{name:8} {what:22} {ratio:7.2f} x{note}")
    print(f"{name:8} bar {'not checked: no peer here' if met is None else 'met' if met else 'MISSED'}")
    return {"seconds": seconds, "megabytes": memory, "ratios": peers, "published": sorted(published), "met": met}


def machine() -> dict[str, object]:
    """Say where and with what it was measured."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False)
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "processor": model[1] if model else platform.processor(),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def main() -> int:
    """Measure, print, write, and end with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    given = parser.parse_args()
    modules = sorted(path for path in HERE.glob("*.py") if path != Path(__file__))
    where = machine()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    said: dict[str, list[str]] = {module.stem: [] for module in modules}
    for _ in range(given.rounds):
        for module in modules:
            said[module.stem].append(measure(module))
    judged = {name: judge(name, words) for name, words in said.items() if FIGURE.search(words[0])}
    given.output.write_text(
        json.dumps({"machine": where, "benchmarks": judged, "said": said}, indent=1) + "\n", encoding="utf-8"
    )
    print(given.output)
    return int(any(one["met"] is False for one in judged.values()))


if __name__ == "__main__":
    sys.exit(main())
