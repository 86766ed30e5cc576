"""On images of each suite: our rows are stock Volatility's, and page tables of five levels give those of four."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from forensics import tables
from forensics.lab import labs
from forensics.lab.recipe import Recipe
from forensics.model import Outcome
from forensics.volatility import Ended, Job, Opened, available, process, run
from tests.lab.workstation import TORN, Workstation

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(7200)]

VOL = Path(sys.executable).with_name("vol")
STOCK_FAILS = {"linux.kallsyms.Kallsyms", "linux.pscallstack.PsCallStack", "linux.sockscan.Sockscan"}
"""What breaks in stock Volatility on tables without the data of kallsyms, or on some images whatever the table."""

COMPARED = (
    "linux.pslist.PsList",
    "linux.psaux.PsAux",
    "linux.lsmod.Lsmod",
    "linux.lsof.Lsof",
    "linux.sockstat.Sockstat",
    "linux.elfs.Elfs",
    "linux.library_list.LibraryList",
    "linux.kthreads.Kthreads",
    "linux.malware.check_syscall.Check_syscall",
    "linux.malware.netfilter.Netfilter",
    "linux.bash.Bash",
)
LEVELS = {"linux.vmcoreinfo.VMCoreInfo"}  # its rows are the kernel's words, of which one says how many levels there are

BY_FEWER_BITS = {"linux.pscallstack.PsCallStack"}
"""It looks words of a stack up by as many bits as addresses have: with 48, 0x1ffff89198600 is taken for a function."""


def canonical() -> list[str]:
    return [one.name for one in available() if not one.why_not and one.name.startswith("linux.")]


def acquired(tmp_path: Path, recipe: Recipe) -> tuple[Path, Path]:
    """Boot a machine, take its memory, and give the image and the table."""
    desk = Workstation(tmp_path)
    case = desk.open_case("2026-0001")
    with labs.booted(tmp_path, "lab", recipe):
        done = desk.forensics("run", "2026-0001", "lab", "--engine", "kcore", "--until", "prove")
    assert done.code in {0, 3}, (done.out, done.err)
    assert json.loads(case.entered("proof")[-1].read_text())["usable"]
    return case.entered("memory-image")[-1], case.entered("symbol-table")[-1]


def analysed(image: Path, table: Path, plugins: Sequence[str], folder: Path) -> tuple[dict[str, Ended], int]:
    """Give how each plugin ended, and how many levels the page tables have."""
    said = list(run(Job(str(image), str(table), str(folder), tuple(plugins))))
    (opened,) = [one for one in said if isinstance(one, Opened)]
    return {one.item: one for one in said if isinstance(one, Ended)}, int(str(opened.facts["page_levels"]))


def rows(folder: Path, plugin: str) -> list[tuple[Any, ...]]:
    """The rows of a plugin, addresses without what sign extension adds."""
    path = folder / f"{plugin}.jsonl"
    return [tuple(map(_short, row)) for row in tables.read(path).rows] if path.exists() else []


def _short(value: Any) -> Any:
    return value & 0xFFFF_FFFF_FFFF if type(value) is int and value > 1 << 40 else value


def stock(image: Path, table: Path, plugin: str, folder: Path) -> list[dict[str, Any]]:
    """What the stock program prints of a plugin."""
    symbols = folder / "symbols"
    symbols.mkdir(exist_ok=True)
    (symbols / "table.json").write_bytes(table.read_bytes())
    words = [str(VOL), "-q", "--offline", "-s", str(symbols), "-f", str(image), "-r", "jsonl", plugin]
    ran = subprocess.run(words, env=process.environment(folder), capture_output=True, text=True, check=True)
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]


def compare(image: Path, table: Path, plugins: Sequence[str], folder: Path) -> None:
    """Hold every whole number and text of our rows against the stock program's."""
    analysed(image, table, plugins, folder / "ours")
    for plugin in plugins:
        ours, theirs = tables.read(folder / "ours" / f"{plugin}.jsonl"), stock(image, table, plugin, folder)
        named = [one.name for one in ours.columns if one.type in {"integer", "hex", "text"} and one.name != "TreeDepth"]
        known = [[None if isinstance(row[name], tables.Absent) else row[name] for name in named] for row in ours]
        assert known == [[row[name] for name in named] for row in theirs], plugin


def as_five(image: Path, table: Path, folder: Path) -> Path:
    """Give the same image with page tables of five levels."""
    five = folder / "five.lime"
    program = Path(__file__).parents[1] / "volatility" / "five.py"
    words = [sys.executable, "-P", *map(str, (program, image, table, five))]
    subprocess.run(words, env=process.environment(folder), check=True, capture_output=True)
    return five


def check_five(image: Path, table: Path, plugins: Sequence[str], folder: Path) -> None:
    """Hold the rows of an image against those of the same image with five levels."""
    four, levels = analysed(image, table, plugins, folder / "four")
    assert levels == 4
    five, levels = analysed(as_five(image, table, folder), table, plugins, folder / "five")
    assert levels == 5
    assert {name: one.outcome for name, one in five.items()} == {name: one.outcome for name, one in four.items()}
    for plugin in set(plugins) - LEVELS - BY_FEWER_BITS:
        assert rows(folder / "five", plugin) == rows(folder / "four", plugin), plugin
    for plugin in BY_FEWER_BITS & set(plugins):
        assert set(rows(folder / "five", plugin)) <= set(rows(folder / "four", plugin)), plugin


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "bullseye"])
def test_every_plugin_runs_with_stock_rows_and_five_levels_change_none(tmp_path: Path, suite: str) -> None:
    image, table = acquired(tmp_path, Recipe(suite=suite, seed=20261125))
    ended, _ = analysed(image, table, canonical(), tmp_path / "all")
    broken = {name: one.reason for name, one in ended.items() if one.outcome not in {Outcome.DONE, Outcome.EMPTY}}
    torn = {name for name, why in broken.items() if ended[name].outcome is Outcome.PARTIAL and TORN in why}
    assert set(broken) - torn <= STOCK_FAILS, broken
    compare(image, table, [name for name in COMPARED if name not in torn], tmp_path)  # the stock program ends at these
    check_five(image, table, canonical(), tmp_path)


def test_a_guest_that_runs_with_five_levels_has_the_rows_of_one_with_four(tmp_path: Path) -> None:
    told: dict[int, dict[str, Any]] = {}
    for levels, cpu in ((4, "max,la57=off"), (5, "max,la57=on")):
        place = tmp_path / str(levels)
        place.mkdir()
        image, table = acquired(place, Recipe(cpu=cpu, seed=20261125))
        ended, found = analysed(image, table, canonical(), place / "all")
        assert found == levels
        outcomes = {name: one.outcome for name, one in ended.items()}
        modules = {row[2] for row in rows(place / "all", "linux.lsmod.Lsmod")}
        names = {row[5] for row in rows(place / "all", "linux.pslist.PsList")}
        told[levels] = {
            "outcomes": outcomes,
            "modules": modules,
            "systemd": "systemd" in names,
            "sshd": "sshd" in names,
        }
    assert told[5] == told[4]
