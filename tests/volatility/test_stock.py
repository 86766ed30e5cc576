"""What we run of Volatility with quicker parts gives the rows that Volatility gives without them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from forensics import tables
from forensics.volatility import process
from tests.volatility import tiny
from tests.volatility.conftest import Running

VOL = Path(sys.executable).with_name("vol")
COLUMNS = {"OFFSET (V)", "PID", "TID", "PPID", "COMM", "UID", "GID", "EUID", "EGID"}


@pytest.mark.parametrize("plugin", ["linux.pslist.PsList", "linux.pstree.PsTree"])
def test_our_rows_are_those_of_the_stock_program(running: Running, tmp_path: Path, plugin: str) -> None:
    image, folder = tiny.image(tmp_path / "image.lime"), tmp_path / "symbols"
    folder.mkdir()
    tiny.table(folder / "table.json", producer="dwarf2json")
    words = [str(VOL), "-q", "--offline", "-s", str(folder), "-f", str(image), "-r", "jsonl", plugin]
    ran = subprocess.run(words, env=process.environment(tmp_path), capture_output=True, text=True, check=True)
    theirs = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    running(plugin, image=image)
    ours = tables.read(tmp_path / "rows" / f"{plugin}.jsonl")
    named = [column.name for column in ours.columns if column.name in COLUMNS and column.name in theirs[0]]
    assert {"PID", "COMM"} <= set(named)
    flat = [one for row in theirs for one in (row, *_below(row))]
    assert [[row[name] for name in named] for row in ours] == [[row[name] for name in named] for row in flat]


def _below(row: dict[str, object]) -> list[dict[str, object]]:
    """The rows below one, where the program nests them."""
    children = row.get("__children") or []
    assert isinstance(children, list)
    return [one for child in children for one in (child, *_below(child))]
