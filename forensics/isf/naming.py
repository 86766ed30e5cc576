"""The name of every struct, union and enum in a symbol table, where one name stands for one definition.

BTF may define a name twice (two source files, each with a private type), and does not name anonymous types. The first
definition in the kernel keeps the name, each other is called `name__NUMBER` after its number in the BTF, so that what
refers to it still finds its own definition. A typedef of a struct, union or enum is another name for it, as in tables
that dwarf2json makes; an anonymous type without typedef is called `unnamed_NUMBER`.
"""

from __future__ import annotations

from typing import Final

from forensics.isf.btf import ENUM, ENUM64, STRUCT, TYPEDEF, UNION, VLEN, Btf, broken

NAMED: Final = frozenset({STRUCT, UNION, ENUM, ENUM64})


class Names:
    """Names by type number: the kernel's, and those of the module that was added last."""

    def __init__(self) -> None:
        self.of: dict[int, str] = {}  # of each struct, union, enum, and typedef of one
        self.tags: set[str] = set()  # structs and unions whose name is their own
        self.claimed: dict[str, tuple[int, int]] = {}  # every name there is, with kind and size of what it names
        self.duplicates: list[str] = []
        self._numbers: dict[str, int] = {}

    def add(self, btf: Btf, first: int, label: str = "") -> list[tuple[str, int]]:
        """Name the types from number `first` on; give (name, number) of each definition. `label` marks a module's."""
        self.of = {number: name for number, name in self.of.items() if number < first}
        self._numbers = {name: number for name, number in self._numbers.items() if number < first}
        definitions: list[tuple[str, int]] = []
        anonymous: list[int] = []
        for number, kind in enumerate(btf.kinds[first:], first):
            if kind in NAMED:
                if btf.words[btf.places[number]]:
                    self._tagged(btf, number, label, definitions)
                else:
                    anonymous.append(number)
        self._typedefs(btf, first, label, definitions)
        for number in anonymous:
            if number not in self.of:
                self._define(btf, f"unnamed_{label}{number}", number, label, definitions)
        return definitions

    def _tagged(self, btf: Btf, number: int, label: str, definitions: list[tuple[str, int]]) -> None:
        place = btf.places[number]
        name = btf.name(btf.words[place])
        if _declared(btf, number):
            self.of[number] = name
            return
        self._define(btf, name, number, label, definitions)
        if btf.kinds[number] in (STRUCT, UNION):
            self.tags.add(name)

    def _typedefs(self, btf: Btf, first: int, label: str, definitions: list[tuple[str, int]]) -> None:
        for number, kind in enumerate(btf.kinds[first:], first):
            if kind == TYPEDEF:
                place = btf.places[number]
                target = btf.words[place + 2]
                if target < len(btf) and btf.kinds[target] in NAMED and not _declared(btf, target):
                    name = btf.name(btf.words[place])
                    if self._numbers.get(name) != target:  # typedef struct name name
                        name = self._define(btf, name, target, label, definitions)
                    self.of[number] = name

    def _define(self, btf: Btf, name: str, number: int, label: str, definitions: list[tuple[str, int]]) -> str:
        if not name:
            raise broken(f"type {number} is a typedef without a name")
        if name in self.claimed:
            self.duplicates.append(name)
            name = f"{name}__{label}{number}"
            while name in self.claimed:
                name += "_"
        self.claimed[name] = (btf.kinds[number], btf.words[btf.places[number] + 2])
        self._numbers[name] = number
        self.of.setdefault(number, name)
        definitions.append((name, number))
        return name


def _declared(btf: Btf, number: int) -> bool:
    """Tell whether this is an enum that is defined elsewhere, or nowhere: it has no values."""
    return btf.kinds[number] == ENUM and not btf.words[btf.places[number] + 1] & VLEN
