# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""How many levels the page tables of an image have, and whether both ways to find the kernel in it agree.

Volatility 2.28 walks four levels, whatever the kernel has, and then finds no process and says nothing. A kernel tells
the number itself: in its crash note, and in `__pgtable_l5_enabled` (arch/x86/kernel/head64.c, 4.17 and later).
Neither is believed against the tables: with the right number the idle task is found through them, with another not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from volatility3.framework import contexts, exceptions

from forensics.volatility.layers import levelled

KERNEL_MAP = 0xFFFF_FFFF_8000_0000  # __START_KERNEL_map of x86-64
_PAGE_TABLES = ("init_top_pgt", "init_level4_pgt")


@dataclass(frozen=True, slots=True)
class Paging:
    """The layer of the kernel's memory, how many levels it has, and who said so."""

    layer: Any
    levels: int
    told: Mapping[str, int]  # levels, by source
    disagreement: str  # how the two ways to find the kernel differ, "" where they do not


def settle(context: contexts.Context, layer: Any, table: Any, notes: Sequence[Mapping[str, Any]]) -> Paging:
    """Give the kernel's memory with as many levels as it has; the layer that Volatility made is in no context yet."""
    shift = _physical_shift(layer, table)
    told = _told(context, layer, table, notes, shift)
    likely = list(dict.fromkeys([*told.values(), 4, 5]))
    ways = {levels: levelled(context, layer, levels) for levels in likely}
    why = {levels: _disagreement(way, table, shift) for levels, way in ways.items()}
    right = next((levels for levels in likely if not why[levels]), likely[0])
    return Paging(ways[right], right, told, why[right])


def _told(
    context: contexts.Context, layer: Any, table: Any, notes: Sequence[Mapping[str, Any]], shift: int | None
) -> dict[str, int]:
    told = {}
    if notes and "NUMBER(pgtable_l5_enabled)" in notes[-1]:
        told["VMCOREINFO"] = 5 if notes[-1]["NUMBER(pgtable_l5_enabled)"] == 1 else 4
    if shift is not None and "__pgtable_l5_enabled" in table.symbols:
        place = table.get_symbol("__pgtable_l5_enabled").address - KERNEL_MAP + shift
        try:
            value = context.layers[layer.config["memory_layer"]].read(place, 4)
        except exceptions.InvalidAddressException:
            return told
        told["__pgtable_l5_enabled"] = 5 if int.from_bytes(value, "little") == 1 else 4
    return told


def _physical_shift(layer: Any, table: Any) -> int | None:
    """Give how far KASLR moved the kernel in physical memory: what the page tables' own address tells."""
    for name in _PAGE_TABLES:
        if name in table.symbols:
            return int(layer.config["page_map_offset"]) - int(table.get_symbol(name).address) + KERNEL_MAP
    return None


def _disagreement(layer: Any, table: Any, shift: int | None) -> str:
    """Look for the idle task where the page tables and the symbol table say it is, and ask it the same in turn.

    What Volatility's other way takes from it (its physical place, and where it says that its files are) has to be
    what was found by the first.
    """
    kind = table.get_type("task_struct")  # not resolved: where its members are is all that is asked
    linked, moved = table.get_symbol("init_task").address, int(layer.config["kernel_virtual_offset"])
    address = (linked + moved) & layer.address_mask
    try:
        place, _ = layer.translate(address)
        name = _member(layer, kind, address, "comm", 16)
        files = _member(layer, kind, address, "files", 8)
    except exceptions.InvalidAddressException as error:
        return f"the idle task is not where the page tables say ({error})"
    if not name.startswith(b"swapper"):
        return "the idle task is not where the page tables and the symbol table say"
    if shift is not None and place - shift != linked - KERNEL_MAP:
        return f"the idle task lies at {place:#x} of physical memory, and by its page tables' place at another"
    expected = table.get_symbol("init_files").address + moved
    if files and int.from_bytes(files, "little") != expected & 0xFFFF_FFFF_FFFF_FFFF:
        return "the idle task says that the kernel was moved by another offset than its page tables do"
    return ""


def _member(layer: Any, kind: Any, task: int, name: str, length: int) -> bytes:
    """Read a member of a task; empty where the symbol table has no such member."""
    if not kind.has_member(name):
        return b""
    return bytes(layer.read(task + kind.relative_child_offset(name), length))
