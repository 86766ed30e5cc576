"""Import: an image that someone else took, with the papers it came with, checked and made readable."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from forensics import imports
from forensics.errors import ForensicsError, Refused, StageFailed
from forensics.imports import Converted, Form, banners, papers
from forensics.imports.papers import Compared
from forensics.model import JSON, Digest, Draft, MemoryImage, MemoryRange, NotAcquired, Outcome, Result, Role, utc
from forensics.stage import Desk, Entered, stage
from forensics.survey import procfs

ITEM = "memory"
_PIECE = 1 << 20
_RESERVE = 64 << 20  # bytes that stay free on the case's file system
_KINDS = {Form.KDUMP: "vmcore", Form.FLATTENED: "vmcore.flat", Form.ELF: "elf", Form.AVML: "avml", Form.RAW: "raw",
          Form.DEFLATED: "lime.zlib"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What the analyst says of an image: the file, its papers, and what else is known."""

    image: Path
    papers: tuple[Path, ...] = ()
    digests: tuple[str, ...] = ()  # as ALGORITHM:HEX
    ram_map: Path | None = None  # a copy of the machine's /proc/iomem
    source: str = ""  # who took it, when and how
    despite_papers: str = ""  # why it is entered though its papers do not agree


@dataclass(slots=True)
class _Import:
    """One import, as far as it is."""

    settings: ImportSettings
    form: Form
    started: str
    ram: tuple[MemoryRange, ...] = ()
    compared: tuple[Compared, ...] = ()
    computed: tuple[Digest, ...] = ()
    facts: dict[str, JSON] = field(default_factory=dict)

    @property
    def disagreement(self) -> str:
        """Say where papers and file differ, "" where they do not."""
        return "; ".join(
            f"{one.claim.paper} says {one.claim.digest}, the file has {one.computed}"
            for one in self.compared
            if not one.agrees
        )


def load_import(entered: Entered) -> MemoryImage | NotAcquired:
    """Give the image as it stands on record, or why there is none that can be read."""
    image, result = entered.one("memory-image"), entered.result(ITEM)
    if image is None:
        return NotAcquired(entered.exhibits, result.reason if result else "the import did not end")
    told = image.facts
    return MemoryImage(
        entered.exhibits, image, engine=str(told.get("engine", "")), started=str(told.get("started", "")),
        ended=str(told.get("ended", "")), ended_well=told.get("ended_well") is True, reason=str(told.get("reason", "")),
    )  # fmt: skip


@stage(gives=load_import)
def make_import(desk: Desk, settings: ImportSettings) -> Iterator[Draft | Result]:
    """Take an image that someone else took into the case, with its papers, in a form that can be analysed."""
    form = imports.recognise(settings.image)
    taken = _Import(settings, form, utc(datetime.now(UTC)), ram=_ram(settings.ram_map))
    copy = _copy(desk, taken)
    for paper in (*settings.papers, *((settings.ram_map,) if settings.ram_map else ())):
        kept = desk.work / f"paper-{len(list(desk.work.glob('paper-*')))}.txt"
        shutil.copyfile(paper, kept)
        title = "RAM map that came with the image" if paper == settings.ram_map else "Paper that came with the image"
        yield Draft(kept, Role.EVIDENCE, "paper", title, "paper.txt", ITEM, facts={"named": paper.name[:255]})
    if form is Form.LIME:
        yield from _lime(desk, taken, copy)
        return
    name = f"memory.{_KINDS[form]}"
    kept = copy.rename(desk.work / name)
    problem, converted = "", None
    lime = desk.work / "memory.lime.part"
    try:
        converted = _convert(desk, taken, kept, lime)
    except (ForensicsError, OSError) as error:
        problem = f"it cannot be made readable: {error}"
    title = f"Memory as it came ({form})"
    original: dict[str, JSON] = {**_told(taken), "reason": problem}
    yield Draft(kept, Role.EVIDENCE, "memory-original", title, name, ITEM, facts=original, digest=_sha256(taken))
    if converted is None:
        yield _record(desk, taken, None)
        yield Result(ITEM, Outcome.FAILED, problem)
        return
    yield from _readable(desk, taken, lime.rename(desk.work / "memory.lime"), converted, Role.DERIVED)


def _lime(desk: Desk, taken: _Import, copy: Path) -> Iterator[Draft | Result]:
    image = copy.rename(desk.work / "memory.lime")
    walked = imports.walk(image)
    if not walked.segments:
        yield Draft(image, Role.EVIDENCE, "memory-original", "Memory as it came (damaged)", "memory.lime", ITEM,
                    facts=_told(taken), digest=_sha256(taken))  # fmt: skip
        yield _record(desk, taken, None)
        yield Result(ITEM, Outcome.FAILED, f"it is no whole LiME image: {walked.shortfall}")
        return
    short = (f"it is no whole LiME image: {walked.shortfall}",) if walked.shortfall else ()
    size = sum(one.received for one in walked.segments)
    yield from _readable(desk, taken, image, Converted(len(walked.segments), size, short), Role.EVIDENCE)


