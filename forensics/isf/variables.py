"""Types of the kernel's variables: what BTF tells, then the table of symbol types, then the clock.

The clock `tk_core` is a struct without a name before Linux 6.13, which BTF does not have: kernel/time/timekeeping.c
declares it as a sequence counter and a `struct timekeeper`. From 6.13 it is `struct tk_data`; from 6.17 it is the first
of the array `timekeeper_data`.
"""

from __future__ import annotations

from collections.abc import Iterator

from forensics.isf.definitions import Definitions
from forensics.isf.kallsyms import Symbols
from forensics.isf.symbol_types import Version, rows_for

CLOCK = "unnamed_tk_core"


class Variables:
    """The type of each variable that has one, as ISF text, and which rows of the table did not apply."""

    def __init__(self, types: Definitions, symbols: Symbols, version: Version) -> None:
        self._definitions = types
        self._addresses = symbols.addresses
        self._version = version
        self._clock = ""
        self.types = types.variables()
        self.applied: list[str] = []
        self.without_symbol: list[str] = []
        self.without_type: list[str] = []
        self.made_up: list[str] = []

    def apply(self) -> None:
        """Go through the table, once the types of all modules are known."""
        for symbol, written in rows_for(self._version):
            if symbol not in self._addresses:
                self.without_symbol.append(symbol)
            elif symbol not in self.types:
                self._row(symbol, written)
        self._tell_time()

    def structs(self) -> Iterator[str]:
        """Write the definitions that are in no BTF."""
        if self._clock:
            yield self._clock

    def _row(self, symbol: str, written: str) -> None:
        text = self._definitions.written(written)
        if text is None:
            self.without_type.append(symbol)
        else:
            self.types[symbol] = text
            self.applied.append(symbol)

    def _tell_time(self) -> None:
        data = self._definitions.written("tk_data")
        if "tk_core" not in self._addresses and "timekeeper_data" in self._addresses and data:
            self._addresses["tk_core"] = self._addresses["timekeeper_data"]
            self.made_up.append("symbol tk_core, at the address of timekeeper_data")
        if "tk_core" not in self._addresses:
            self.without_symbol.append("tk_core")
        elif data:
            self.types.setdefault("tk_core", data)
            self.applied.append("tk_core")
        elif self._made_clock():
            self.types.setdefault("tk_core", f'{{"kind":"struct","name":"{CLOCK}"}}')
            self.made_up.append(f"struct {CLOCK}, the type of tk_core")
        else:
            self.without_type.append("tk_core")

    def _made_clock(self) -> bool:
        types = self._definitions
        lock = next((name for name in ("seqcount_raw_spinlock_t", "seqcount_t") if types.size(name)), "")
        before, size = types.size(lock), types.size("timekeeper")
        if before is None or size is None:
            return False
        place = (before + 7) // 8 * 8
        self._clock = (
            f'"{CLOCK}":{{"kind":"struct","size":{place + size},"fields":{{'
            f'"seq":{{"type":{types.written(lock)},"offset":0}},'
            f'"timekeeper":{{"type":{types.written("timekeeper")},"offset":{place}}}}}}}'
        )
        return True
