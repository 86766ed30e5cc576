"""Processes that lived from before an acquisition until after it, and that the image's process list does not have.

Volatility's list passes over a task of which one pointer was changing, and ends where a link is torn. Such a process
is in the image all the same where the kernel's other structures hold it: the tree of parents, the table by number, the
control groups. What none of them holds is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from forensics.findings.presence import TOLERANCE, booted, epoch
from forensics.model import JSON, Facts, LiveProcess
from forensics.volatility.listing import HeldProcess, MemoryProcess

_STRUCTURES = {"tree": "the tree of parents", "table": "the table by number", "groups": "the control groups"}


@dataclass(frozen=True, slots=True)
class Lived:
    """The processes of the list before, beside the list after and the image's."""

    steady: tuple[LiveProcess, ...]  # in both live lists; all of before where there is no list after
    unlisted: tuple[LiveProcess, ...]  # of those, the ones that the image's list does not have
    held: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # of those, by what the image holds them

    @property
    def lost(self) -> tuple[LiveProcess, ...]:
        """Those that nothing in the image holds."""
        return tuple(one for one in self.unlisted if one.pid not in self.held)

    def words(self) -> Iterator[str]:
        """Say of each that is held otherwise by what."""
        for one in self.unlisted:
            if one.pid in self.held:
                yield (
                    f"process {shown([one])} is in the image, held by {' and '.join(self.held[one.pid])}, and not in "
                    "its list: that one was changing while it was read, or the process was taken out of it"
                )


def compare(found: Sequence[MemoryProcess], before: Sequence[LiveProcess], after: Sequence[LiveProcess]) -> Lived:
    """Tell which processes have to be in the image: whoever is in one live list alone may have come or gone."""
    later = {(one.pid, one.started) for one in after}
    steady = tuple(one for one in before if not later or (one.pid, one.started) in later)
    pids = {one.pid for one in found}
    return Lived(steady, tuple(one for one in steady if one.pid not in pids))


def figures(
    lived: Lived, found: Sequence[MemoryProcess], before: Sequence[LiveProcess], after: Sequence[LiveProcess]
) -> dict[str, JSON]:
    """Count them for the proof."""
    live = {one.pid for one in (*before, *after)}
    return {
        "in_memory": len(found),
        "live_before": len(before),
        "live_after": len(after),
        "lived_throughout": len(lived.steady) if after else None,
        "lost": [one.pid for one in lived.lost],
        "held_elsewhere": {str(pid): list(names) for pid, names in lived.held.items()},
        "only_in_memory": [one.pid for one in found if one.pid not in live],
    }


def sought(lived: Lived, ways: Sequence[HeldProcess], facts: Facts) -> Lived:
    """Look for those that the list does not have in the other structures of the image, alive."""
    boot = booted(facts)
    held = {one.pid: names for one in lived.unlisted if (names := tuple(_holding(one, ways, boot)))}
    return replace(lived, held=held)


def shown(lost: Sequence[LiveProcess]) -> str:
    """Name processes in a reason."""
    return ", ".join(f"{one.pid} ({one.comm})" for one in lost[:10]) + (", …" if len(lost) > 10 else "")


def _holding(one: LiveProcess, ways: Sequence[HeldProcess], boot: float | None) -> Iterator[str]:
    names = [name for other in ways if _same(one, other, boot) for name in other.ways]
    return (words for name, words in _STRUCTURES.items() if name in names)


def _same(one: LiveProcess, other: HeldProcess, boot: float | None) -> bool:
    """Tell whether it is that very process: numbers are used again."""
    if one.pid != other.pid or other.ended:
        return False
    started = epoch(other.started)
    if started is None or boot is None:
        return one.comm == other.comm
    return abs(started - boot - one.started) <= TOLERANCE