def _readable(desk: Desk, taken: _Import, image: Path, converted: Converted, role: Role) -> Iterator[Draft | Result]:
    """Enter the image that is analysed, what is known of it, and how the import ended."""
    reasons = "; ".join(converted.shortfalls)
    facts: dict[str, JSON] = {
        **_told(taken), "ended_well": not reasons, "reason": reasons, "left_out": converted.left_out,
        "tells_ram": converted.tells_ram, "bytes": converted.size, "ranges_held": converted.ranges,
        "ram_map": [[one.start, one.end] for one in taken.ram], **converted.facts,
    }  # fmt: skip
    said = banners.find(image, converted.vmcoreinfo)
    title = "Memory, imported" if role is Role.EVIDENCE else f"Memory, converted from {taken.form} into LiME format"
    digest = _sha256(taken) if role is Role.EVIDENCE else None
    yield Draft(image, role, "memory-image", title, "memory.lime", ITEM, facts=facts, digest=digest)
    if converted.vmcoreinfo:
        info = desk.work / "vmcoreinfo.txt"
        info.write_bytes(converted.vmcoreinfo)
        yield Draft(info, Role.DERIVED, "vmcoreinfo", "VMCOREINFO of the image", "vmcoreinfo.txt", ITEM)
    path = desk.work / "facts.json"
    path.write_bytes(banners.facts(said, taken.ram, converted.vmcoreinfo))
    yield Draft(path, Role.DERIVED, "facts", "What the image says of its machine", "facts.json", ITEM)
    yield _record(desk, taken, converted)
    lacking = "; ".join(part for part in (taken.disagreement, reasons, converted.left_out) if part)
    yield Result(ITEM, Outcome.PARTIAL if lacking else Outcome.DONE, lacking)


def _copy(desk: Desk, taken: _Import) -> Path:
    """Copy the file into the case, hashed as it passes; Refused when its papers say otherwise."""
    settings = taken.settings
    claims = [claim for path in settings.papers for claim in papers.read(path, settings.image.name)]
    claims += [papers.given(one) for one in settings.digests]
    size = settings.image.stat().st_size
    _check_room(desk.work, size)
    hashers = papers.hashers(papers.algorithms(claims))
    copy = desk.work / "memory.part"
    desk.progress.say(f"Copying {size} bytes into the case")
    with settings.image.open("rb") as file, copy.open("xb") as out, desk.progress.task("copying", size) as advance:
        while piece := file.read(_PIECE):
            for one in hashers.values():
                one.update(piece)
            out.write(piece)
            advance(len(piece))
    taken.computed = tuple(Digest(name, one.hexdigest()) for name, one in hashers.items())
    taken.compared = papers.compare(claims, taken.computed)
    if taken.disagreement and not settings.despite_papers:
        copy.unlink()
        raise Refused(
            "the image is not what its papers say",
            where=str(settings.image),
            why=taken.disagreement,
            remedy="get the file again; or enter it as it is, on record: --despite-papers REASON",
        )
    for said in taken.compared:
        word = "agrees" if said.agrees else "DIFFERS"
        desk.progress.say(f"{said.claim.paper}: {said.claim.digest.algorithm} {word}")
    return copy


def _convert(desk: Desk, taken: _Import, source: Path, output: Path) -> Converted:
    free = shutil.disk_usage(desk.work).free - _RESERVE
    desk.progress.say(f"Converting from {taken.form} into LiME format")
    return imports.convert(imports.Order(source, output, free, desk.progress, taken.ram), taken.form)


def _check_room(work: Path, size: int) -> None:
    free = shutil.disk_usage(work).free
    if free < size + _RESERVE:
        raise StageFailed(
            "there is not enough room for the image",
            where=str(work),
            why=f"{size + _RESERVE} bytes are wanted, {free} are free",
            remedy="make room there, or open the case on another volume with --root",
        )


def _ram(path: Path | None) -> tuple[MemoryRange, ...]:
    if path is None:
        return ()
    found = procfs.system_ram(path.read_bytes()[: papers.LARGEST])
    if not found:
        raise StageFailed(
            "the RAM map names no System RAM",
            where=str(path),
            why="it is no copy of /proc/iomem, or one that was made without root",
            remedy="leave --ram-map out; the verdict is unknown then",
        )
    return found


def _sha256(taken: _Import) -> Digest:
    return next(one for one in taken.computed if one.algorithm == "sha256")


def _told(taken: _Import) -> dict[str, JSON]:
    settings = taken.settings
    return {
        "engine": f"import ({taken.form})",
        "started": taken.started,
        "ended": utc(datetime.now(UTC)),
        "file": re.sub(r"[^\x20-\x7e]", "?", settings.image.name)[:255],
        "modified": utc(datetime.fromtimestamp(settings.image.stat().st_mtime, UTC)),
        "taken_by": settings.source,
        "papers_agree": all(one.agrees for one in taken.compared) if taken.compared else None,
        "despite_papers": settings.despite_papers if taken.disagreement else "",
    }


def _record(desk: Desk, taken: _Import, converted: Converted | None) -> Draft:
    """Write down what was compared, and what became of the file."""
    told: dict[str, JSON] = {
        **_told(taken),
        "digests": [str(one) for one in taken.computed],
        "papers": [
            {"paper": one.claim.paper, "says": str(one.claim.digest), "agrees": one.agrees} for one in taken.compared
        ],
        "papers_without_a_digest": [
            path.name for path in taken.settings.papers if path.name not in {one.claim.paper for one in taken.compared}
        ],
    }
    if converted:
        told |= {"bytes": converted.size, "shortfalls": list(converted.shortfalls), "left_out": converted.left_out}
        told |= converted.facts
    path = desk.work / "import.json"
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return Draft(path, Role.EVIDENCE, "acquisition-record", "How the image was imported", "import.json", ITEM)
