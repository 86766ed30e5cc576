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


STRANGE = b"%% a line of nothing %%"
OF_A_TRACE = "it explains the trace: its clock, names of processes and of calls, counts"
BESIDE = {
    **dict.fromkeys(
        (f"block_io-bookworm-ftrace-{part}" for part in ("stats", "calls", "processes", "names", "clock")), OF_A_TRACE
    ),
    "clock-bookworm-zone": "one line of the target's words",
    "iostat-bookworm-iostat": "one JSON document: what is around its samples is none of them",
    "lynis-bookworm-screen": "for people; the report is read",
    "lynis-container-log": "for people; the report is read",
    "pidstat-bookworm-pidstat": "a command's words may go on in lines of their own",
    "processes-bookworm-present": "only whether it is there at all counts",
    "sockets-bookworm-proc-net": "read where there is no ss",
    "users-bookworm-who": "read where there is no utmp",
}
"""Why lines of these parts may not be counted."""
COUNTED = [
    pytest.param(case, part, id=f"{label(case)}-{part}")
    for case in CASES
    for part in parts(case)
    if not part.endswith(".stderr") and f"{label(case)}-{part}" not in BESIDE
]


@pytest.mark.parametrize(("case", "part"), COUNTED)
@pytest.mark.parametrize("where", ["first", "last"])
def test_a_line_that_a_reader_cannot_make_out_is_counted(case: Path, part: str, where: str) -> None:
    whole = parts(case)
    end = whole[part][-1:] or b"\n"
    damaged = STRANGE + end + whole[part] if where == "first" else whole[part] + STRANGE + end
    read = collectors()[case.parent.name].read(Output({**whole, part: damaged}, FACTS))
    assert sum(read.unread.values()) > 0


def test_a_sample_of_disks_that_is_damaged_is_counted_and_no_other_is_lost() -> None:
    """Also where it is the first, which is the average since boot and is not told."""
    whole = (CAPTURED / "iostat/bookworm/iostat").read_bytes()
    good = collectors()["iostat"].read(Output({"iostat": whole})).tables[0]
    disks = len({row["device"] for row in good})
    pieces = whole.split(b'"timestamp":')
    for number, short in enumerate([0, disks, disks], start=1):
        for damage in (b"", b"}", b'{"'):
            damaged = b'"timestamp":'.join([*pieces[:number], damage + pieces[number][30:], *pieces[number + 1 :]])
            read = collectors()["iostat"].read(Output({"iostat": damaged}))
            assert (len(good) - len(read.tables[0]), read.unread["iostat"]) == (short, 1)
        unopened = b'"timestamp":'.join([*pieces[: number - 1], pieces[number - 1].rstrip()[:-1], *pieces[number:]])
        read = collectors()["iostat"].read(Output({"iostat": unopened}))
        assert (len(good) - len(read.tables[0]), read.unread["iostat"]) == (short, 1)


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
