"""Seconds and memory of the report of a case with many result rows, from the command to the files on disk.

python benchmarks/report.py [--runs N] [--rows N]. The case has eight tables of a target with that many rows in all
(processes, sockets, shell history, services, a timeline, open files), and no picture. Ours is `forensics report` as a
user types it: start, check of the exhibits, HTML with every row, CSV files and the PDF, all of it entered.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from forensics import tables
from forensics.casefile import Case, open_case
from forensics.intake import Place, enter
from forensics.model import Draft, Examiner, Role
from forensics.tables import Cell, Column, Table

BAR, MEMORY = 20.0, 400.0  # seconds, megabytes
PAGES = 60
NAMED = {
    "linux.pslist.PsList": "PID:integer PPID:integer UID:integer COMM:text CREATION+TIME:time",
    "linux.psaux.PsAux": "PID:integer COMM:text ARGS:text",
    "linux.sockstat.Sockstat": "Proto Source+Addr Source+Port:integer Process+Name PID:integer State",
    "linux.bash.Bash": "PID:integer Process CommandTime:time Command",
    "linux.lsof.Lsof": "PID:integer Process FD:integer Path",
    "services": "unit state enabled user command",
    "timeline": "time:time kind message exhibits",
    "package_changes": "path change kind flags",
}


def cell(name: str, kind: str, row: int, chance: random.Random) -> Cell:
    """Make one cell as such a table holds it."""
    if kind == "integer":
        return row + 100 if name == "PID" else 2 + row % 50 if name == "PPID" else chance.randrange(65536)
    if kind == "time":
        return f"2026-11-25T{row // 3600 % 24:02d}:{row // 60 % 60:02d}:{row % 60:02d}Z"
    if name == "Proto":
        return "TCP"
    return f"/usr/lib/{name.lower()}/{chance.getrandbits(64):016x} --option {row}"[: chance.randrange(12, 60)]


def make(root: Path, rows: int) -> Case:
    """Open a case and enter its tables."""
    chance = random.Random(7)
    case = open_case(root, "bench", "Many rows", Examiner("Bench"), "our own machine")
    for name, words in NAMED.items():
        columns = tuple(
            Column(one.partition(":")[0].replace("+", " "), one.partition(":")[2] or "text") for one in words.split()
        )
        made = tuple(tuple(cell(c.name, c.type, n, chance) for c in columns) for n in range(rows // len(NAMED)))
        path = case.folder / "work" / f"{name}.jsonl"
        tables.write(path, Table(name, name, columns, made, ("E0001",)))
        enter(case, Draft(path, Role.DERIVED, "table", name), Place("web01", "interpret", 1))
    return case


def run(words: list[str]) -> tuple[float, float, float]:
    """Run a program to its end; give seconds, the peak of it and its children in megabytes, processor seconds."""
    begin = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(words[0], words, {**os.environ}, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the report ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begin, usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure, print, and end with 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args()
    found = []
    for _ in range(given.runs):
        with tempfile.TemporaryDirectory() as name:
            case = make(Path(name), given.rows)
            found.append(run([sys.executable, "-m", "forensics.cli", "report", "bench", "--root", name, "--json"]))
            case.refresh()
            made = [one for one in case.exhibits() if one.kind == "report"]
            pages = next(int(str(one.facts["pages"])) for one in made if "pages" in one.facts)
            sizes = ", ".join(f"{one.path.suffix[1:]} {one.size / 1e6:.1f} MB" for one in made)
    took, peak = statistics.median(one[0] for one in found), max(one[1] for one in found)
    spent = statistics.median(one[2] for one in found)
    print(f"load average {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} processors, {given.rows} rows")
    print(f"{pages} pages; {sizes}")
    print(f"forensics report       {took:6.2f} s  {peak:6.0f} MB   {spent:.2f} s of a processor")
    print(f"bar                    {BAR:6.2f} s  {MEMORY:6.0f} MB")
    return 0 if took <= BAR and peak <= MEMORY and pages <= PAGES else 1


if __name__ == "__main__":
    sys.exit(main())
