"""Why there is nothing to show."""

from __future__ import annotations

from forensics.rendering.blocks import Words
from forensics.rendering.record import TargetRecord


def nothing(target: TargetRecord, *items: str) -> Words:
    """Say how the items ended whose tables are not there."""
    said = [target.outcome(stage, item) for item in items for stage in ("collect", "interpret")]
    words = "; ".join(one for one in said if one) or f"{items[0]}: not run"
    return Words(f"There is nothing to show here. {words}.", "note")
