"""Which kernel runs, and where in physical memory it stands: build id, and the places of its banner and VMCOREINFO.

The kernel's image is mapped at one distance: physical = virtual - START_KERNEL_MAP + phys_base. VMCOREINFO tells
phys_base (4.10 and later); where it cannot be read, /proc/iomem tells where the code begins.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from forensics.survey.kernel_state import START_KERNEL_MAP, symbol_addresses

_NOTE = struct.Struct("<III")  # size of name, size of description, type: elf(5)
_BUILD_ID = 3  # NT_GNU_BUILD_ID
_MOST_NOTES = 64


def build_id(notes: bytes, vmcoreinfo: bytes) -> str:
    """Give the kernel's build id in hex, from /sys/kernel/notes, else from VMCOREINFO (5.9 and later); "" unknown."""
    at = 0
    for _ in range(_MOST_NOTES):
        if at + _NOTE.size > len(notes):
            break
        named, described, kind = _NOTE.unpack_from(notes, at)
        name = at + _NOTE.size
        body = name + -(-named // 4) * 4
        at = body + -(-described // 4) * 4
        whole = body + described <= len(notes) and 8 <= described <= 64
        if kind == _BUILD_ID and notes[name : name + named] == b"GNU\0" and whole:
            return notes[body : body + described].hex()
    told = re.search(rb"\bBUILD-ID=([0-9a-f]{16,128})\n", vmcoreinfo)
    return told[1].decode() if told else ""


def places(kallsyms: bytes, vmcoreinfo: bytes, iomem: bytes, note: bytes) -> Mapping[str, int]:
    """Give physical addresses of `linux_banner` and of VMCOREINFO's note, as far as they are told.

    `note` is /sys/kernel/vmcoreinfo: address and size of the note.
    """
    found = {}
    symbols = symbol_addresses(kallsyms, ("linux_banner", "_text"))
    base = _base(vmcoreinfo, iomem, symbols.get("_text"))
    if base is not None and symbols.get("linux_banner", 0) >= START_KERNEL_MAP:
        found["linux_banner"] = symbols["linux_banner"] - START_KERNEL_MAP + base
    at = re.fullmatch(rb"0x([0-9a-f]{1,16}) [0-9a-f]{1,8}", note.strip())
    if at and int(at[1], 16):
        found["vmcoreinfo"] = int(at[1], 16)
    return {name: place for name, place in found.items() if 0 <= place < 1 << 52}


def _base(vmcoreinfo: bytes, iomem: bytes, text: int | None) -> int | None:
    told = re.search(rb"\bNUMBER\(phys_base\)=(-?\d{1,20})\n", vmcoreinfo)
    if told:
        return int(told[1]) - (1 << 64 if int(told[1]) >= 1 << 63 else 0)
    code = re.search(rb"^ *([0-9a-f]{8,16})-[0-9a-f]{8,16} : Kernel code$", iomem, re.MULTILINE)
    if code is None or text is None or not int(code[1], 16):
        return None
    return int(code[1], 16) - (text - START_KERNEL_MAP)
