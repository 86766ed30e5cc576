"""Why there is nothing to show."""

from __future__ import annotations

from collections.abc import Iterable

from forensics.rendering.blocks import Words
from forensics.rendering.record import TargetRecord


def nothing(target: TargetRecord, *items: str) -> Words:
    """Say how the items ended whose tables are not there."""
    said = [target.outcome(stage, item) for item in items for stage in ("collect", "analyse", "interpret")]
    return _note("; ".join(one for one in said if one) or f"{items[0]}: not run")


def nothing_of(target: TargetRecord, items: Iterable[str]) -> list[Words]:
    """Say in one paragraph how each of several items ended whose tables are not there; nothing when there are none."""
    listed = list(items)
    ended = {one: target.outcome("collect", one) or target.outcome("interpret", one) for one in listed}
    never = [one for one in listed if not ended[one]]
    parts = [one for one in ended.values() if one] + ([f"not run: {', '.join(never)}"] if never else [])
    return [_note("; ".join(parts))] if parts else []


def _note(why: str) -> Words:
    return Words(f"Nothing to show here: {why}.", "note")
