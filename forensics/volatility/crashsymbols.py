# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""Where a kernel keeps its own list of symbols: kallsyms does not list itself, and the crash note tells it.

linux.kallsyms and linux.pscallstack read that list in memory, and need the addresses that a table made of DWARF has.
VMCOREINFO has all but one of them (kernel/kallsyms.c, 6.0 and later). The markers stand behind the names: there are as
many as the names have blocks of 256, and they are taken only when each of them is where a block begins.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from volatility3.framework import exceptions

_BLOCK = 256  # names
_MOST_NAMES, _MOST_BYTES = 1 << 21, 64 << 20
_NUMBER = "unsigned int"
"""The type of kallsyms_num_syms, which is asked for; of the others the address is."""


def tell(layer: Any, table: Any, notes: Sequence[Mapping[str, Any]]) -> None:
    """Add to the table what the kernel's crash note tells of its list of symbols; nothing when it does not hold."""
    content = table._delegate._json_object  # noqa: SLF001 (the way in that there is)
    symbols = content["symbols"]
    note = notes[-1] if notes else {}
    told = {name[7:-1]: at for name, at in note.items() if name.startswith("SYMBOL(kallsyms_") and isinstance(at, int)}
    if not told or "kallsyms_num_syms" in symbols or _NUMBER not in content["base_types"]:
        return
    try:
        markers = _markers(layer, told)
    except (exceptions.InvalidAddressException, KeyError, IndexError):
        return
    if markers is None:
        return
    moved = int(layer.config["kernel_virtual_offset"])
    for name, address in {**told, "kallsyms_markers": markers}.items():
        kind = {"kind": "base", "name": _NUMBER if name == "kallsyms_num_syms" else "void"}
        symbols.setdefault(name, {"type": kind, "address": address - moved})


def _markers(layer: Any, told: Mapping[str, int]) -> int | None:
    """Find the markers behind the names; None where they are not what the names make them."""
    names, end = told["kallsyms_names"], told["kallsyms_token_table"]
    (count,) = struct.unpack("<I", layer.read(told["kallsyms_num_syms"] & layer.address_mask, 4))
    if not 0 < count <= _MOST_NAMES or not 0 < end - names <= _MOST_BYTES:
        return None
    data = layer.read(names & layer.address_mask, end - names, pad=True)
    begins, at = [], 0
    for number in range(count):
        if number % _BLOCK == 0:
            begins.append(at)
        length = data[at]
        if length & 0x80:  # in two bytes, 6.1 and later (scripts/kallsyms.c)
            at += 1
            length = length & 0x7F | data[at] << 7
        at += 1 + length
    wanted = struct.pack(f"<{len(begins)}I", *begins)
    behind = -(-(names + at) // 8) * 8 - names
    return names + behind if data[behind : behind + len(wanted)] == wanted else None
