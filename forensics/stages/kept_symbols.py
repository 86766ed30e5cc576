"""Symbols, for an image without its machine: a table that the analyst gives, or one kept in a kernel profile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics.model import Draft, Facts, NoSymbols, Outcome, Result, Role, SymbolTable
from forensics.profiles import keeping
from forensics.stage import Desk, Entered, stage
from forensics.text import show
from forensics.volatility import tablefile

ITEM = "symbols"


@dataclass(frozen=True, slots=True)
class TableSettings:
    """Where a table may be."""

    profiles: Path
    given: Path | None = None  # an ISF file, plain or packed


def load_table(entered: Entered) -> SymbolTable | NoSymbols:
    """Give the table, or why there is none."""
    table = entered.one("symbol-table")
    if table is not None:
        return SymbolTable(entered.exhibits, table)
    result = entered.result(ITEM)
    return NoSymbols(entered.exhibits, result.reason if result else "the stage did not come to it")


@stage(gives=load_table)
def symbols(desk: Desk, facts: Facts, settings: TableSettings) -> Iterator[Draft | Result]:
    """Find the symbol table of exactly the kernel whose banner is in the image."""
    banner = facts.proc_version
    if not banner:
        yield Result(ITEM, Outcome.ABSENT, "no Linux kernel's banner is in the image: no table can be chosen")
        return
    wanted = show(banner.strip(), 200)
    if settings.given is None:
        found = keeping.find_table(settings.profiles, banner, facts.build_id)
        if isinstance(found, str):
            why = f"{found}; the image's kernel is: {wanted}; give its table: --symbols FILE"
            yield Result(ITEM, Outcome.ABSENT, why)
            return
        source, origin = found.path, "; ".join(found.origin)
    else:
        source, origin = settings.given, f"given by the analyst: {settings.given.name}"
    why = tablefile.unfit(source, banner)
    if why:
        yield Result(ITEM, Outcome.FAILED, why)
        return
    copy = desk.work / f"symbols.json{tablefile.packing(source)}"
    shutil.copyfile(source, copy)
    yield Draft(copy, Role.INSTRUMENT, "symbol-table", "Symbol table", copy.name, ITEM, facts={"origin": origin[:500]})
    yield Result(ITEM, Outcome.DONE)
