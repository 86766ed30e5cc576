"""A writer of small BTFs."""

from __future__ import annotations

import struct

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, CONST, FUNC_PROTO, VAR, ENUM64 = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    13,
    14,
    19,
)
SIGNED, BOOL = 1, 4


class Blob:
    """Collects types and strings; a split one goes on from the counts of another."""

    def __init__(self, base: Blob | None = None) -> None:
        self.types = b""
        self.strings = b"" if base else b"\0"
        self.count: int = base.count if base else 0
        self.shift: int = base.shift + len(base.strings) if base else 0

    def string(self, text: str) -> int:
        if not text:
            return 0
        place = self.shift + len(self.strings)
        self.strings += text.encode() + b"\0"
        return place

    def type(self, name: str, kind: int, size: int, *words: int, vlen: int = 0, flag: bool = False) -> int:
        info = vlen | kind << 24 | flag << 31
        self.types += struct.pack(f"<{3 + len(words)}I", self.string(name), info, size, *words)
        self.count += 1
        return self.count

    def integer(self, name: str, size: int, encoding: int = 0, bits: int = 0, shift: int = 0) -> int:
        return self.type(name, INT, size, encoding << 24 | shift << 16 | (bits or size * 8))

    def struct(
        self, name: str, size: int, *members: tuple[str, int, int], kind: int = STRUCT, flag: bool = False
    ) -> int:
        words = [word for label, of, bit in members for word in (self.string(label), of, bit)]
        return self.type(name, kind, size, *words, vlen=len(members), flag=flag)

    def enum(self, name: str, **values: int) -> int:
        words = [word for label, value in values.items() for word in (self.string(label), value & 0xFFFFFFFF)]
        return self.type(name, ENUM, 4, *words, vlen=len(values))

    def bytes(self, version: int = 1, magic: int = 0xEB9F) -> bytes:
        head = struct.pack("<HBBIIIII", magic, version, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return head + self.types + self.strings


def small() -> Blob:
    """Every kind of record that a table uses."""
    blob = Blob()
    number = blob.integer("int", 4, SIGNED)
    wide = blob.integer("long unsigned int", 8)
    pair = blob.struct("pair", 8, ("first", number, 0), ("second", number, 32))
    pointer = blob.type("", PTR, pair)
    array = blob.type("", ARRAY, 0, pointer, number, 3)
    union = blob.struct("", 8, ("low", number, 0), ("all", wide, 0), kind=UNION)
    blob.struct("task_struct", 56, ("", union, 0), ("list", array, 64), ("one", number, 256 | 3 << 24), flag=True)
    blob.type("pair_t", TYPEDEF, pair)
    blob.enum("colour", RED=0, BLUE=-1)
    blob.type("far", ENUM64, 8, blob.string("FAR"), 1, 1, vlen=1)
    blob.type("", FUNC_PROTO, number, 0, number, vlen=1)
    blob.type("runqueues", VAR, pair, 1)
    blob.type("elsewhere", FWD, 0)
    return blob


def listing(slide: int = 0x1120_0000, more: str = "", lines: int = 1200) -> str:
    """A kallsyms of `lines` functions and the variables that a table needs."""
    text = 0xFFFF_FFFF_8100_0000 + slide
    needed = ("init_task", "init_files", "linux_banner")
    named = [f"{text + 0x100_0000 + 0x1000 * place:016x} D {name}" for place, name in enumerate(needed)]
    return "\n".join(
        [f"{text:016x} T _text", *named, *(f"{text + 16 * n:016x} t function_{n}" for n in range(1, lines)), more]
    )


VERSION = b"Linux version 6.1.0-test (someone@somewhere) (gcc 12) #1 SMP\n"
