"""Volatility's own value types and grids."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from volatility3.framework import contexts, interfaces, renderers
from volatility3.framework.layers import physical
from volatility3.framework.renderers import format_hints

from forensics import tables
from forensics.tables import Absent
from forensics.volatility.rows import RowWriter, cell, column_type

MOMENT = dt.datetime(2026, 11, 23, 21, 7, 0, 560447)  # noqa: DTZ001 (a time without a zone is the point)


class Private(interfaces.renderers.BaseAbsentValue):  # type: ignore[misc]  # Volatility has no types
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (format_hints.Hex(0xFFFF888000000000), 0xFFFF888000000000),
        (format_hints.Bin(5), 5),
        (True, True),
        (-1, -1),
        (1.5, 1.5),
        (float("nan"), Absent("not a finite number: nan")),
        (float("inf"), Absent("not a finite number: inf")),
        (b"\x00\xff", "00ff"),
        (format_hints.HexBytes(b"\x7fELF"), "7f454c46"),
        (format_hints.MultiTypeData(b"a\x00b\x00"), "ab"),
        (format_hints.MultiTypeData(b"caf\xe9", encoding="utf-8"), "caf\\xe9"),
        (renderers.Disassembly(b"\x90\xc3", 0, "intel64"), "90c3"),
        (MOMENT, "2026-11-23T21:07:00.560447Z"),
        (MOMENT.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))), "2026-11-23T19:07:00.560447Z"),
        ("\x1b[2J\u202e", "\x1b[2J\u202e"),
        ("lone \udcff", "lone \\udcff"),
        ("", ""),
        (renderers.UnreadableValue(), Absent("not readable in the image")),
        (renderers.UnparsableValue(), Absent("read, and not understood")),
        (renderers.NotApplicableValue(), Absent("does not apply")),
        (renderers.NotAvailableValue(), Absent("not available")),
        (Private(), Absent("Private")),
    ],
)
def test_a_value_becomes_what_it_means(value: Any, expected: object) -> None:
    told = cell(value)
    assert told == expected
    assert type(told) in {int, bool, float, str, Absent}


def test_layer_data_is_read_and_what_is_not_there_is_absent(tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(b"0123456789")
    context = contexts.Context()
    context.config["file.location"] = file.as_uri()
    context.add_layer(physical.FileLayer(context, "file", "file"))
    assert cell(renderers.LayerData(context, "file", 2, 3)) == b"234".hex()
    assert isinstance(cell(renderers.LayerData(context, "file", 8, 3)), Absent)
    context.layers["file"].destroy()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (format_hints.Hex, "hex"),
        (format_hints.Bin, "integer"),
        (int, "integer"),
        (bool, "yes/no"),
        (float, "number"),
        (str, "text"),
        (dt.datetime, "time"),
        (bytes, "data"),
        (format_hints.HexBytes, "data"),
        (format_hints.MultiTypeData, "text"),
        (renderers.Disassembly, "data"),
        (renderers.LayerData, "data"),
    ],
)
def test_a_column_says_how_its_values_are_to_be_shown(kind: type[Any], expected: str) -> None:
    assert column_type(kind) == expected


@given(st.text())
def test_any_text_survives_the_way_through_a_file(text: str) -> None:
    told = cell(text)
    assert isinstance(told, str)
    assert json.loads(json.dumps(told)) == told
    assert told.encode() == text.encode()


@given(st.text(st.characters(categories=("Cs", "L"))))
def test_text_with_lone_surrogates_is_still_text(text: str) -> None:
    told = cell(text)
    assert isinstance(told, str)
    assert told.encode().decode() == told


def test_a_tree_keeps_who_is_below_whom(tmp_path: Path) -> None:
    rows = iter([(0, (1, "a")), (1, (2, "b")), (2, (3, "c")), (1, (4, "d")), (0, (5, "e"))])
    grid = renderers.TreeGrid([("N", int), ("Word", str)], rows)
    with (tmp_path / "t.jsonl").open("w") as file:
        writer = RowWriter(file, "t", "A tree", grid, ["E0001"])
        writer.write()
    table = tables.read(tmp_path / "t.jsonl")
    assert [(row["TreeDepth"], row["N"]) for row in table] == [(0, 1), (1, 2), (2, 3), (1, 4), (0, 5)]
    assert (len(table), table.sources) == (5, ("E0001",))
