"""Acquire: the target's memory, streamed, hashed while it arrives, never on the target's disk."""

from __future__ import annotations

import ctypes
import gc
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from forensics import encryption
from forensics.acquisition.record import ITEM, Attempts, image_draft, paper_drafts, record_draft, unlike_source
from forensics.engines import Engine, Materials, Paper, Wishes
from forensics.engines.avml import Avml
from forensics.engines.kcore import Kcore
from forensics.engines.lime import Lime
from forensics.engines.lime_disk import LimeDisk
from forensics.errors import ForensicsError, HostKeyRefused, LoginRefused, StageFailed, SudoRefused, Unreachable
from forensics.guarding import watch
from forensics.guarding.pace import Paced
from forensics.guarding.shield import shielded
from forensics.guarding.watch import Bounds
from forensics.host import Channel, Gone, Host
from forensics.lime import receiving
from forensics.lime.receiving import Received, Sealed
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
)
from forensics.stage import Desk, Entered, stage

LADDER: tuple[Engine, ...] = (Lime(), Kcore())
"""The engines that need nothing of the analyst, the best first."""
ASKED: tuple[Engine, ...] = (LimeDisk(), Avml())
"""Those that need a folder or a program of the analyst's."""

_RESERVE = 64 << 20  # bytes that stay free on the case's file system
_KEPT_FREE = 32 << 20  # bytes at which an encrypted stream is ended: what is on its way, and age's end, still fit
_NO_BYTE = "the stream ended before its first byte: another process may have connected first"
_NO_USE_TO_GO_ON = (HostKeyRefused, LoginRefused, SudoRefused, Unreachable)


