"""Type definitions of an ISF, written as JSON text straight from BTF: no tree of the 100,000 types is ever built.

Schema: `schemas/schema-6.2.0.json` of Volatility 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from json.encoder import encode_basestring_ascii as quote
from typing import Final

from forensics.isf import symbol_types
from forensics.isf.basetypes import BaseTypes
from forensics.isf.btf import (
    ARRAY,
    CONST,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    KIND_FLAG,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VAR,
    VLEN,
    VOLATILE,
    Btf,
    broken,
)
from forensics.isf.naming import Names

VOID: Final = '{"kind":"base","name":"void"}'
DEPTH: Final = 60  # pointers, arrays and typedefs one within another; a kernel has less than 12
LENGTH: Final = 10_000  # characters of a reference to a type: what is longer is made to exhaust the reader
_WORDS: Final = {STRUCT: "struct", UNION: "union", ENUM: "enum", ENUM64: "enum"}
TRANSPARENT: Final = (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG)


class Definitions:
    """The types of a kernel, and of modules that are added, as ISF text."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.names = Names()
        self.base = BaseTypes(btf)
        self.undefined: set[str] = set()
        self.dropped = 0  # members without a name that are neither struct nor union: padding
        self._first, self._kernel = 1, len(btf)
        self._defined = self.names.add(btf, 1)
        self._texts: list[str] = [VOID] + [""] * (len(btf) - 1)
        self._quoted: dict[int, str] = {}
        self._signs = any(  # pahole before 1.24 wrote no signs, and every value as a signed number
            kind == ENUM and btf.words[place + 1] & KIND_FLAG for kind, place in zip(btf.kinds, btf.places, strict=True)
        )

    def extend(self, btf: Btf, label: str) -> None:
        """Go on with a module's split BTF, read onto this one; only its own types are defined from now on."""
        self.btf = btf
        self._first = self._kernel
        self._defined = self.names.add(btf, self._first, f"{label}_")
        del self._texts[self._first :]
        self._texts += [""] * (len(btf) - self._first)
        self._quoted = {}
        self.base = BaseTypes(btf)

    def user_types(self) -> Iterator[str]:
        """Write every struct and union as `"name":{…}`."""
        for name, number in self._defined:
            kind = self.btf.kinds[number]
            if kind in (STRUCT, UNION):
                yield f'{quote(name)}:{{"kind":"{_WORDS[kind]}",{self._aggregate(number)}}}'

    def enums(self) -> Iterator[str]:
        """Write every enum as `"name":{…}`."""
        for name, number in self._defined:
            if self.btf.kinds[number] in (ENUM, ENUM64):
                yield f"{quote(name)}:{self._enum(number)}"

    def variables(self) -> dict[str, str]:
        """Give the types of the variables that the BTF tells (per-CPU ones), by name."""
        btf, found = self.btf, {}
        for number, kind in enumerate(btf.kinds[self._first :], self._first):
            if kind == VAR:
                place = btf.places[number]
                found[btf.name(btf.words[place])] = self.describe(btf.words[place + 2])
        return found

    def written(self, row: str) -> str | None:
        """Write a type of the table of symbol types; None when the kernel has no such type."""
        name, parts = symbol_types.parse(row)
        text = self._named(name)
        for part in parts if text else ():
            text = _pointer(text) if part is None else _array(text, part)
        return text or None

    def size(self, name: str) -> int | None:
        """Give the size in bytes of a struct, union or typedef of one by its name in the table."""
        kind_and_size = self.names.claimed.get(name)
        return kind_and_size[1] if kind_and_size else None

    def describe(self, number: int, depth: int = 0) -> str:
        """Write a reference to a type; SymbolsError when the BTF contradicts itself."""
        if number >= len(self._texts):
            raise broken(f"there is no type {number}")
        text = self._texts[number]
        if not text:
            if depth > DEPTH:
                raise broken(f"type {number} is part of itself, or nested too deep")
            text = self._describe(number, depth + 1)
            if len(text) > LENGTH:
                raise broken(f"type {number} is nested too deep")
            self._texts[number] = text
        return text

    def _describe(self, number: int, depth: int) -> str:
        kind, place = self.btf.kinds[number], self.btf.places[number]
        target = self.btf.words[place + 2]
        if kind == PTR:
            return _pointer(self.describe(target, depth))
        if kind in (STRUCT, UNION):
            return _tag(_WORDS[kind], self.names.of[number])
        if kind == TYPEDEF and number in self.names.of:
            return _tag(_WORDS[self.btf.kinds[target]], self.names.of[number])
        if kind in TRANSPARENT:
            return self.describe(target, depth)
        if kind == ARRAY:
            return _array(self.describe(self.btf.words[place + 3], depth), self.btf.words[place + 5])
        if kind in (INT, FLOAT):
            return _base(self.base.name(number))
        if kind in (ENUM, ENUM64):
            return self._enum_reference(self.names.of[number])
        if kind == FUNC_PROTO:
            return '{"kind":"function"}'
        if kind == FWD:
            return self._forward(place)
        raise broken(f"type {number} of kind {kind} stands where the type of a value must")

    def _enum_reference(self, name: str) -> str:
        if name in self.names.claimed:
            return _tag("enum", name)
        self.undefined.add(name)
        return _base("unsigned int")

    def _forward(self, place: int) -> str:
        name = self.btf.name(self.btf.words[place])
        if name not in self.names.tags:
            self.undefined.add(name)
            if name in self.names.claimed:  # a typedef or enum of that name is another type
                return VOID
        return _tag("union" if self.btf.words[place + 1] & KIND_FLAG else "struct", name)

    def _named(self, name: str) -> str:
        if name == "()":
            return '{"kind":"function"}'
        if name in self.base.names:
            return _base(name)
        kind_and_size = self.names.claimed.get(name)
        return _tag(_WORDS[kind_and_size[0]], name) if kind_and_size else ""

    def _aggregate(self, number: int) -> str:
        btf, texts, words = self.btf, self._texts, self.btf.words
        place = btf.places[number]
        info, size = words[place + 1], words[place + 2]
        flag, odd, quoted, fields, unnamed = info & KIND_FLAG, self.base.odd, self._quoted, [], 0
        for at in range(place + 3, place + 3 + 3 * (info & VLEN), 3):
            name, of, bit, bits = words[at], words[at + 1], words[at + 2], 0
            text = (texts[of] if of < len(texts) else "") or self.describe(of)
            if flag:
                bits, bit = bit >> 24, bit & 0xFFFFFF
            elif odd:
                bit, bits = self._legacy(of, bit)
            if bit > size * 8 or (bit & 7 and not bits):
                raise broken(f"a member of type {number} is not where its size or its type allow")
            if not name:
                if not self._flattens(of):
                    self.dropped += 1
                    continue
                fields.append(f'"unnamed_field_{unnamed:x}":{{"type":{text},"offset":{bit >> 3},"anonymous":true}}')
                unnamed += 1
                continue
            label = quoted.get(name) or self._quote(name)
            if bits:
                fields.append(f"{label}:{self._bitfield(of, text, bit, bits, size)}")
            else:
                fields.append(f'{label}:{{"type":{text},"offset":{bit >> 3}}}')
        return f'"size":{size},"fields":{{{",".join(fields)}}}'

    def _quote(self, offset: int) -> str:
        text = self._quoted[offset] = quote(self.btf.name(offset))
        return text

    def _flattens(self, number: int) -> bool:
        return self.btf.kinds[self._bare(number)] in (STRUCT, UNION)

    def _bare(self, number: int) -> int:
        for _ in range(DEPTH):
            if self.btf.kinds[number] not in TRANSPARENT:
                break
            number = self.btf.words[self.btf.places[number] + 2]
        return number

    def _legacy(self, number: int, bit: int) -> tuple[int, int]:
        """Give bit offset and length of a member in the form before kind_flag, where the integer has them."""
        shift, bits = self.base.odd.get(self._bare(number), (0, 0))
        return bit + shift, bits

    def _bitfield(self, number: int, text: str, bit: int, bits: int, whole: int) -> str:
        """Place a bit field in its storage unit, so that it is never read beyond its struct; else at its first byte."""
        bare = self._bare(number)
        kind, unit = self.btf.kinds[bare], self.btf.words[self.btf.places[bare] + 2]
        if kind not in (INT, ENUM, ENUM64) or not 0 < bits <= unit * 8:
            raise broken(f"a bit field has the type {number}, which cannot hold it")
        start = bit // (unit * 8) * unit
        if bit + bits > (start + unit) * 8 or start + unit > whole:
            start = bit // 8
        head = f'{{"kind":"bitfield","bit_position":{bit - start * 8},"bit_length":{bits},"type":{text}}}'
        return f'{{"type":{head},"offset":{start}}}'

    def _enum(self, number: int) -> str:
        btf, words = self.btf, self.btf.words
        place, wide = btf.places[number], btf.kinds[number] == ENUM64
        info, size = words[place + 1], words[place + 2]
        signed = bool(info & KIND_FLAG) or (not wide and not self._signs)
        bits, step, values, negative = (64, 3, [], False) if wide else (32, 2, [], False)
        for at in range(place + 3, place + 3 + step * (info & VLEN), step):
            value = words[at + 1] | (words[at + 2] << 32 if wide else 0)
            if signed and value >> (bits - 1):
                value -= 1 << bits
                negative = True
            values.append(f"{self._quoted.get(words[at]) or self._quote(words[at])}:{value}")
        base = self.base.integer(size, signed=negative)
        return f'{{"size":{size},"base":"{base}","constants":{{{",".join(values)}}}}}'


def _base(name: str) -> str:
    return f'{{"kind":"base","name":{quote(name)}}}'


def _tag(kind: str, name: str) -> str:
    return f'{{"kind":"{kind}","name":{quote(name)}}}'


def _pointer(text: str) -> str:
    return f'{{"kind":"pointer","subtype":{text}}}'


def _array(text: str, count: int) -> str:
    return f'{{"kind":"array","count":{count},"subtype":{text}}}'
