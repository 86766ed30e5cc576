"""The reader of /proc/kallsyms and System.map: link-time addresses by name, and the KASLR slide.

Volatility adds the slide it finds in an image to every address, so a table must have addresses as the linker gave them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from forensics.errors import SymbolsError
from forensics.isf.symbol_types import ROWS
from forensics.text import decode

KERNEL_MAP: Final = 0xFFFF_FFFF_8000_0000  # __START_KERNEL_map of x86-64
PHYSICAL_START: Final = 0x100_0000  # CONFIG_PHYSICAL_START, unless the kernel's config says otherwise
ALIGNMENT: Final = 0x20_0000  # CONFIG_PHYSICAL_ALIGN: KASLR moves the kernel by whole large pages
STUB: Final = 1000  # Debian's /boot/System.map has one line, that says where the real one is
NEEDED: Final = ("init_task", "init_files", "linux_banner")

_LINE = re.compile(r"^([0-9a-f]{8,16}) (\w) ([^\s\[]+)$", re.MULTILINE | re.ASCII)
_MODULE = re.compile(r"\t\[[^\s\]]+\]$", re.MULTILINE | re.ASCII)
_DATA = frozenset("bBdDrRvVgGsS")
_AS_ROOT = "read /proc/kallsyms as root (CAP_SYSLOG), with kernel.kptr_restrict not 2"


@dataclass(frozen=True, slots=True)
class Symbols:
    """Link-time addresses of a kernel, and what was met on the way."""

    addresses: dict[str, int]
    slide: int
    duplicates: dict[str, int]  # names that stand for more than one address, and how often they occur
    modules: int  # lines that belong to modules, not used
    unreadable: int  # lines that are no symbol


def read(text: bytes, kernel_offset: int | None = None, physical_start: int = PHYSICAL_START) -> Symbols:
    """Read symbols; SymbolsError when they are hidden, incomplete, or not an x86-64 kernel's.

    `kernel_offset` is KERNELOFFSET of the same boot's VMCOREINFO, when it is known; it must agree.
    """
    words = decode(text)
    lines = words.count("\n")
    modules = len(_MODULE.findall(words))
    found, count, several = _collect(words)
    _check(found, lines)
    slide = _slide(found["_text"], kernel_offset, physical_start)
    addresses = {name: value - slide if value >= KERNEL_MAP else value for name, value in found.items()}
    return Symbols(addresses, slide, several, modules, max(0, lines - modules - count))


def _collect(words: str) -> tuple[dict[str, int], int, dict[str, int]]:
    found: dict[str, int] = {}
    text: dict[str, bool] = {}
    several: Counter[str] = Counter()
    wanted = {name for row in ROWS for name in row.symbols.split()}
    count = 0
    for match in _LINE.finditer(words):
        digits, letter, name = match.groups()
        count += 1
        value = int(digits, 16)
        if found.setdefault(name, value) != value:
            several[name] += 1
            if name in wanted and text.get(name) and letter in _DATA:
                found[name] = value  # a variable, where a function of the same name came first
        if name in wanted:
            text.setdefault(name, letter not in _DATA)
    return found, count, {name: times + 1 for name, times in several.items()}


def _check(found: dict[str, int], lines: int) -> None:
    if lines < STUB:
        raise SymbolsError(
            f"This is not a kernel's list of symbols: it has {lines} lines.",
            where="kallsyms",
            why="Debian's /boot/System.map is a stub of one line; an interrupted copy is short as well",
            remedy=_AS_ROOT,
        )
    if not found:
        raise SymbolsError(
            "This is not a kernel's list of symbols: none of its lines is `address type name`.",
            where="kallsyms",
            remedy=_AS_ROOT,
        )
    if not any(found.values()):
        raise SymbolsError(
            "All addresses in kallsyms are zero.", where="kallsyms", why="the kernel hides them", remedy=_AS_ROOT
        )
    if "_text" not in found:
        raise SymbolsError("kallsyms has no _text.", where="kallsyms", why="it is cut, or hidden", remedy=_AS_ROOT)
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise SymbolsError(
            f"kallsyms has no {', '.join(missing)}.",
            where="kallsyms",
            why="the kernel was built without CONFIG_KALLSYMS_ALL and lists functions only, or the file is cut",
            remedy="give the System.map of exactly this kernel, or a table made by dwarf2json from its debug package",
        )


def _slide(text: int, kernel_offset: int | None, physical_start: int) -> int:
    if text < KERNEL_MAP:
        raise SymbolsError(
            f"_text is at {text:#x}, where no x86-64 kernel is.",
            where="kallsyms",
            why="the addresses are hidden, or of another architecture",
            remedy=_AS_ROOT,
        )
    slide = text - KERNEL_MAP - physical_start
    if slide < 0 or slide % ALIGNMENT:
        raise SymbolsError(
            f"_text is at {text:#x}, which is no place for a kernel linked at {KERNEL_MAP + physical_start:#x}.",
            where="kallsyms",
            why=f"KASLR moves a kernel by multiples of {ALIGNMENT:#x}",
            remedy="give CONFIG_PHYSICAL_START of this kernel, and check that the file is of this boot",
        )
    if kernel_offset is not None and kernel_offset != slide:
        raise SymbolsError(
            f"kallsyms was moved by {slide:#x}, and the kernel says {kernel_offset:#x}.",
            where="kallsyms",
            why="they are of different boots, or the kernel has another CONFIG_PHYSICAL_START",
            remedy="read both again in one boot",
        )
    return slide