@dataclass(frozen=True, slots=True)
class AcquireSettings:
    """What the analyst says of the acquisition."""

    engine: str = "auto"  # or the name of one
    streams: int = 0  # connections at once, for engines that can; 0: as many as the engine finds best
    compression: str = "none"  # on the target, for engines that can: none, auto, zstd, lz4, gzip
    carry: str = "auto"  # how LiME's port comes here: auto, forward, exec, tls
    lime_digest: bool = False  # LiME hashes what it sends, too
    target_folder: str = ""  # for lime_disk
    leave_there: bool = False  # lime_disk's image is not fetched
    avml: Path | None = None
    avml_digest: str = ""
    limit: int = 0  # bytes a second at most; 0: as fast as it comes
    bounds: Bounds = field(default_factory=Bounds)  # what the target must keep

    @property
    def wishes(self) -> Wishes:
        """What of it is for the engines."""
        return Wishes(
            streams=self.streams,
            compression=self.compression,
            carry=self.carry,
            lime_digest=self.lime_digest,
            folder=self.target_folder,
            leave_there=self.leave_there,
            avml=self.avml,
            avml_digest=self.avml_digest,
        )


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
    """Give the engines to ask, in order, each with what its check says; StageFailed for a name that is none.

    auto passes by, without a word, those for which the analyst gave nothing.
    """
    given = {"lime_disk": bool(settings.target_folder), "avml": settings.avml is not None}
    named = [*LADDER, *(engine for engine in ASKED if given[engine.name])]
    if settings.engine != "auto":
        named = [engine for engine in (*LADDER, *ASKED) if engine.name == settings.engine]
    if not named:
        raise StageFailed(
            f"there is no engine named {settings.engine}",
            why=f"there are: {', '.join(engine.name for engine in (*LADDER, *ASKED))}",
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
    _give_memory_back()
    materials = _materials(desk, module, settings.wishes)
    attempts = Attempts(materials, settings.limit, settings.bounds)
    for engine, told in choose(settings, facts, materials):
        if told.works is False:
            attempts.passed_over(engine.name, told.why)
            continue
        if reason := watch.too_little(host, settings.bounds):
            yield Result(ITEM, Outcome.NOT_RUN, "; ".join([*attempts.reasons, reason]), attempts.told())
            return
        desk.progress.say(f"Acquiring memory with {engine.name}: {told.why}")
        ended = yield from _attempt(desk, host, facts, engine, attempts)
        if ended:
            return
        if attempts.spared:
            break
    yield record_draft(desk, attempts)
    others = () if attempts.spared else _others(settings, facts, materials)
    reasons = (*attempts.reasons, *others)
    yield Result(ITEM, Outcome.FAILED, "; ".join(reasons), attempts.told())


def _give_memory_back() -> None:
    """Return what earlier stages needed to the system: what a symbol table takes is no use while memory arrives.

    malloc_trim(3) is glibc's; elsewhere it is not there, and nothing is lost.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


@dataclass(slots=True)
class _Taken:
    """What one engine gave, however it ended."""

    received: Received = field(default_factory=Received)
    record: dict[str, JSON] = field(default_factory=dict)
    papers: list[Paper] = field(default_factory=list)
    broken: BaseException | None = None


def _attempt(
    desk: Desk, host: Host, facts: Facts, engine: Engine, attempts: Attempts
) -> Generator[Draft | Result, None, bool]:
    """Try one engine; gives True when bytes came, whole or not, or when no other engine is to be tried."""
    sealed = _sealed(desk)
    image = _image(desk, sealed)
    taken = _take(desk, host, facts, engine, attempts)
    received, broken = taken.received, taken.broken
    if taken.record.get("left_there") and not broken:
        yield from _left(desk, engine, taken.record, attempts)
        return True
    if not received.size:
        image.unlink(missing_ok=True)
        said = "" if received.reason == received.walk.shortfall else received.reason
        reason = str(broken or "") or said or _NO_BYTE
        attempts.passed_over(engine.name, reason, taken.record)
        if isinstance(broken, (*_NO_USE_TO_GO_ON, KeyboardInterrupt)):
            raise broken
        return False
    if broken and not received.reason:
        received.reason = _why(broken) if received.walk.shortfall else ""
    received.reason = received.reason or unlike_source(received, taken.record)
    after = "" if received.reason or not broken else _why(broken)
    ended: dict[str, JSON] = {"outcome": "acquired", "reason": received.reason, "problem_afterwards": after}
    attempts.record.append({"engine": engine.name, **ended, **taken.record})
    yield image_draft(image, engine.name, received, taken.record, sealed)
    yield from paper_drafts(desk, taken.papers)
    yield record_draft(desk, attempts, received)
    yield Result(ITEM, Outcome.PARTIAL if received.reason else Outcome.DONE, received.reason, attempts.told())
    if broken and (after or isinstance(broken, KeyboardInterrupt)):
        raise broken
    return True


def _take(desk: Desk, host: Host, facts: Facts, engine: Engine, attempts: Attempts) -> _Taken:
    """Let an engine work, guarded, and bring what it gives to the disk; what went wrong is `broken`."""
    taken = _Taken()
    try:
        with ExitStack() as around:
            guards, materials = _guarded(around, host, attempts)
            prepared = around.enter_context(engine.prepare(host, facts, materials))
            taken.record, taken.papers = prepared.record, prepared.papers
            taken.record["guards"] = guards
            with prepared.stream() as channel:
                if not taken.record.get("left_there"):
                    paced = Paced(channel, attempts.limit) if attempts.limit else channel
                    _receive(desk, paced, taken.received, _expected(facts), materials.halted)
    except (ForensicsError, KeyboardInterrupt) as problem:
        taken.broken = problem
    return taken


def _receive(desk: Desk, channel: Channel, received: Received, expected: int, halted: Callable[[], str]) -> None:
    """Bring the stream to the disk; one that is encrypted ends while there is room for its end."""
    sealed = _sealed(desk)

    def full() -> str:
        free = shutil.disk_usage(desk.work).free if sealed.to else _KEPT_FREE
        return halted() or (
            "" if free >= _KEPT_FREE else f"the disk is full: {free} bytes are left ({_volume(desk.work)})"
        )

    image = _image(desk, sealed)
    receiving.receive(channel, image, received, expected, desk.progress, halted=full, sealed=sealed)


def _sealed(desk: Desk) -> Sealed:
    return Sealed(encryption.chosen(desk.case_facts), str(desk.case_facts.get("second_digest") or ""))


def _image(desk: Desk, sealed: Sealed) -> Path:
    return desk.work / f"memory.lime{encryption.SUFFIX if sealed.to else ''}"


def _guarded(around: ExitStack, host: Host, attempts: Attempts) -> tuple[dict[str, JSON], Materials]:
    """Shield our sshd and watch the target until the stack is left; gives what is put on record of it then."""
    guards: dict[str, JSON] = {}
    shield = around.enter_context(shielded(host))
    seen = around.enter_context(watch.watching(host, attempts.bounds))

    def halted() -> str:
        attempts.spared = seen.reason
        return seen.reason

    around.callback(lambda: guards.update(sshd=shield.told(), watch=seen.told(), limit=attempts.limit))
    return guards, replace(attempts.materials, halted=halted)


def _left(desk: Desk, engine: Engine, record: Mapping[str, JSON], attempts: Attempts) -> Iterator[Draft | Result]:
    """Put an image on record that stays on the target: where it is, how large, and its digest."""
    short = record["bytes_there"] != record["bytes_expected"]
    reason = (
        f"the image stays on the target as asked, at {record['left_there']}: {record['bytes_there']} bytes, "
        f"{record['source_digest']}"
        + (f"; {record['bytes_expected']} bytes were expected by the RAM map" if short else "")
        + "; forensics import takes it in, with the paper that lies beside it"
    )
    attempts.record.append({"engine": engine.name, "outcome": "left on the target", "reason": reason, **record})
    yield record_draft(desk, attempts)
    yield Result(ITEM, Outcome.PARTIAL, reason, attempts.told())


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
