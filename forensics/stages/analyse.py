"""analyse: run Volatility's plugins on the image; each one's rows and end are on record as soon as it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from forensics import bundle, yararules
from forensics.bundle import Bundle
from forensics.errors import StageFailed
from forensics.model import (
    Analysis,
    Draft,
    Exhibit,
    MemoryImage,
    NoSymbols,
    NotAcquired,
    Outcome,
    Proof,
    Result,
    Role,
    SymbolTable,
    Verdict,
)
from forensics.plan import Plan
from forensics.stage import Desk, Entered, stage
from forensics.text import show
from forensics.volatility import DEFAULT, YARA, AskedPlugin, Ended, Job, Opened, Unusable, run
from forensics.volatility.messages import Limits
from forensics.volatility.spread import Cluster, connected, spread

_FOR_SHARED_MACHINES = 4
_RULES = "yara-rules"
_OWN = "own-plugins"
_LACKING = {Verdict.PARTIAL, Verdict.COMPLETE_WITH_GAPS}


def _children() -> int:
    return max(1, min(_FOR_SHARED_MACHINES, len(os.sched_getaffinity(0))))


@dataclass(frozen=True, slots=True)
class AnalyseSettings:
    """Which plugins run, and what each may use."""

    plugins: tuple[AskedPlugin, ...] = tuple(map(AskedPlugin, DEFAULT))
    seconds: float = 1800.0  # of the wall clock, a plugin
    memory: int = 2 << 30  # bytes, a plugin
    plugin_folders: tuple[str, ...] = ()  # absolute; the analyst's own plugins
    plugin_digests: tuple[str, ...] = ()  # of what was read in each of them (bundle)
    children: int = 0  # plugins at the same time; 0: one a processor, four at most
    yara: str = ""  # absolute folder of YARA rules; "": none are asked for
    yara_digest: str = ""  # of the rules that were read there (yararules)
    cluster: str = ""  # the address of a Dask scheduler; "": workers of this machine
    cluster_tls: str = ""  # absolute folder of its keys


def settings_of(plan: Plan) -> AnalyseSettings:
    """Give what a plan says of the analysis; UsageError when its YARA rules or plugin folders cannot be used."""
    plugins = plan.analysis or tuple(map(AskedPlugin, DEFAULT))
    folders = tuple(map(str, plan.folders))
    code = tuple(_code(folder).digest for folder in folders)
    chosen = AnalyseSettings(
        plugins, plugin_folders=folders, plugin_digests=code, cluster=plan.cluster, cluster_tls=plan.cluster_tls
    )
    if not plan.yara:
        return chosen
    rules = yararules.read(Path(plan.yara).absolute())
    asked = (*plugins, AskedPlugin(YARA))
    return replace(chosen, plugins=asked, yara=str(rules.folder), yara_digest=rules.digest)


def load_analysis(entered: Entered) -> Analysis:
    """Give the plugins' exhibits and how each plugin ended."""
    return Analysis(entered.exhibits, entered.results)


@stage(gives=load_analysis)
def analyse(
    desk: Desk,
    image: MemoryImage | NotAcquired,
    table: SymbolTable | NoSymbols,
    proof: Proof,
    settings: AnalyseSettings,
) -> Iterator[Draft | Result]:
    """Run the plugins on the image with the kernel's symbol table."""
    left = [name for name in dict.fromkeys(one.item for one in settings.plugins) if name not in desk.results]
    if not proof.usable:
        desk.progress.say(
            f"the image was {proof.verdict.value} when it was proven: {show('; '.join(proof.reasons), 300)}"
        )
    why = _why_not(image, table)
    locked = desk.withheld(image.image) if isinstance(image, MemoryImage) and not why else ""
    if locked:
        yield from (Result(name, Outcome.NOT_RUN, locked, {"withheld": True}) for name in left)
        return
    if why:
        yield from (Result(name, Outcome.NOT_RUN, why) for name in left)
        return
    assert isinstance(image, MemoryImage)  # noqa: S101 (told apart by _why_not)
    assert isinstance(table, SymbolTable)  # noqa: S101
    if YARA in left and settings.yara:
        yield _rules(desk, settings)
    if left:
        yield from _own_plugins(desk, settings)
        lacking = f"{proof.verdict.value}: {'; '.join(proof.reasons)}" if proof.verdict in _LACKING else ""
        yield from _run(desk, image.image, table.fitting(proof.table), left, settings, lacking)


def _code(folder: str) -> Bundle:
    return bundle.read(Path(folder), lambda path: "__pycache__" not in path.parts, "files beside the plugins")


def _copies(desk: Desk, settings: AnalyseSettings) -> tuple[Path, ...]:
    return tuple(desk.work.resolve() / f"{_OWN}-{count}" for count in range(1, len(settings.plugin_folders) + 1))


