"""Symbol tables as files: which kernel one is for, read without reading the table."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forensics.text import show

PACKED: Mapping[str, Any] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}
"""What opens a packed table, by suffix."""

_LARGEST = 1 << 30  # bytes of a table, unpacked
_ENTRY = 4096


class NoTable(ValueError):
    """A file is no symbol table of a Linux kernel, and why."""


def unfit(table: Path, wanted: bytes, *others: bytes) -> str:
    """Say why a file is no table for the kernel of this banner, or of one of the others; "" when it is one."""
    try:
        theirs = banner(table)
    except NoTable as problem:
        return f"{table.name} is no symbol table: {problem}"
    if theirs.rstrip(b"\0\n") in {one.rstrip(b"\0\n") for one in (wanted, *others)}:
        return ""
    return f"the table is for another kernel: {show(theirs.strip(), 200)}; this one is: {show(wanted.strip(), 200)}"


def packing(table: Path) -> str:
    """Give the suffix that says how a table is packed, "" when it is plain."""
    return table.suffix if table.suffix in PACKED else ""


def same(ours: Path, other: Path) -> bool:
    """Tell whether another table says what one that `isf` made says, whatever each was made of."""
    mine = _text(ours)
    try:
        return _text(other).startswith(mine[: mine.rfind(b'},"metadata":')])
    except NoTable:
        return False


def _text(table: Path) -> bytes:
    try:
        with PACKED.get(table.suffix, open)(table, "rb") as file:
            text: bytes = file.read(_LARGEST)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise NoTable(f"it cannot be read ({error})") from None
    return text


def banner(table: Path) -> bytes:
    """Read the banner that a table is for; NoTable when it has none, or cannot be unpacked."""
    text = _text(table)
    at = text.find(b'"linux_banner"')
    try:
        entry = text[max(at, 0) :][:_ENTRY].decode().partition(":")[2].lstrip()
        symbol, _ = json.JSONDecoder().raw_decode(entry)
        found = base64.b64decode(symbol["constant_data"], validate=True)
    except (ValueError, KeyError, TypeError):
        raise NoTable("the symbol table does not say which kernel it is for: it has no linux_banner") from None
    return found
