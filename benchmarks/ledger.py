"""Seconds in which `verify` reads a ledger of 100,000 entries of 1.5 KB, and what one more entry costs on it.

python benchmarks/ledger.py [--runs N] [--entries N]. The entries are true ones, in the mix that a long case has:
commands, items, exhibits, notes. `verify` is run as an auditor runs it, in a process of its own, schema and chain
included. An append is timed with its fsync, on a ledger of 10 entries and on the long one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from forensics import verify
from forensics.casefile import LEDGER, Case, open_case
from forensics.events import Action, Deed, Event, encode
from forensics.hashing import hash_bytes
from forensics.model import JSON, Examiner

BAR = (4.0, 250.0)
"""Seconds and megabytes for 100,000 entries."""
LINE = 1500
KINDS = (Action.COMMAND, Action.COMMAND, Action.ITEM_ENDED, Action.NOTE)


def grow(case: Case, count: int) -> None:
    """Write true lines, without making each durable."""
    last = case.events()[-1]
    with (case.folder / LEDGER).open("ab") as file:
        for number in range(count):
            line = _line(last, KINDS[number % len(KINDS)])
            file.write(line)
            last = replace(last, sequence=last.sequence + 1, line=str(hash_bytes(line[:-1])))


def _line(last: Event, action: Action) -> bytes:
    body = {name: getattr(last, name) for name in last.__slots__ if name not in {"digest", "line"}}
    words: list[JSON] = ["/usr/bin/stat", "--format=%n %s %f %Y", f"/proc/{last.sequence}/exe"]
    details: dict[str, JSON] = {"item": f"item {last.sequence}", "outcome": "done", "facts": {}, "argv": words}
    body |= {"sequence": last.sequence + 1, "previous": last.line, "action": str(action), "details": details}
    short = encode(body)
    details["output"] = "x" * max(0, LINE - len(short) - len(',"output":""'))
    return encode(body)


def append(case: Case) -> float:
    """Give the median seconds of an append, its fsync included."""
    took = []
    for _ in range(51):
        begin = time.perf_counter()
        case.ledger.append(Deed(Action.NOTE, "one more"))
        took.append(time.perf_counter() - begin)
    return statistics.median(took)


def check(folder: Path) -> tuple[float, float, float]:
    """Verify once; give seconds, peak megabytes and processor seconds."""
    command = [sys.executable, "-I", str(verify.__file__), str(folder)]
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    took = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"verify ended with {child.returncode}")
    return took, usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure, print, and end with 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--entries", type=int, default=100_000)
    given = parser.parse_args()
    sizes = [given.entries // 4, given.entries]
    found: dict[int, list[tuple[float, float, float]]] = {size: [] for size in sizes}
    costs = {}
    with tempfile.TemporaryDirectory() as name:
        cases = {}
        for size in [10, *sizes]:
            cases[size] = open_case(Path(name), f"ledger-{size}", "Bench", Examiner("Bench"), "our own machine")
            grow(cases[size], size - 1)
            costs[size] = append(cases[size])
        for _ in range(given.runs):
            for size, runs in found.items():
                runs.append(check(cases[size].folder))
        length = (cases[sizes[-1]].folder / LEDGER).stat().st_size / sizes[-1]
    took = {size: statistics.median(one[0] for one in runs) for size, runs in found.items()}
    peak = max(one[1] for one in found[sizes[-1]])
    spent = statistics.median(one[2] for one in found[sizes[-1]])
    print(f"load average {os.getloadavg()[0]:.1f}, {length:.0f} bytes a line")
    print(f"forensics verify       {took[sizes[-1]]:6.2f} s  {peak:6.0f} MB   {spent:.2f} s of a processor")
    print(f"bar                    {BAR[0]:6.2f} s  {BAR[1]:6.0f} MB")
    print(
        f"linear                 {took[sizes[-1]] / took[sizes[0]]:6.2f} times the {sizes[0]} entries' time for 4 times"
    )
    for size, cost in costs.items():
        print(f"append                 {cost * 1e3:6.2f} ms on {size} entries")
    return int(took[sizes[-1]] > BAR[0] or peak > BAR[1])


if __name__ == "__main__":
    sys.exit(main())
