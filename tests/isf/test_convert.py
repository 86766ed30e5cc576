"""The table as a whole: its form, its notes, and that a failure leaves nothing behind."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from forensics import isf
from forensics.errors import SymbolsError, UsageError
from tests.isf.blobs import INT, SIGNED, VERSION, Blob, listing, small


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path, Path, Path]:
    paths = tuple(tmp_path / name for name in ("btf", "kallsyms", "version", "table.json"))
    paths[0].write_bytes(small().bytes())
    paths[1].write_text(listing())
    paths[2].write_bytes(VERSION)
    return paths[0], paths[1], paths[2], paths[3]


def table(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("ascii"))
    return found


def test_a_table_has_the_five_parts_and_our_name(inputs: tuple[Path, Path, Path, Path]) -> None:
    isf.make(*inputs)
    made = table(inputs[3])
    assert set(made) == {"metadata", "base_types", "user_types", "enums", "symbols"}
    assert made["metadata"]["producer"]["name"] == "forensics"
    assert made["metadata"]["format"] == "6.2.0"


def test_the_banner_is_the_bytes_of_proc_version_and_a_zero(inputs: tuple[Path, Path, Path, Path]) -> None:
    isf.make(*inputs)
    assert base64.b64decode(table(inputs[3])["symbols"]["linux_banner"]["constant_data"]) == VERSION + b"\0"


def test_rows_whose_type_is_absent_leave_the_symbol_void_and_are_listed(
    inputs: tuple[Path, Path, Path, Path],
) -> None:
    notes = isf.make(*inputs)
    symbols = table(inputs[3])["symbols"]
    assert symbols["init_task"]["type"] == {"kind": "struct", "name": "task_struct"}
    assert symbols["init_files"]["type"] == {"kind": "base", "name": "void"}
    assert notes.rows_without_type == ("init_files",)
    assert "init_task" in notes.rows_applied
    assert "modules" in notes.rows_without_symbol
    assert notes.undefined_types == ()


def test_the_clocks_nameless_struct_is_made_and_said(inputs: tuple[Path, Path, Path, Path]) -> None:
    blob = small()
    number = blob.integer("unsigned int", 4)
    blob.type("seqcount_raw_spinlock_t", 8, blob.struct("seqcount_raw_spinlock", 4, ("sequence", number, 0)))
    blob.struct("timekeeper", 280, ("xtime_sec", 2, 64))
    inputs[0].write_bytes(blob.bytes())
    inputs[1].write_text(listing(more="ffffffff93000000 b tk_core\n"))
    notes = isf.make(*inputs)
    made = table(inputs[3])
    clock = made["user_types"][made["symbols"]["tk_core"]["type"]["name"]]
    assert {name: field["offset"] for name, field in clock["fields"].items()} == {"seq": 0, "timekeeper": 8}
    assert notes.made_up == ("struct unnamed_tk_core, the type of tk_core",)


def test_a_variable_that_btf_tells_has_its_type(inputs: tuple[Path, Path, Path, Path]) -> None:
    inputs[1].write_text(listing(more="0000000000002000 A runqueues\n"))
    isf.make(*inputs)
    assert table(inputs[3])["symbols"]["runqueues"] == {
        "type": {"kind": "struct", "name": "pair"},
        "address": 0x2000,
    }


def test_a_modules_types_are_added(inputs: tuple[Path, Path, Path, Path], tmp_path: Path) -> None:
    module = Blob(small())
    module.struct("fb_info", 8, ("node", 1, 0))
    (tmp_path / "fb").write_bytes(module.bytes())
    inputs[1].write_text(listing(more="ffffffff93000000 B registered_fb\n"))
    notes = isf.make(*inputs, modules={"fb": tmp_path / "fb"})
    made = table(inputs[3])
    assert made["user_types"]["fb_info"]["size"] == 8
    assert made["symbols"]["registered_fb"]["type"]["subtype"]["subtype"]["name"] == "fb_info"
    assert set(notes.inputs) == {"proc-version", "kallsyms", "vmlinux.btf", "fb.btf"}


@pytest.mark.parametrize("text", [b"", b"Linux version 6.1\n", VERSION[:-1], VERSION + b"more\n", b"Darwin " + VERSION])
def test_what_is_not_proc_version_is_an_error(inputs: tuple[Path, Path, Path, Path], text: bytes) -> None:
    inputs[2].write_bytes(text)
    with pytest.raises(SymbolsError, match="not /proc/version"):
        isf.make(*inputs)


def test_a_failure_in_the_middle_leaves_no_table(inputs: tuple[Path, Path, Path, Path]) -> None:
    blob = small()
    blob.struct("broken", 4, ("x", 999, 0))
    inputs[0].write_bytes(blob.bytes())
    with pytest.raises(SymbolsError, match="there is no type 999"):
        isf.make(*inputs)
    assert not inputs[3].exists()


def test_a_table_that_exists_is_kept(inputs: tuple[Path, Path, Path, Path]) -> None:
    inputs[3].write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        isf.make(*inputs)
    assert inputs[3].read_text() == "mine"


def test_a_32_bit_kernel_is_refused(inputs: tuple[Path, Path, Path, Path]) -> None:
    blob = Blob()
    blob.type("long int", INT, 4, SIGNED << 24 | 32)
    inputs[0].write_bytes(blob.bytes())
    with pytest.raises(SymbolsError, match="not of an x86-64 kernel"):
        isf.make(*inputs)
