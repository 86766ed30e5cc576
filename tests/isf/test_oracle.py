"""Our table of a real kernel against what dwarf2json 0.9.0 made of the same kernel's debug package."""

from __future__ import annotations

import json
import lzma
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from forensics import isf

DATA = Path(__file__).parent / "data"
WIDE = 1 << 64

TWO_DEFINITIONS = {"elf_thread_core_info", "irq_info", "netlbl_domhsh_walk_arg", "perf_aux_event", "syscall_tp_t"}
"""Two source files have each a private struct of this name; we keep the first, dwarf2json the last."""


def unpacked(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(unpacked("dwarf-types.json"))
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], isf.Notes]:
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "btf").write_bytes(unpacked("vmlinux.btf"))
    (folder / "kallsyms").write_bytes(unpacked("kallsyms"))
    notes = isf.make(folder / "btf", folder / "kallsyms", DATA / "proc-version", folder / "table.json")
    return json.loads((folder / "table.json").read_text("ascii")), notes


def our_bits(fields: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    bits: dict[str, tuple[int, ...]] = {}
    for name, field in fields.items():
        of = field["type"]
        if of["kind"] == "bitfield":
            bits[name] = (field["offset"] * 8 + of["bit_position"], of["bit_length"])
        elif not field.get("anonymous"):
            bits[name] = (field["offset"] * 8,)
    return bits


def their_bits(members: dict[str, list[int]]) -> dict[str, tuple[int, ...]]:
    return {name: (of[0] * 8 + sum(of[1:2]), *of[2:]) for name, of in members.items()}


def test_every_type_has_the_same_size_and_the_same_member_bits(
    made: tuple[dict[str, Any], isf.Notes], theirs: dict[str, Any]
) -> None:
    ours, notes = made[0]["user_types"], made[1]
    assert not set(theirs["user_types"]) - set(ours)
    other = {
        name
        for name, one in theirs["user_types"].items()
        if (ours[name]["kind"], ours[name]["size"], our_bits(ours[name]["fields"]))
        != (one["kind"], one["size"], their_bits(one["members"]))
    }
    assert other == TWO_DEFINITIONS
    assert set(notes.duplicate_types) >= TWO_DEFINITIONS


def test_every_enum_has_the_same_size_and_values(
    made: tuple[dict[str, Any], isf.Notes], theirs: dict[str, Any]
) -> None:
    ours = made[0]["enums"]
    both = set(ours) & set(theirs["enums"])
    assert len(both) >= 1100
    for name in both:
        one = theirs["enums"][name]
        assert ours[name]["size"] == one["size"], name
        modulo = ({key: value % WIDE for key, value in side["constants"].items()} for side in (ours[name], one))
        assert next(modulo) == next(modulo), name


def test_every_symbol_of_one_place_has_the_same_link_address(
    made: tuple[dict[str, Any], isf.Notes], theirs: dict[str, Any]
) -> None:
    table, notes = made
    places: dict[str, set[int]] = defaultdict(set)
    for line in unpacked("kallsyms").decode("ascii").splitlines():
        if "[" not in line:
            address, _, name = line.split()
            places[name].add(int(address, 16) - notes.slide)
    other = {
        name
        for name, address in theirs["addresses"].items()
        if name in table["symbols"] and table["symbols"][name]["address"] != address
    }
    assert len(set(theirs["addresses"]) & set(table["symbols"])) > 80_000
    assert other <= set(notes.duplicate_symbols)
    assert all(theirs["addresses"][name] in places[name] for name in other)


def test_every_variable_that_plugins_use_has_the_same_type(
    made: tuple[dict[str, Any], isf.Notes], theirs: dict[str, Any]
) -> None:
    table, notes = made
    symbols = table["symbols"]
    for name, one in theirs["typed_symbols"].items():
        if name != "tk_core":  # has no name in either
            assert symbols[name]["type"] == one["type"], name
    assert notes.rows_without_type == ()
    assert {"seq", "timekeeper"} == set(table["user_types"][symbols["tk_core"]["type"]["name"]]["fields"])


def test_every_member_without_a_name_has_a_definition(made: tuple[dict[str, Any], isf.Notes]) -> None:
    types = made[0]["user_types"]
    for one in types.values():
        for field in one["fields"].values():
            assert not field.get("anonymous") or field["type"]["name"] in types


def test_volatility_reads_the_table(made: tuple[dict[str, Any], isf.Notes], tmp_path: Path) -> None:
    import volatility3.plugins  # noqa: PLC0415
    from volatility3.framework import contexts, import_files  # noqa: PLC0415
    from volatility3.framework.symbols import linux  # noqa: PLC0415

    import_files(volatility3.plugins, ignore_errors=True)
    path = tmp_path / "table.json"
    path.write_text(json.dumps(made[0]))
    context = contexts.Context()
    table = linux.LinuxKernelIntermedSymbols(context, "config", "kernel", path.as_uri())
    context.symbol_space.append(table)
    task = context.symbol_space.get_type("kernel!task_struct")
    assert task.size == made[0]["user_types"]["task_struct"]["size"]
    assert task.has_member("comm")
    assert context.symbol_space.get_symbol("kernel!init_task").type_name == "kernel!task_struct"
