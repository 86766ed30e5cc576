"""The BTF reader and the definitions made from it: right on small blobs, an error on broken ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import SymbolsError
from forensics.isf.btf import read
from forensics.isf.definitions import Definitions
from tests.isf.blobs import CONST, PTR, SIGNED, TYPEDEF, UNION, Blob, small


def definitions(types: Definitions) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("{" + ",".join([*types.user_types(), *types.enums()]) + "}")
    return found


def made(blob: Blob) -> dict[str, Any]:
    return definitions(Definitions(read(blob.bytes())))


def test_a_struct_has_the_offsets_that_its_btf_says() -> None:
    pair = made(small())["pair"]
    assert pair["size"] == 8
    assert {name: field["offset"] for name, field in pair["fields"].items()} == {"first": 0, "second": 4}


def test_a_bit_field_lies_in_its_storage_unit() -> None:
    field = made(small())["task_struct"]["fields"]["one"]
    inner = {"kind": "base", "name": "int"}
    assert field == {"offset": 32, "type": {"kind": "bitfield", "bit_position": 0, "bit_length": 3, "type": inner}}


def test_a_bit_field_of_the_old_form_has_the_place_that_its_integer_says() -> None:
    blob = Blob()
    blob.struct("old", 4, ("bits", blob.integer("unsigned int", 4, bits=3, shift=5), 8))
    field = made(blob)["old"]["fields"]["bits"]
    assert field["offset"] * 8 + field["type"]["bit_position"] == 13
    assert field["type"]["bit_length"] == 3


def test_an_anonymous_union_is_marked_and_defined() -> None:
    types = made(small())
    field = types["task_struct"]["fields"]["unnamed_field_0"]
    assert field["anonymous"] is True
    assert set(types[field["type"]["name"]]["fields"]) == {"low", "all"}


def test_an_array_of_pointers_is_read_from_the_outside_in() -> None:
    pair = {"kind": "struct", "name": "pair"}
    listed = made(small())["task_struct"]["fields"]["list"]["type"]
    assert listed == {"kind": "array", "count": 3, "subtype": {"kind": "pointer", "subtype": pair}}


def test_enums_before_signs_were_written_have_signed_values() -> None:
    assert made(small())["colour"] == {"size": 4, "base": "int", "constants": {"RED": 0, "BLUE": -1}}


def test_a_wide_enum_has_all_64_bits() -> None:
    assert made(small())["far"]["constants"] == {"FAR": 1 << 32 | 1}


def test_a_typedef_names_its_struct_too() -> None:
    types = made(small())
    assert types["pair_t"] == types["pair"]


def test_two_definitions_of_one_name_are_both_kept_and_told() -> None:
    blob = Blob()
    number = blob.integer("int", 4, SIGNED)
    blob.struct("twice", 4, ("a", number, 0))
    other = blob.struct("twice", 8, ("b", number, 32))
    blob.struct("user", 8, ("it", other, 0))
    types = Definitions(read(blob.bytes()))
    found = definitions(types)
    assert found["twice"]["size"] == 4
    assert found[found["user"]["fields"]["it"]["type"]["name"]]["size"] == 8
    assert types.names.duplicates == ["twice"]


def test_padding_without_a_name_is_left_out_and_counted() -> None:
    blob = Blob()
    blob.struct("padded", 4, ("", blob.integer("int", 4, SIGNED), 4 << 24), flag=True)
    types = Definitions(read(blob.bytes()))
    assert definitions(types)["padded"]["fields"] == {}
    assert types.dropped == 1


def test_both_spellings_of_an_integer_are_there() -> None:
    base = json.loads("{" + Definitions(read(small().bytes())).base.text() + "}")
    assert base["unsigned long"] == base["long unsigned int"]
    assert base["pointer"]["size"] == 8


def test_types_of_two_modules_are_read_onto_one_kernel() -> None:
    kernel = small()
    types = Definitions(read(kernel.bytes()))
    base = types.btf
    list(types.user_types())
    for label in ("first", "second"):
        module = Blob(kernel)
        module.struct(label, 16, ("it", 3, 0), ("more", module.struct("", 8, ("x", 1, 0)), 64))
        types.extend(read(module.bytes(), base), label)
        found = definitions(types)
        assert set(found) == {label, f"unnamed_{label}_14"}
        assert found[label]["fields"]["it"]["type"]["name"] == "pair"
        assert found[label]["fields"]["more"]["type"]["name"] == f"unnamed_{label}_14"
        assert types.written(label) == f'{{"kind":"struct","name":"{label}"}}'


def test_a_blob_cut_at_any_byte_is_an_error() -> None:
    whole = small().bytes()
    for end in range(len(whole)):
        with pytest.raises(SymbolsError):
            read(whole[:end])


@pytest.mark.parametrize(
    ("blob", "says"),
    [
        (small().bytes(version=2), "version 2 is unknown"),
        (small().bytes(magic=0x9FEB), "big-endian"),
        (small().bytes(magic=0x457F), "this is no BTF"),
        (b"", "shorter than its header"),
    ],
)
def test_what_is_no_btf_is_said_with_what_to_do(blob: bytes, says: str) -> None:
    with pytest.raises(SymbolsError, match=says) as error:
        read(blob)
    assert error.value.remedy


def circle() -> Blob:
    blob = Blob()
    blob.type("a", TYPEDEF, 2)
    blob.type("b", TYPEDEF, 1)
    blob.struct("s", 8, ("x", 1, 0))
    return blob


def chain() -> Blob:
    blob = Blob()
    last = blob.integer("int", 4, SIGNED)
    for _ in range(3000):
        last = blob.type("", PTR, last)
    blob.struct("s", 8, *((f"m{number}", number, 0) for number in range(2, last)))
    return blob


def outside() -> Blob:
    blob = Blob()
    blob.struct("s", 4, ("x", blob.integer("int", 4, SIGNED), 4096))
    return blob


def dangling() -> Blob:
    blob = Blob()
    blob.struct("s", 4, ("x", blob.type("", CONST, 900), 0), kind=UNION)
    return blob


@pytest.mark.parametrize(
    "blob", [circle(), chain(), outside(), dangling()], ids=["circle", "chain", "outside", "dangling"]
)
def test_types_that_cannot_be_are_an_error(blob: Blob) -> None:
    with pytest.raises(SymbolsError):
        made(blob)


@given(st.data())
@settings(max_examples=400, deadline=2000)
def test_any_damage_gives_an_error_or_a_whole_table(data: st.DataObject) -> None:
    blob = bytearray(small().bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        types = Definitions(read(bytes(blob)))
        found = definitions(types)
        types.variables()
    except SymbolsError:
        return
    for name, one in found.items():
        for field in one.get("fields", {}).values():
            assert field["offset"] <= one["size"], name


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=2000)
def test_any_bytes_behind_a_good_header_give_an_error_or_a_table(records: bytes) -> None:
    blob = Blob()
    blob.types, blob.strings = records[: len(records) // 4 * 4], b"\0a\0b\0"
    try:
        definitions(Definitions(read(blob.bytes())))
    except SymbolsError:
        return
