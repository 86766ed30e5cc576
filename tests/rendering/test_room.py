"""A report has room for what a reader reads; all else is counted, and kept beside it."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from forensics.model import Finding, Severity
from forensics.rendering.blocks import FindingList, Grid, GridColumn, Section, grid, told
from forensics.rendering.document import html
from forensics.rendering.room import ROWS, Room, fit, set_aside
from tests.rendering import synthetic

COLUMNS = (GridColumn("Name", 50), GridColumn("Value", 50))


def section(*grids: Grid) -> Section:
    return Section("one", "One", (), (Section("part", "Part", grids),))


def shown(section: Section) -> list[int]:
    return [block.shown for block in section.parts[0].blocks if isinstance(block, Grid)]


def rows(count: int, word: str = "x") -> list[tuple[str, str]]:
    return [(f"{word}{n}", "y") for n in range(count)]


def test_tables_share_the_room_and_small_ones_stay_whole() -> None:
    given = section(
        *(grid("big", COLUMNS, rows(50_000), limit=10_000) for _ in range(4)), grid("small", COLUMNS, rows(7))
    )
    (fitted,) = fit([given], Room())
    kept = shown(fitted)
    assert kept[-1] >= 7
    assert len(set(kept[:4])) == 1
    assert 1000 < sum(kept[:4]) <= ROWS


def test_tall_rows_take_the_room_of_several() -> None:
    tall = [("w" * 360, "y")] * 5000
    (fitted,) = fit([section(*(grid("tall", COLUMNS, tall, limit=1000) for _ in range(3)))], Room())
    assert sum(shown(fitted)) < 600


def test_no_table_shows_more_than_its_own_limit() -> None:
    (fitted,) = fit([section(grid("one", COLUMNS, rows(500), limit=20))], Room())
    assert shown(fitted) == [20]


def test_every_row_is_in_the_file_and_the_page_names_its_digest(tmp_path: Path) -> None:
    hostile = [("=cmd|'/C calc'!A0", "line\nbreak"), ("-1000", "-2+3"), *rows(300)]
    (made,), (path,) = set_aside([section(grid("Of a target", COLUMNS, hostile, limit=20))], tmp_path)
    block = made.parts[0].blocks[0]
    assert isinstance(block, Grid)
    assert block.sheet is not None
    assert block.sheet.digest.value == hashlib.sha256(path.read_bytes()).hexdigest()
    with path.open(encoding="utf-8", newline="") as file:
        written = list(csv.reader(file))
    assert len(written) == block.sheet.rows + 1 == 303
    assert written[1] == ["'=cmd|'/C calc'!A0", "line\\nbreak"]
    assert written[2] == ["-1000", "'-2+3"]


def test_a_table_that_is_shown_whole_has_no_file(tmp_path: Path) -> None:
    (made,), written = set_aside([section(grid("small", COLUMNS, rows(5)))], tmp_path)
    assert written == ()
    assert list(tmp_path.iterdir()) == []
    assert isinstance(made.parts[0].blocks[0], Grid)


def test_findings_beyond_those_that_are_told_are_kept_too(tmp_path: Path) -> None:
    one = Finding("rule", Severity.LOW, "t" * 4096, "s" * 4096, ("E0001",), "vol")
    listed = FindingList(tuple(told(one, {"E0001": "sha256:00"}) for _ in range(90)))
    (made,), (path,) = set_aside([Section("f", "F", (listed,))], tmp_path)
    block = made.blocks[0]
    assert isinstance(block, FindingList)
    assert len(block.findings[0].finding.title) < 260
    assert path.read_text(encoding="utf-8").count("E0001") == 90


def test_columns_without_end_are_cut_and_the_cut_is_counted() -> None:
    wide = grid("wide", [GridColumn(f"c{n}") for n in range(10_000)], [["v"] * 10_000])
    assert len(wide.columns) == len(wide.rows[0]) == 16
    assert "The first 16 of 10000 columns are shown." in wide.source


def test_a_table_of_the_case_with_rows_without_end_leaves_the_print_small() -> None:
    record = synthetic.record([f"process{n}" for n in range(3000)])
    screen, printed = html(record), html(record, printed=True)
    assert printed.count("<tr") < ROWS + 60
    assert screen.count("<tr") > 12_000
