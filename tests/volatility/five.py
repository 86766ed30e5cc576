"""Turns a real image with four levels of page tables into one with five, in which every address means what it did.

A canonical address of 48 bits is one of 57 as well: its top nine bits are all zero or all one. So a new top table whose
first and last entry both lead to the old one maps all that the old one mapped. Each old top table is copied to new
memory behind the last range, and the new one is written in its place: no pointer changes. Then the kernel's words are.
"""

from __future__ import annotations

import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

ENTRY = 0x67  # present, writable, for users, accessed, dirty
KERNEL_MAP = 0xFFFF_FFFF_8000_0000


def make(image: Path, table: Path, five: Path) -> int:
    """Write the image of five levels; gives how many top tables it has. To run where Volatility may be imported."""
    from forensics.volatility.image import KERNEL, open_image  # noqa: PLC0415
    from forensics.volatility.plugins import load  # noqa: PLC0415

    load()
    opened = open_image(image, table)
    kernel = opened.context.modules[KERNEL]
    layer = opened.context.layers[kernel.layer_name]
    tops = {int(layer.config["page_map_offset"])}
    for task in _tasks(opened.context):
        pgd = task.mm.pgd if task.mm else None
        if pgd:
            tops.add(layer.translate(int(pgd))[0])
    memory = bytearray(image.read_bytes())
    moved = _move(memory, opened.context.layers["memory"], sorted(tops))
    _tell(memory, opened.context, layer, table)
    five.write_bytes(memory + moved)
    return len(tops)


def _tasks(context: Any) -> Any:
    from volatility3.plugins.linux import pslist  # noqa: PLC0415

    return pslist.PsList.list_tasks(context, "kernel", include_threads=True)


def _move(memory: bytearray, physical: Any, tops: list[int]) -> bytes:
    start = (physical.maximum_address + (1 << 30)) & ~0xFFFFF
    pages = bytearray()
    for number, top in enumerate(tops):
        place = physical.place(top, 4096)
        assert place >= 0, f"top table {top:#x} is not in the image"
        pages += memory[place : place + 4096]
        entry = (start + number * 4096) | ENTRY
        memory[place : place + 4096] = struct.pack("<Q", entry) + bytes(510 * 8) + struct.pack("<Q", entry)
    return struct.pack("<IIQQ8x", 0x4C694D45, 1, start, start + len(pages) - 1) + bytes(pages)


def _tell(memory: bytearray, context: Any, layer: Any, table: Path) -> None:
    """Let the crash notes and the kernel's variable say five."""
    for match in list(re.finditer(rb"NUMBER\(pgtable_l5_enabled\)=0\n", memory)):
        memory[match.end() - 2 : match.end() - 1] = b"1"
    symbols = json.loads(table.read_text())["symbols"]
    linked = symbols["__pgtable_l5_enabled"]["address"] + int(layer.config["kernel_virtual_offset"])
    place = context.layers["memory"].place(layer.translate(linked & layer.address_mask)[0], 4)
    memory[place : place + 4] = struct.pack("<I", 1)


if __name__ == "__main__":
    print(make(*map(Path, sys.argv[1:4])))  # noqa: T201
