"""The tiny kernel with regions of memory in its processes: page tables of their own, and lists of areas as before 6.1.

Every process has the same page tables: five pages at USER, of which the third is not in memory.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.volatility import tiny

USER = 0x400000
PAGES = {0: 0x210000, 1: 0x211000, 3: 0x300000, 4: 0x212000}
"""Where in physical memory each page is: not in the order of addresses, and one is absent."""
SIZE = 5 * 0x1000
MM, AREA, TABLES = 0x1A0000, 0x1A1000, 0x1B0000


def image(at: Path, content: Mapping[int, bytes], owners: int = 2) -> tuple[Path, Path]:
    """Write image and table; `content` is what stands at addresses of the first `owners` processes."""
    made, table = tiny.image(at / "i.lime"), tiny.table(at / "t.json")
    memory = bytearray(made.read_bytes())

    def put(place: int, form: str, *values: int) -> None:
        struct.pack_into(form, memory, 32 + place, *values)

    for level, below in ((TABLES, TABLES + 0x1000), (TABLES + 0x1000, TABLES + 0x2000)):
        put(level, "<Q", below | 0x7)
    put(TABLES + 0x2000 + 8 * (USER >> 21), "<Q", TABLES + 0x3000 | 0x7)
    put(TABLES + 511 * 8, "<Q", 0x2000 | tiny.PRESENT)
    for number, place in PAGES.items():
        put(TABLES + 0x3000 + 8 * (USER >> 12 & 511) + 8 * number, "<Q", place | 0x7)
    put(MM, "<QQ", tiny.BASE + AREA, tiny.BASE + TABLES)
    put(AREA, "<QQQQ", USER, USER + SIZE, 0, 0x7)
    for number in range(1, owners + 1):
        put(tiny.TASKS + 0x1000 * (number - 1) + 32, "<QQ", tiny.BASE + MM, tiny.BASE + MM)
    for address, raw in content.items():
        for offset, byte in enumerate(raw):
            number, inside = divmod(address - USER + offset, 0x1000)
            memory[32 + PAGES[number] + inside] = byte
    made.write_bytes(memory)
    told = json.loads(table.read_text())
    told["user_types"] |= _types()
    table.write_text(json.dumps(told))
    return made, table


def _types() -> dict[str, Any]:
    number: dict[str, Any] = {"kind": "base", "name": "long unsigned int"}
    area = {"kind": "pointer", "subtype": {"kind": "struct", "name": "vm_area_struct"}}
    entry = {"kind": "pointer", "subtype": {"kind": "base", "name": "long unsigned int"}}
    fields = {"vm_start": 0, "vm_end": 8, "vm_flags": 24, "vm_file": 32, "vm_pgoff": 40}
    return {
        "mm_struct": _struct(16, mmap=(0, area), pgd=(8, entry)),
        "vm_area_struct": _struct(48, vm_next=(16, area), **{name: (at, number) for name, at in fields.items()}),
    }


def _struct(size: int, **fields: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "struct", "size": size, "fields": {n: {"offset": at, "type": t} for n, (at, t) in fields.items()}}
