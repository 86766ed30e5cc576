"""What is put on record of an acquisition: each engine that was tried, the image, and the papers beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from forensics.engines import Materials, Paper
from forensics.guarding.watch import Bounds
from forensics.history import PARTIAL
from forensics.lime.receiving import IN_CLEAR, Received, Sealed
from forensics.model import JSON, Draft, Role, utc
from forensics.stage import Desk

ITEM = "memory"


@dataclass(slots=True)
class Attempts:
    """What was tried, engine after engine."""

    materials: Materials
    limit: int = 0  # bytes a second at most; 0: as fast as it comes
    bounds: Bounds = field(default_factory=Bounds)
    spared: str = ""  # why nothing more is tried: the target is not to be burdened further
    record: list[dict[str, JSON]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def passed_over(self, engine: str, reason: str, told: dict[str, JSON] | None = None) -> None:
        """Note that an engine gave not one byte, and why."""
        self.record.append({"engine": engine, "outcome": "not acquired", "reason": reason, **(told or {})})
        self.reasons.append(f"{engine}: {reason}")

    def told(self) -> dict[str, JSON]:
        """Put it as the ledger has it: each engine, whether it gave an image, and why not."""
        names = ("engine", "outcome", "reason")
        return {"attempts": [{name: one[name] for name in names} for one in self.record]}


def unlike_source(received: Received, record: Mapping[str, JSON]) -> str:
    """Say why what arrived is not what the source sends (another digest, a LiME that never ran); "" when it may be."""
    source = record.get("source_digest")
    if source and source != str(received.digest):
        return (
            f"what arrived is not what was sent: {received.digest} here, {source} by {record.get('source_digest_by')}"
        )
    insmod = record.get("insmod")
    if isinstance(insmod, dict) and insmod.get("ended_by_itself") and insmod.get("status") not in {0, None}:
        return f"LiME was not loaded, so that it was another that sent: insmod said {insmod.get('stderr') or 'nothing'}"
    return ""


def image_draft(
    path: Path, engine: str, received: Received, record: Mapping[str, JSON], sealed: Sealed = IN_CLEAR
) -> Draft:
    """Give the image, with what the case has to know of how it came.

    An encrypted one that the disk did not take whole is a partial image: no identity opens it to its end.
    """
    facts: dict[str, JSON] = {
        "engine": engine,
        "started": received.started,
        "ended": received.ended,
        "ended_well": not received.reason,
        "reason": received.reason,
        "bytes": received.size,
        "rate": round(received.rate),
        "zero_fill_excluded": record.get("zero_fill_excluded") is True,
        "zero_fill": record.get("zero_fill", ""),
        "source_digest": record.get("source_digest"),
        "source_digest_by": record.get("source_digest_by") or record.get("source_digest_problem", ""),
        "remarks": record.get("remarks", []),
        "ranges": [[one.range.start, one.range.end] for one in received.walk.segments],
    }
    kind = "memory-image" if received.whole or not sealed.to else PARTIAL
    title = "Memory" if not received.reason else "Memory, not complete"
    draft = Draft(path, Role.EVIDENCE, kind, title, "memory.lime", ITEM, facts=facts)
    if not sealed.to:
        return replace(draft, digest=received.digest if received.whole else None)
    plain: dict[str, JSON] = {
        "digest": str(received.digest), "size": received.size, "second_digest": str(received.second or "")
    }  # fmt: skip
    return replace(draft, plain=plain if received.whole else {})


def paper_drafts(desk: Desk, papers: list[Paper]) -> Iterator[Draft]:
    """Give what the engine met on its way."""
    for paper in papers:
        path = desk.work / paper.name
        path.write_bytes(paper.content)
        yield Draft(path, Role.EVIDENCE, paper.kind, paper.title, paper.name, ITEM)


def record_draft(desk: Desk, attempts: Attempts, received: Received | None = None) -> Draft:
    """Give the record: every attempt, and what came."""
    told: dict[str, JSON] = {"recorded": utc(datetime.now(UTC)), "attempts": list(attempts.record)}
    if received:
        told["received"] = received.told()
    path = desk.work / "acquisition.json"
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return Draft(path, Role.EVIDENCE, "acquisition-record", "How memory was acquired", "acquisition.json", ITEM)
