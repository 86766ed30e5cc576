"""Time and memory of the symbol table converter on a real kernel, each run a process of its own, start-up included.

python benchmarks/isf.py [--btf F --kallsyms F --proc-version F] [--runs N]; without files: a Debian 6.1 kernel,
from tests/isf/data. Where dwarf2json and a vmlinux with DWARF are given (--dwarf2json F --vmlinux F), it runs beside.
"""

from __future__ import annotations

import argparse
import lzma
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

DATA = Path(__file__).parents[1] / "tests" / "isf" / "data"
WORK = """
import sys
from pathlib import Path
from forensics.isf import make
make(*map(Path, sys.argv[1:]))
"""
SECONDS, MEGABYTES = 1.2, 140
PEER_SECONDS, PEER_MEGABYTES = 53.0, 3500.0


def run(argv: Sequence[str], output: Path | None = None) -> tuple[float, float, float]:
    """Run a program; give its wall seconds, its peak resident memory in MB, and its CPU seconds."""
    with output.open("wb") if output else open(os.devnull, "wb") as sink:  # noqa: PTH123
        begun = time.perf_counter()
        child = subprocess.Popen(argv, stdout=sink)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{argv[0]} ended with {child.returncode}")
    return seconds, usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime


def inputs(given: argparse.Namespace, folder: Path) -> list[Path]:
    """Give the three input files, unpacked."""
    if given.btf:
        return [given.btf, given.kallsyms, given.proc_version]
    for name in ("vmlinux.btf", "kallsyms"):
        (folder / name).write_bytes(lzma.decompress((DATA / f"{name}.xz").read_bytes()))
    return [folder / "vmlinux.btf", folder / "kallsyms", DATA / "proc-version"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--btf", "--kallsyms", "--proc-version", "--dwarf2json", "--vmlinux"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--runs", type=int, default=7)
    return parser.parse_args()


def main() -> int:
    """Measure, print, and end with 1 when a bar is missed."""
    given = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = inputs(given, folder)
        runs = [
            run([sys.executable, "-c", WORK, *map(str, files), str(folder / f"table-{number}.json")])
            for number in range(given.runs)
        ]
        size = (folder / "table-0.json").stat().st_size / 1e6
        peer = run([given.dwarf2json, "linux", "--elf", given.vmlinux], folder / "peer") if given.dwarf2json else None
    seconds, memory = statistics.median(run[0] for run in runs), max(run[1] for run in runs)
    spread = f"{min(run[0] for run in runs):.2f}-{max(run[0] for run in runs):.2f}"
    print(
        f"forensics   {seconds:6.2f} s  {memory:6.0f} MB   median of {given.runs} ({spread} s), table of {size:.1f} MB"
    )
    cpu, load = statistics.median(run[2] for run in runs), os.getloadavg()[0]
    print(f"of which    {cpu:6.2f} s of CPU, on one core; load average {load:.1f} on {os.cpu_count()} cores")
    print(f"bar         {SECONDS:6.2f} s  {MEGABYTES:6.0f} MB   start-up included")
    where = "side by side" if peer else "NOT run side by side: as measured for 0.9.0 on the same kernel, other machine"
    peer_seconds, peer_memory = peer[:2] if peer else (PEER_SECONDS, PEER_MEGABYTES)
    print(f"dwarf2json  {peer_seconds:6.2f} s  {peer_memory:6.0f} MB   {where}")
    print(f"ratio       {peer_seconds / seconds:6.0f} x  {peer_memory / memory:6.0f} x")
    return int(seconds > SECONDS or memory > MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
