"""The base types of an ISF: integers and floats of the BTF, and the names by which Volatility asks for them.

GCC says `long unsigned int` where LLVM says `unsigned long`, and Volatility has the former written down in places
(volatility3 issue 1041), so each integer is there by both names.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quote
from typing import Final

from forensics.errors import SymbolsError
from forensics.isf.btf import FLOAT, INT, Btf, broken

_STANDARD: Final = {
    "char": (1, True, "char"),
    "signed char": (1, True, "char"),
    "unsigned char": (1, False, "char"),
    "short int": (2, True, "int"),
    "short unsigned int": (2, False, "int"),
    "int": (4, True, "int"),
    "unsigned int": (4, False, "int"),
    "long int": (8, True, "int"),
    "long unsigned int": (8, False, "int"),
    "long long int": (8, True, "int"),
    "long long unsigned int": (8, False, "int"),
    "_Bool": (1, False, "bool"),
    "void": (0, False, "void"),
    "pointer": (8, False, "int"),  # Volatility's own: it says how wide an address is
}
_ALSO: Final = {
    "short": "short int",
    "unsigned short": "short unsigned int",
    "long": "long int",
    "unsigned long": "long unsigned int",
    "long long": "long long int",
    "unsigned long long": "long long unsigned int",
    "bool": "_Bool",
}
_ENUM: Final = {
    (1, False): "unsigned char",
    (1, True): "signed char",
    (2, False): "short unsigned int",
    (2, True): "short int",
    (4, False): "unsigned int",
    (4, True): "int",
    (8, False): "long unsigned int",
    (8, True): "long int",
}


class BaseTypes:
    """Base types by name, and those integers that are bit fields of the old form."""

    def __init__(self, btf: Btf) -> None:
        self.names: dict[str, tuple[int, bool, str]] = dict(_STANDARD)
        self.names |= {name: _STANDARD[same] for name, same in _ALSO.items()}
        self.odd: dict[int, tuple[int, int]] = {}  # number -> (bits before it, its bits)
        self._of: dict[int, str] = {}
        for number, kind in enumerate(btf.kinds):
            if kind in (INT, FLOAT):
                self._add(btf, number, kind)

    def name(self, number: int) -> str:
        """Give the name of an integer or float."""
        return self._of[number]

    def integer(self, size: int, *, signed: bool) -> str:
        """Give the integer that holds an enum of this size; SymbolsError when there is none."""
        if (size, signed) not in _ENUM:
            raise broken(f"an enum is {size} bytes wide")
        return _ENUM[size, signed]

    def text(self) -> str:
        """Write them as the content of `base_types`."""
        return ",".join(
            f'{quote(name)}:{{"size":{size},"signed":{str(signed).lower()},"kind":"{kind}","endian":"little"}}'
            for name, (size, signed, kind) in self.names.items()
        )

    def _add(self, btf: Btf, number: int, kind: int) -> None:
        place = btf.places[number]
        name, size = btf.name(btf.words[place]), btf.words[place + 2]
        if not name or size not in (1, 2, 4, 8, 12, 16):
            raise broken(f"base type {number} has no name, or {size} bytes")
        self._of[number] = name
        if kind == FLOAT:
            self.names.setdefault(name, (size, True, "float"))
            return
        word = btf.words[place + 3]
        encoding, shift, bits = word >> 24, word >> 16 & 0xFF, word & 0xFF
        if shift or bits != size * 8:
            self.odd[number] = (shift, bits)
        facts = (size, bool(encoding & 1), "bool" if encoding & 4 else "int")
        if self.names.setdefault(name, facts)[0] != size:
            raise SymbolsError(
                f"The BTF is not of an x86-64 kernel: its {name} has {size} bytes.",
                where="BTF",
                remedy="only x86-64 kernels can be analysed",
            )
