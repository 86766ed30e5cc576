"""ELF notes: the kernel's VMCOREINFO among them (Documentation/admin-guide/kdump/vmcoreinfo.rst)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

LARGEST = 16 << 20
"""Bytes of notes that are read; a core of thousands of processors has some hundred KiB."""

_NOTE = struct.Struct("<III")  # size of name, size of description, type


def notes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give name and description of each note, as far as they can be followed."""
    at = 0
    while at + _NOTE.size <= len(content):
        named, described, _kind = _NOTE.unpack_from(content, at)
        name_at = at + _NOTE.size
        text_at = name_at + (named + 3) // 4 * 4
        at = text_at + (described + 3) // 4 * 4
        if text_at + described > len(content):
            return
        yield content[name_at : name_at + named].rstrip(b"\0"), content[text_at : text_at + described]


def vmcoreinfo(content: bytes) -> bytes:
    """Give the text of VMCOREINFO; b"" when it is not among the notes."""
    return next((text for name, text in notes(content) if name == b"VMCOREINFO"), b"").rstrip(b"\0")
