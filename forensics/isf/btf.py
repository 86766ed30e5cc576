"""The reader of BTF, the types that a kernel carries in /sys/kernel/btf.

Layout after Documentation/bpf/btf.rst and include/uapi/linux/btf.h: a header, records of 32-bit words, strings.
What it reads came from a target: every number is checked before it is used, and what does not fit is an error.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from typing import Final

from forensics.errors import SymbolsError
from forensics.text import decode

INT: Final = 1
PTR: Final = 2
ARRAY: Final = 3
STRUCT: Final = 4
UNION: Final = 5
ENUM: Final = 6
FWD: Final = 7
TYPEDEF: Final = 8
VOLATILE: Final = 9
CONST: Final = 10
RESTRICT: Final = 11
FUNC_PROTO: Final = 13
VAR: Final = 14
FLOAT: Final = 16
TYPE_TAG: Final = 18
ENUM64: Final = 19

KIND_FLAG: Final = 0x8000_0000
VLEN: Final = 0xFFFF
NAME_LIMIT: Final = 1024  # the kernel's own is KSYM_NAME_LEN, 512
SIZE_LIMIT: Final = 256 << 20

# Words of a record: three, and so many more, and so many for each of its members, by kind.
_MORE = [0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0]
_EACH = [0, 0, 0, 0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3]

_HEADER = struct.Struct("<HBBIIIII")
_MAGIC = 0xEB9F
_READ_AGAIN = "read /sys/kernel/btf/vmlinux again as raw bytes, and compare its size with the target's"


@dataclass(frozen=True, slots=True)
class Btf:
    """All types by number; number 0 is void. A split BTF is read onto the one that it continues."""

    words: array[int]
    places: array[int]  # where in `words` the record of each number begins
    kinds: bytes
    strings: bytes

    def __len__(self) -> int:
        return len(self.places)

    def name(self, offset: int) -> str:
        """Give the string at an offset; SymbolsError when there is none."""
        end = self.strings.find(b"\0", offset, offset + NAME_LIMIT)
        if end < 0:
            raise broken(f"no name ends within {NAME_LIMIT} bytes of string offset {offset}")
        return decode(self.strings[offset:end])


def broken(why: str) -> SymbolsError:
    """Make the error for a BTF whose content contradicts itself."""
    return SymbolsError("The BTF cannot be read.", where="BTF", why=why, remedy=_READ_AGAIN)


def read(blob: bytes, base: Btf | None = None) -> Btf:
    """Read a vmlinux BTF, or with `base` a module's split BTF onto it; SymbolsError when it is none, or cut."""
    words, strings = _sections(blob)
    if base is None:
        if strings[:1] != b"\0":
            raise broken("its strings do not begin with the empty one")
        base = Btf(array("I"), array("I", [0]), b"\0", b"")
    places, kinds = _walk(words, len(base.words))
    return Btf(base.words + words, base.places + places, base.kinds + kinds, base.strings + strings)


def _sections(blob: bytes) -> tuple[array[int], bytes]:
    if len(blob) < _HEADER.size:
        raise broken(f"{len(blob)} bytes are shorter than its header")
    if len(blob) > SIZE_LIMIT:
        raise broken(f"{len(blob)} bytes are more than any kernel has")
    magic, version, _flags, header, type_at, type_size, string_at, string_size = _HEADER.unpack_from(blob)
    _check_header(magic, version, header)
    if header + max(type_at + type_size, string_at + string_size) > len(blob):
        raise broken(f"it is cut: {len(blob)} bytes, and its header promises more")
    if type_at % 4 or type_size % 4:
        raise broken("its types do not lie on words")
    words = array("I")
    words.frombytes(memoryview(blob)[header + type_at : header + type_at + type_size])
    if sys.byteorder == "big":
        words.byteswap()
    strings = blob[header + string_at : header + string_at + string_size]
    if strings and strings[-1]:
        raise broken("its strings do not end")
    return words, strings


def _check_header(magic: int, version: int, header: int) -> None:
    if magic == 0x9FEB:
        raise SymbolsError(
            "The BTF is of a big-endian machine.", where="BTF", remedy="only x86-64 kernels can be analysed"
        )
    if magic != _MAGIC:
        raise broken(f"it begins with {magic:#06x}, not with {_MAGIC:#06x}: this is no BTF")
    if version != 1:
        raise SymbolsError(
            f"BTF version {version} is unknown.",
            where="BTF",
            why="only version 1 is defined as far as this program knows",
            remedy="use a newer version of this program, or a table made by dwarf2json from the kernel's debug package",
        )
    if header < _HEADER.size:
        raise broken(f"its header says that it is {header} bytes long")


def _walk(words: array[int], shift: int) -> tuple[array[int], bytes]:
    places, kinds, place, end = array("I"), bytearray(), 0, len(words)
    while place < end:
        if place + 3 > end:
            raise broken("its last type is cut")
        info = words[place + 1]
        kind = info >> 24 & 0x1F
        if not 0 < kind < len(_MORE):
            raise broken(
                f"type {len(kinds) + 1} has the unknown kind {kind}: it is damaged, or newer than this program"
            )
        places.append(place + shift)
        kinds.append(kind)
        place += 3 + _MORE[kind] + _EACH[kind] * (info & VLEN)
    if place != end:
        raise broken("its last type is cut")
    return places, bytes(kinds)
