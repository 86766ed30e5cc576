"""Symbols, for an image without its machine: a table that the analyst gives, or one kept in a kernel profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics.model import Draft, Facts, Outcome, Result
from forensics.profiles import rungs
from forensics.stage import Desk, stage
from forensics.text import show


@dataclass(frozen=True, slots=True)
class TableSettings:
    """Where a table may be."""

    profiles: Path
    given: Path | None = None  # an ISF file, plain or packed


@stage(gives=rungs.load)
def symbols(desk: Desk, facts: Facts, settings: TableSettings) -> Iterator[Draft | Result]:
    """Find the symbol tables of exactly the kernel whose banner is in the image."""
    if not facts.proc_version:
        words = "no Linux kernel's banner is in the image: no table can be chosen"
        yield Result(rungs.ITEM, Outcome.ABSENT, words)
        return
    climbed: list[Draft | str] = []
    if settings.given is not None:
        climbed.append(rungs.given(desk, facts, settings.given))
    climbed.append(rungs.kept(desk, facts, settings.profiles))
    taken = [one for one in climbed if isinstance(one, Draft)]
    yield from taken
    wanted = f"the image's kernel is: {show(facts.proc_version.strip(), 200)}; {rungs.needed(facts)}"
    otherwise = Outcome.FAILED if settings.given is not None else Outcome.ABSENT
    fallen = [one for one in climbed if isinstance(one, str)]
    yield rungs.ended([str(one.facts["origin"]) for one in taken], fallen, otherwise, wanted)
