"""Captured output in, tables out; and no bytes at all that a reader cannot stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.collectors import Collector, Output, Reading, collectors
from forensics.model import JSON
from forensics.tables import Absent, Table

CAPTURED = Path(__file__).parent / "captured"
CASES = sorted(path.parent for path in CAPTURED.glob("*/*/expected.json"))
NAMES = list(collectors())
FACTS: dict[str, dict[str, JSON]] = {"trace": {"status": 0, "cut": ""}}


def parts(case: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in case.iterdir() if path.name != "expected.json"}


def reading(case: Path) -> Reading:
    return collectors()[case.parent.name].read(Output(parts(case), FACTS))


def label(case: Path) -> str:
    return f"{case.parent.name}-{case.name}"


@pytest.mark.parametrize("case", CASES, ids=label)
def test_captured_output_gives_the_tables_it_holds(case: Path) -> None:
    tables = {table.name: table for table in reading(case).tables}
    for name, wanted in json.loads((case / "expected.json").read_text()).items():
        for row in wanted:
            assert any(row.items() <= found.items() for found in tables[name]), (name, row)
        if not wanted:
            assert not len(tables[name]), name


@pytest.mark.parametrize("case", CASES, ids=label)
def test_of_captured_output_every_line_is_read(case: Path) -> None:
    assert not any(reading(case).unread.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_collector_has_a_captured_case(name: str) -> None:
    assert any(case.parent.name == name for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_every_cell_is_of_its_columns_type(case: Path) -> None:
    for table in reading(case).tables:
        for row in table.rows:
            assert len(row) == len(table.columns)
        check_types(table)


def check_types(table: Table) -> None:
    kinds: dict[str, tuple[type, ...]] = {"integer": (int,), "bytes": (int,), "number": (int, float), "yes/no": (bool,)}
    for row in table.rows:
        for column, cell in zip(table.columns, row, strict=True):
            wanted = kinds.get(column.type, (str,) if column.type in {"text", "time"} else (int, float))
            if table.name == "block_io_totals" and column.name == "value":
                continue  # its unit says what it is
            assert isinstance(cell, (*wanted, Absent)), (table.name, column, cell)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_brought_is_an_empty_reading(name: str) -> None:
    read = collectors()[name].read(Output({}))
    assert [len(table) for table in read.tables if table.name != "block_io_totals"] == [0] * len(read.tables)
    assert not any(read.unread.values())


def stems() -> Iterator[tuple[str, str, bytes]]:
    for case in CASES:
        for name, content in parts(case).items():
            yield case.parent.name, name, content


STEMS = list(stems())


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(STEMS), st.data())
def test_no_damage_crashes_a_reader(stem: tuple[str, str, bytes], data: Any) -> None:
    name, part, content = stem
    content = content[:6000]
    at = data.draw(st.integers(0, len(content)))
    noise = data.draw(st.binary(max_size=60))
    width = data.draw(st.integers(0, 200))
    read_safely(collectors()[name], part, content[:at] + noise + content[at + width :])


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(STEMS), st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_bytes_crash_a_reader(stem: tuple[str, str, bytes], content: bytes) -> None:
    read_safely(collectors()[stem[0]], stem[1], content)


def read_safely(collector: Collector[Any], part: str, content: bytes) -> None:
    read = collector.read(Output({part: content}))
    for table in read.tables:
        check_types(table)
    assert all(count >= 0 for count in read.unread.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_collector_says_what_it_is(name: str) -> None:
    collector = collectors()[name]
    assert collector.title
    assert re.fullmatch(r"[a-z][a-z_]+", collector.name)
    assert not collector.program or collector.package, "a missing program names its package"
