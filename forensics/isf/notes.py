"""What is to be known of a symbol table: what it was made of, and what is not in it as one would wish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from forensics.model import JSON


@dataclass(frozen=True, slots=True)
class Notes:
    """Counts and lists; nothing in them is text of a target but names of symbols and types."""

    producer: str
    release: str
    slide: int  # KASLR slide of the kallsyms, taken away from every address
    inputs: Mapping[str, str]  # sha256 by name
    user_types: int
    enums: int
    symbols: int
    typed_symbols: int
    module_symbols: int  # lines of kallsyms that belong to modules; not used
    unreadable_lines: int
    padding_members: int  # without a name; left out
    rows_applied: tuple[str, ...]  # symbols that have their type from the table of symbol types
    rows_without_symbol: tuple[str, ...]  # the kernel has no such variable
    rows_without_type: tuple[str, ...]  # it has the variable and not the type: the symbol is void
    made_up: tuple[str, ...]  # types and symbols that are in no input
    duplicate_types: tuple[str, ...]  # names that are defined more than once
    duplicate_symbols: Mapping[str, int]  # names of more than one address, and how often they occur
    undefined_types: tuple[str, ...]  # referred to, and defined nowhere

    def json(self) -> dict[str, JSON]:
        """Give it for a JSON file."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
