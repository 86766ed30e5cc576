"""The symbol tables that there may be for a kernel, besides one made of what its own machine gives: the ladder's rungs.

Each is a draft, or the words why there is none. Which of them is used is decided on the image: the first that fits.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from forensics.errors import ForensicsError
from forensics.model import Draft, Facts, NoSymbols, Outcome, Result, Role, SymbolTable
from forensics.profiles import keeping
from forensics.profiles.keeping import KeptTable
from forensics.profiles.record import Kernel
from forensics.stage import Desk, Entered
from forensics.text import show
from forensics.volatility import tablefile

ITEM = "symbols"
KIND = "symbol-table"
MADE_OF = "made_of"
"""Among the facts of a table that was made here: what it was made of, in words."""


def load(entered: Entered) -> SymbolTable | NoSymbols:
    """Give the tables in the order in which they are tried, or why there is none."""
    tables = tuple({one.digest: one for one in entered.exhibits if one.kind == KIND}.values())
    if tables:
        return SymbolTable(entered.exhibits, tables[0], tables[1:])
    result = entered.result(ITEM)
    return NoSymbols(entered.exhibits, result.reason if result else "the stage did not come to it")


def given(desk: Desk, facts: Facts, table: Path) -> Draft | str:
    """Take the analyst's table when its banner is this kernel's."""
    why = tablefile.unfit(table, facts.proc_version, *facts.other_banners)
    if why:
        return f"the given table: {why}"
    copy = desk.work / f"given-symbols.json{tablefile.packing(table)}"
    shutil.copyfile(table, copy)
    return _draft(copy, facts, f"given by the analyst: {show(table.name, 200)}")


def kept(desk: Desk, facts: Facts, profiles: Path, others: Sequence[Path] = ()) -> Draft | str:
    """Take the table that an earlier case left for exactly this kernel; "" when one of the others says the same."""
    banners = (facts.proc_version, *facts.other_banners)
    tried = [keeping.find_table(profiles, banner, facts.build_id) for banner in banners]
    found = next((one for one in tried if isinstance(one, KeptTable)), None)
    if found is None:
        return str(tried[0])
    if any(tablefile.same(one, found.path) for one in others):
        return ""
    why = tablefile.unfit(found.path, *banners)
    if why:
        return f"the kernel profile's table: {why}"
    copy = desk.work / f"kept-{found.path.name}"
    shutil.copyfile(found.path, copy)
    return _draft(copy, facts, f"kept by an earlier case: {'; '.join(found.origin)}"[:500])


def keep(case_folder: Path, facts: Facts, table: SymbolTable, chosen: str, profiles: Path) -> str:
    """Keep the table that an image chose, by its number, for images of the same kernel; give why it cannot be, or "".

    Only one that was made here, and only now: a target whose kallsyms lie gives a table with the right banner, and the
    first that is kept for a kernel stays.
    """
    exhibit = table.fitting(chosen)
    made_of = exhibit.facts.get(MADE_OF)
    if not isinstance(made_of, list):
        return ""
    kept = KeptTable(case_folder / exhibit.path, tuple(map(str, made_of)))
    try:
        keeping.keep_table(profiles, Kernel.of(facts), kept)
    except (ForensicsError, OSError) as problem:
        return str(problem)
    return ""


def _draft(path: Path, facts: Facts, origin: str) -> Draft:
    title = f"Symbol table of {show(facts.release, 100)}, {origin.partition(':')[0]}"
    return Draft(path, Role.INSTRUMENT, KIND, title, item=ITEM, facts={"origin": origin})


def ended(taken: Sequence[str], fallen: Sequence[str], otherwise: Outcome, needed: str) -> Result:
    """Tell how the ladder was climbed: what there is to try, why other rungs gave nothing, and what would do."""
    said = "; ".join(fallen)
    if taken:
        return Result(ITEM, Outcome.DONE, said, {"tables": list(taken), "not_taken": list(fallen)})
    return Result(ITEM, otherwise, f"{said}; {needed}" if needed else said)


def needed(facts: Facts) -> str:
    """Say precisely what would do where nothing fits."""
    known = f"{facts.release} and build id {facts.build_id}" if facts.build_id else f"{facts.release} and this banner"
    return (
        f"what would do: --symbols FILE, made by forensics symbols make of (1) the BTF of another machine with kernel "
        f"{show(known, 200)}, that kernel's System.map and this target's /proc/version, "
        f"or (2) the vmlinux with DWARF of its debug package, by dwarf2json (--vmlinux)"
    )
