"""Symbols: what Volatility must know of the target's kernel, from the kernel's own BTF and kallsyms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from forensics import isf
from forensics.errors import SymbolsError
from forensics.isf import PHYSICAL_START
from forensics.model import JSON, Draft, Exhibit, Facts, Outcome, Result, Role
from forensics.profiles import rungs
from forensics.stage import Desk, stage


@dataclass(frozen=True, slots=True)
class SymbolSettings:
    """Where tables are that earlier cases kept."""

    profiles: Path
    given: Path | None = None  # a table of the analyst's: it is tried before any other


@stage(gives=rungs.load)
def make_symbols(desk: Desk, facts: Facts, settings: SymbolSettings) -> Iterator[Draft | Result]:
    """Make a symbol table for exactly the target's kernel, and find others that may serve where it does not fit.

    In the order in which the image is tried with them: the analyst's, the one made here, the one an earlier case kept.
    """
    if facts.machine != "x86_64":
        why = f"Volatility reads memory of x86_64 only, and the target is {facts.machine!r}"
        yield Result(rungs.ITEM, Outcome.ABSENT, why)
        return
    climbed = _climb(desk, facts, settings)
    drafts = [one for one in climbed if isinstance(one, Draft)]
    fallen = [str(one) for one in climbed if one and not isinstance(one, Draft)]
    yield from drafts
    failed = settings.given is not None or any(isinstance(one, SymbolsError) for one in climbed)
    tables = [one for one in drafts if one.kind == rungs.KIND]
    otherwise = Outcome.FAILED if failed else Outcome.ABSENT
    ended = rungs.ended([str(one.facts["origin"]) for one in tables], fallen, otherwise, rungs.needed(facts))
    counts = next((one.facts for one in tables if "slide" in one.facts), {})
    yield replace(ended, facts={**counts, **ended.facts})


def _climb(desk: Desk, facts: Facts, settings: SymbolSettings) -> list[Draft | str | SymbolsError]:
    """Give each rung's table, or why it gives none."""
    climbed: list[Draft | str | SymbolsError] = []
    if settings.given is not None:
        climbed.append(rungs.given(desk, facts, settings.given))
    made: list[Path] = []
    missing = _missing(facts)
    if missing or facts.btf is None or facts.kallsyms is None:
        climbed.append(missing)
    else:
        try:
            drafts = _make(desk, facts, facts.btf, facts.kallsyms)
            climbed += drafts
            made = [drafts[0].path]
        except SymbolsError as error:
            climbed.append(error)
    if facts.build_id:
        climbed.append(rungs.kept(desk, facts, settings.profiles, made))
    elif not made:
        climbed.append("the target told no build id, so that no kept table can be known for its kernel's")
    return climbed


def _missing(facts: Facts) -> str:
    if facts.btf is None:
        return "the target gives no BTF (/sys/kernel/btf/vmlinux): its kernel is built without CONFIG_DEBUG_INFO_BTF"
    if facts.kallsyms is None:
        return "the target gives no kallsyms (/proc/kallsyms)"
    return ""


def _make(desk: Desk, facts: Facts, btf: Exhibit, kallsyms: Exhibit) -> list[Draft]:
    version, table, noted = (desk.work / name for name in ("proc-version", "symbols.json", "symbol-notes.json"))
    version.write_bytes(facts.proc_version)
    offset, start = facts.kernel_offset, _physical_start(facts)
    try:
        notes = isf.make(
            desk.path(btf), desk.path(kallsyms), version, table, kernel_offset=offset, physical_start=start
        )
    finally:
        version.unlink()
    noted.write_text(json.dumps(notes.json(), indent=1) + "\n", encoding="ascii")
    counts = {name: getattr(notes, name) for name in ("user_types", "enums", "symbols", "slide")}
    origin = "made of the target's BTF and kallsyms"
    case = str(desk.case_facts.get("number", ""))
    of: list[JSON] = [f"{one.kind} {one.digest} of target {desk.target}, case {case}" for one in (btf, kallsyms)]
    return [
        Draft(
            table, Role.INSTRUMENT, rungs.KIND, f"Symbol table of {notes.release}",
            item=rungs.ITEM, sources=(btf, kallsyms), facts={"origin": origin, rungs.MADE_OF: of, **counts},
        ),
        Draft(
            noted, Role.DERIVED, "symbol-notes", f"Notes on the symbol table of {notes.release}",
            item=rungs.ITEM, sources=(btf, kallsyms),
        ),
    ]  # fmt: skip


def _physical_start(facts: Facts) -> int:
    """Give CONFIG_PHYSICAL_START when the target's config tells it, else the default."""
    try:
        return int(facts.config.get("CONFIG_PHYSICAL_START", ""), 16)
    except ValueError:
        return PHYSICAL_START
