"""Acquire: the target's memory, streamed, hashed while it arrives, never on the target's disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from forensics.engines import Engine, Materials, Paper, Wishes
from forensics.engines.kcore import Kcore
from forensics.engines.lime import Lime
from forensics.errors import ForensicsError, HostKeyRefused, LoginRefused, StageFailed, SudoRefused, Unreachable
from forensics.host import Gone, Host
from forensics.lime import receiving
from forensics.lime.receiving import Received
from forensics.model import (
    JSON,
    Draft,
    Facts,
    LimeModule,
    MemoryImage,
    NotAcquired,
    NotBuilt,
    Outcome,
    Preflight,
    Result,
    Role,
    utc,
)
from forensics.stage import Desk, Entered, stage

ITEM = "memory"
LADDER: tuple[Engine, ...] = (Lime(), Kcore())
"""The engines, the best first."""

_RESERVE = 64 << 20  # bytes that stay free on the case's file system
_NO_USE_TO_GO_ON = (HostKeyRefused, LoginRefused, SudoRefused, Unreachable)


@dataclass(frozen=True, slots=True)
class AcquireSettings:
    """What the analyst says of the acquisition."""

    engine: str = "auto"  # or the name of one
    streams: int = 0  # connections at once, for engines that can; 0: as many as the engine finds best
    compression: str = "none"  # on the target, for engines that can: none, auto, zstd, lz4, gzip


@dataclass(slots=True)
class _Attempts:
    """What was tried, engine after engine."""

    materials: Materials
    record: list[dict[str, JSON]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def passed_over(self, engine: str, reason: str, told: dict[str, JSON] | None = None) -> None:
        self.record.append({"engine": engine, "outcome": "not acquired", "reason": reason, **(told or {})})
        self.reasons.append(f"{engine}: {reason}")

    def told(self) -> dict[str, JSON]:
        """Put it as the ledger has it: each engine, whether it gave an image, and why not."""
        names = ("engine", "outcome", "reason")
        return {"attempts": [{name: one[name] for name in names} for one in self.record]}


def load_image(entered: Entered) -> MemoryImage | NotAcquired:
    """Give the image as it stands on record, or why there is none."""
    image, result = entered.one("memory-image"), entered.result(ITEM)
    if image is None:
        return NotAcquired(entered.exhibits, result.reason if result else "the acquisition did not end")
    told = image.facts
    return MemoryImage(
        entered.exhibits,
        image,
        engine=str(told.get("engine", "")),
        started=str(told.get("started", "")),
        ended=str(told.get("ended", "")),
        ended_well=told.get("ended_well") is True,
        reason=str(told.get("reason", "")),
    )


def choose(settings: AcquireSettings, facts: Facts, materials: Materials) -> tuple[tuple[Engine, Preflight], ...]:
    """Give the engines to ask, in order, each with what its check says; StageFailed for a name that is none."""
    named = [engine for engine in LADDER if settings.engine in ("auto", engine.name)]
    if not named:
        raise StageFailed(
            f"there is no engine named {settings.engine}",
            why=f"there are: {', '.join(engine.name for engine in LADDER)}",
            remedy="name one of them, or auto",
        )
    return tuple((engine, engine.check(facts, materials)) for engine in named)


def _others(settings: AcquireSettings, facts: Facts, materials: Materials) -> Iterator[str]:
    """Offer the engines that were not asked for and that do not say that they will not work."""
    for engine in LADDER if settings.engine != "auto" else ():
        told = engine.check(facts, materials)
        if engine.name != settings.engine and told.works is not False:
            yield f"--engine {engine.name} {'will' if told.works else 'may'} work here ({told.why}), with --new-attempt"


@stage(gives=load_image)
def acquire(
    desk: Desk, host: Host | Gone, facts: Facts, module: LimeModule | NotBuilt, settings: AcquireSettings
) -> Iterator[Draft | Result]:
    """Bring the target's memory here, hashed while it arrives, and leave the target as it was.

    Resumed after a whole image had come, it takes no second one.
    """
    had = desk.results.get(ITEM)
    if had and had.outcome is Outcome.DONE:
        desk.progress.say("The image came whole before the stage was ended; no other is taken")
        return
    if isinstance(host, Gone):
        yield Result(ITEM, Outcome.NOT_RUN, host.words)
        return
    _check_room(desk.work, facts)
    materials = _materials(desk, module, Wishes(settings.streams, settings.compression))
    attempts = _Attempts(materials)
    for engine, told in choose(settings, facts, materials):
        if told.works is False:
            attempts.passed_over(engine.name, told.why)
            continue
        desk.progress.say(f"Acquiring memory with {engine.name}: {told.why}")
        received = yield from _attempt(desk, host, facts, engine, attempts)
        if received:
            return
    yield _record_draft(desk, attempts)
    reasons = (*attempts.reasons, *_others(settings, facts, materials))
    yield Result(ITEM, Outcome.FAILED, "; ".join(reasons), attempts.told())


def _attempt(
    desk: Desk, host: Host, facts: Facts, engine: Engine, attempts: _Attempts
) -> Generator[Draft | Result, None, bool]:
    """Try one engine; gives True when bytes came, whole or not."""
    image = desk.work / "memory.lime"
    received = Received()
    record: dict[str, JSON] = {}
    papers: list[Paper] = []
    broken: BaseException | None = None
    try:
        with engine.prepare(host, facts, attempts.materials) as prepared:
            record, papers = prepared.record, prepared.papers
            with prepared.stream() as channel:
                receiving.receive(channel, image, received, _expected(facts), desk.progress)
    except (ForensicsError, KeyboardInterrupt) as problem:
        broken = problem
    if not received.size:
        image.unlink(missing_ok=True)
        reason = str(broken or "") or "the stream ended before its first byte: another process may have connected first"
        attempts.passed_over(engine.name, reason, record)
        if isinstance(broken, (*_NO_USE_TO_GO_ON, KeyboardInterrupt)):
            raise broken
        return False
    if broken and not received.reason:
        received.reason = _why(broken) if received.walk.shortfall else ""
    after = "" if received.reason or not broken else _why(broken)
    ended: dict[str, JSON] = {"outcome": "acquired", "reason": received.reason, "problem_afterwards": after}
    attempts.record.append({"engine": engine.name, **ended, **record})
    yield _image_draft(image, engine.name, received, record)
    yield from _paper_drafts(desk, papers)
    yield _record_draft(desk, attempts, received)
    yield Result(ITEM, Outcome.PARTIAL if received.reason else Outcome.DONE, received.reason, attempts.told())
    if broken and (after or isinstance(broken, KeyboardInterrupt)):
        raise broken
    return True


def _why(broken: BaseException) -> str:
    return "it was interrupted" if isinstance(broken, KeyboardInterrupt) else str(broken)


def _check_room(work: Path, facts: Facts) -> None:
    """Refuse to begin what cannot fit: memory and a twentieth, and a reserve."""
    needed = int(_expected(facts) * 1.05) + _RESERVE
    free = shutil.disk_usage(work).free
    if free < needed:
        raise StageFailed(
            "there is not enough room for the target's memory",
            where=f"{_volume(work)} (the file system of the case)",
            why=f"{needed} bytes are needed (memory × 1.05 and a reserve), {free} are free",
            remedy="make room there, or open the case on another volume with --root",
        )


def _volume(path: Path) -> Path:
    return next(one for one in (path.resolve(), *path.resolve().parents) if one.is_mount())


def _expected(facts: Facts) -> int:
    """Count the bytes of the target's RAM; the kernel's own total where the map is hidden."""
    return sum(one.size for one in facts.ram) or facts.memory_total


def _materials(desk: Desk, module: LimeModule | NotBuilt, wishes: Wishes) -> Materials:
    if isinstance(module, NotBuilt):
        return Materials(module, wishes=wishes)
    return Materials(module, desk.path(module.module), module.module.digest, wishes)


def _image_draft(path: Path, engine: str, received: Received, record: Mapping[str, JSON]) -> Draft:
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
        "ranges": [[one.range.start, one.range.end] for one in received.walk.segments],
    }
    digest = received.digest if received.written == received.size else None
    title = "Memory" if not received.reason else "Memory, not complete"
    return Draft(path, Role.EVIDENCE, "memory-image", title, "memory.lime", ITEM, facts=facts, digest=digest)


def _paper_drafts(desk: Desk, papers: list[Paper]) -> Iterator[Draft]:
    for paper in papers:
        path = desk.work / paper.name
        path.write_bytes(paper.content)
        yield Draft(path, Role.EVIDENCE, paper.kind, paper.title, paper.name, ITEM)


def _record_draft(desk: Desk, attempts: _Attempts, received: Received | None = None) -> Draft:
    told: dict[str, JSON] = {"recorded": utc(datetime.now(UTC)), "attempts": list(attempts.record)}
    if received:
        told["received"] = received.told()
    path = desk.work / "acquisition.json"
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return Draft(path, Role.EVIDENCE, "acquisition-record", "How memory was acquired", "acquisition.json", ITEM)
