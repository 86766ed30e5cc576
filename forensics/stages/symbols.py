"""Symbols: what Volatility must know of the target's kernel, from the kernel's own BTF and kallsyms."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from forensics import isf
from forensics.errors import ForensicsError, SymbolsError
from forensics.isf import PHYSICAL_START
from forensics.model import Draft, Exhibit, Facts, NoSymbols, Outcome, Result, Role, SymbolTable
from forensics.profiles import keeping
from forensics.profiles.keeping import KeptTable
from forensics.profiles.record import Kernel
from forensics.stage import Desk, Entered, stage
from forensics.text import show
from forensics.volatility import tablefile

ITEM = "symbols"


@dataclass(frozen=True, slots=True)
class SymbolSettings:
    """Where tables are kept for the next case."""

    profiles: Path
    given: Path | None = None  # a table of the analyst's: it is taken before any other


def load_table(entered: Entered) -> SymbolTable | NoSymbols:
    """Give the table, or why there is none."""
    table = entered.one("symbol-table")
    if table is not None:
        return SymbolTable(entered.exhibits, table)
    result = entered.result(ITEM)
    return NoSymbols(entered.exhibits, result.reason if result else "the stage did not come to it")


@stage(gives=load_table)
def make_symbols(desk: Desk, facts: Facts, settings: SymbolSettings) -> Iterator[Draft | Result]:
    """Make a symbol table for exactly the target's kernel."""
    if settings.given is not None:
        yield from _given(desk, facts, settings.given)
        return
    missing = _missing(facts)
    if missing or facts.btf is None or facts.kallsyms is None:
        yield from _kept(desk, facts, settings.profiles, Result(ITEM, Outcome.ABSENT, missing))
        return
    try:
        yield from _make(desk, facts, facts.btf, facts.kallsyms, settings.profiles)
    except SymbolsError as error:
        yield from _kept(desk, facts, settings.profiles, Result(ITEM, Outcome.FAILED, str(error)))


def _kept(desk: Desk, facts: Facts, profiles: Path, otherwise: Result) -> Iterator[Draft | Result]:
    """Take the table that an earlier case left for exactly this kernel, where the target gives too little."""
    if facts.machine != "x86_64" or not facts.build_id:
        yield otherwise
        return
    found = keeping.find_table(profiles, facts.proc_version, facts.build_id)
    if not isinstance(found, KeptTable):
        yield replace(otherwise, reason=f"{otherwise.reason}; {found}; {_needed(facts)}")
        return
    copy = desk.work / found.path.name
    shutil.copyfile(found.path, copy)
    origin = "; ".join(found.origin)[:500]
    title = f"Symbol table of {facts.release}, kept by an earlier case"
    yield Draft(copy, Role.INSTRUMENT, "symbol-table", title, item=ITEM, facts={"origin": origin})
    yield Result(ITEM, Outcome.DONE, facts={"kept": origin})


def _given(desk: Desk, facts: Facts, table: Path) -> Iterator[Draft | Result]:
    """Take the analyst's table when it is for this kernel."""
    why = tablefile.unfit(table, facts.proc_version)
    if why:
        yield Result(ITEM, Outcome.FAILED, why)
        return
    copy = desk.work / f"symbols.json{tablefile.packing(table)}"
    shutil.copyfile(table, copy)
    origin = f"given by the analyst: {show(table.name, 200)}"
    title = f"Symbol table of {facts.release}, given by the analyst"
    yield Draft(copy, Role.INSTRUMENT, "symbol-table", title, item=ITEM, facts={"origin": origin})
    yield Result(ITEM, Outcome.DONE, facts={"origin": origin})


def _needed(facts: Facts) -> str:
    """Say what would do where the target gives too little."""
    return (
        f"what would do: --symbols FILE, made by forensics symbols make of (1) the BTF of another machine with kernel "
        f"{facts.release} and build id {facts.build_id}, that kernel's System.map and this target's /proc/version, "
        f"or (2) the vmlinux with DWARF of its debug package, by dwarf2json"
    )


def _missing(facts: Facts) -> str:
    if facts.machine != "x86_64":
        return f"Volatility reads memory of x86_64 only, and the target is {facts.machine!r}"
    if facts.btf is None:
        return "the target gives no BTF (/sys/kernel/btf/vmlinux): its kernel is built without CONFIG_DEBUG_INFO_BTF"
    if facts.kallsyms is None:
        return "the target gives no kallsyms (/proc/kallsyms)"
    return ""


def _make(desk: Desk, facts: Facts, btf: Exhibit, kallsyms: Exhibit, profiles: Path) -> Iterator[Draft | Result]:
    version, table, noted = (desk.work / name for name in ("proc-version", "symbols.json", "symbol-notes.json"))
    version.write_bytes(facts.proc_version)
    offset, start = facts.kernel_offset, _physical_start(facts)
    try:
        notes = isf.make(
            desk.path(btf), desk.path(kallsyms), version, table, kernel_offset=offset, physical_start=start
        )
    finally:
        version.unlink()
    _keep(desk, facts, (btf, kallsyms), profiles)
    noted.write_text(json.dumps(notes.json(), indent=1) + "\n", encoding="ascii")
    counts = {"user_types": notes.user_types, "enums": notes.enums, "symbols": notes.symbols, "slide": notes.slide}
    yield Draft(
        table, Role.INSTRUMENT, "symbol-table", f"Symbol table of {notes.release}",
        item=ITEM, sources=(btf, kallsyms), facts=counts,
    )  # fmt: skip
    yield Draft(
        noted, Role.DERIVED, "symbol-notes", f"Notes on the symbol table of {notes.release}",
        item=ITEM, sources=(btf, kallsyms),
    )  # fmt: skip
    yield Result(ITEM, Outcome.DONE, facts=counts)


def _keep(desk: Desk, facts: Facts, sources: tuple[Exhibit, ...], profiles: Path) -> None:
    """Keep the table for images of the same kernel; where that cannot be, this case has it all the same."""
    case = str(desk.case_facts.get("number", ""))
    origin = tuple(f"{one.kind} {one.digest} of target {desk.target}, case {case}" for one in sources)
    try:
        keeping.keep_table(profiles, Kernel.of(facts), KeptTable(desk.work / "symbols.json", origin))
    except (ForensicsError, OSError) as problem:
        desk.progress.say(f"the symbol table is not kept for other cases: {problem}")


def _physical_start(facts: Facts) -> int:
    """Give CONFIG_PHYSICAL_START when the target's config tells it, else the default."""
    try:
        return int(facts.config.get("CONFIG_PHYSICAL_START", ""), 16)
    except ValueError:
        return PHYSICAL_START
