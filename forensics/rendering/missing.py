"""Why there is nothing to show."""

from __future__ import annotations

from collections.abc import Iterable

from forensics.rendering.blocks import Words
from forensics.rendering.record import TargetRecord


def nothing(target: TargetRecord, *items: str) -> Words:
    """Say how the items ended whose tables are not there."""
    said = [target.outcome(stage, item) for item in items for stage in ("collect", "interpret")]
    words = "; ".join(one for one in said if one) or f"{items[0]}: not run"
    return Words(f"There is nothing to show here. {words}.", "note")


def nothing_of(target: TargetRecord, items: Iterable[str]) -> list[Words]:
    """Say in one paragraph how each of several items ended whose tables are not there; nothing when there are none."""
    listed = list(items)
    ended = {one: target.outcome("collect", one) or target.outcome("interpret", one) for one in listed}
    never = [one for one in listed if not ended[one]]
    parts = [one for one in ended.values() if one] + ([f"not run: {', '.join(never)}"] if never else [])
    return [Words(f"There is nothing to show of what follows. {'; '.join(parts)}.", "note")] if parts else []