def _own_plugins(desk: Desk, settings: AnalyseSettings) -> Iterator[Draft]:
    """Put the analyst's own plugins where the workers read them, and on record as they stand there."""
    for folder, digest, copy in zip(
        settings.plugin_folders, settings.plugin_digests, _copies(desk, settings), strict=True
    ):
        code = _code(folder)
        if code.digest != digest:
            _changed("plugins", folder)
        code.write(copy)
        kept = copy.with_suffix(".tar")
        kept.write_bytes(code.archive())
        title = f"Plugins of the analyst's own, {len(code.files)} files"
        yield Draft(kept, Role.INSTRUMENT, "plugin-code", title, facts={"folder": show(folder, 300), **code.told()})


def _changed(what: str, where: str) -> NoReturn:
    raise StageFailed(
        f"the {what} were changed since the run began", where=where, remedy="run again with what they are"
    )


def _rules(desk: Desk, settings: AnalyseSettings) -> Draft:
    """Put the rules where the plugin reads them, and on record as they stand there."""
    rules = yararules.read(Path(settings.yara))
    if rules.digest != settings.yara_digest:
        _changed("YARA rules", settings.yara)
    rules.write(desk.work / _RULES)
    kept = desk.work / f"{_RULES}.tar"
    kept.write_bytes(rules.archive())
    return Draft(
        kept, Role.INSTRUMENT, "yara-rules", f"YARA rules, {len(rules.files)} files", item=YARA, facts=rules.told()
    )


def _why_not(image: MemoryImage | NotAcquired, table: SymbolTable | NoSymbols) -> str:
    if isinstance(image, NotAcquired):
        return f"there is no memory image: {image.reason}"
    if isinstance(table, NoSymbols):
        return f"there is no symbol table for this kernel: {table.reason}"
    return ""


def _run(  # noqa: PLR0917 - all that a run of plugins is made of
    desk: Desk, image: Exhibit, table: Exhibit, names: list[str], settings: AnalyseSettings, lacking: str
) -> Iterator[Draft | Result]:
    given = {one.item: one.arguments for one in settings.plugins if one.arguments and one.item in names}
    if settings.yara:
        given[YARA] = {"rules": str((desk.work / _RULES).resolve())}
    job = Job(
        image=str(desk.path(image).resolve()),
        table=str(desk.path(table).resolve()),
        folder=str(desk.work.resolve()),
        plugins=tuple(names),
        children=settings.children or _children(),
        limits=Limits(settings.seconds, settings.memory),
        plugin_folders=tuple(map(str, _copies(desk, settings))),
        sources=(image.number, table.number),
        arguments=given,
    )
    desk.progress.say(f"Volatility opens {image.number} with {table.number}")
    digests = {job.image: str(image.digest), job.table: str(table.digest)}
    with _working(job, digests, settings) as said, desk.progress.task("plugins", len(names), "plugins") as done:
        for message in said:
            if isinstance(message, Ended):
                message = _doubted(message, lacking)  # noqa: PLW2901
                yield from _enter(desk, message, (image, table))
                desk.progress.say(f"{message.item}: {_words(message)}")
                done(1)
            elif not isinstance(message, Opened):
                yield from (Result(name, Outcome.FAILED, message.reason, message.facts) for name in names)


@contextmanager
def _working(
    job: Job, digests: Mapping[str, str], settings: AnalyseSettings
) -> Iterator[Iterator[Opened | Unusable | Ended]]:
    """Let workers of this machine run the plugins, or those of a cluster."""
    if not settings.cluster:
        with closing(run(job)) as said:
            yield said
        return
    where = Cluster(settings.cluster, settings.cluster_tls)
    with connected(where) as (executor, machines), closing(spread(job, digests, executor, machines)) as said:
        yield said


def _doubted(ended: Ended, lacking: str) -> Ended:
    """Nothing found in an image that lacks memory does not show that there was nothing."""
    if ended.outcome is not Outcome.EMPTY or not lacking:
        return ended
    why = f"it found nothing, and what it looks for may be in the memory that is not there ({show(lacking, 300)})"
    return replace(ended, outcome=Outcome.PARTIAL, reason=why)


def _enter(desk: Desk, ended: Ended, sources: tuple[Exhibit, ...]) -> Iterator[Draft | Result]:
    if ended.kept:
        yield Draft(
            desk.work / f"{ended.item}.jsonl",
            Role.DERIVED,
            "plugin-result",
            f"Volatility {ended.item}",
            item=ended.item,
            sources=sources,
            facts={"rows": ended.facts.get("rows", 0), "outcome": ended.outcome.value},
        )
    for place, named in ended.files:
        path = desk.work / place
        title = f"File that Volatility {ended.item} wrote"
        yield Draft(path, Role.DERIVED, "plugin-file", title, f"{ended.item.rpartition('.')[2]}-{path.name}.bin",
                    item=ended.item, sources=sources, facts={"named": named})  # fmt: skip
    yield Result(ended.item, ended.outcome, ended.reason, ended.facts)


def _words(ended: Ended) -> str:
    rows = f"{ended.facts['rows']} rows in {ended.facts['seconds']} s" if ended.kept else ""
    return ", ".join(part for part in (ended.outcome.value, rows, show(ended.reason, 300)) if part)
