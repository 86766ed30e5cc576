"""Build: a LiME module for exactly the target's kernel, made on our side, or the reason why there is none."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forensics.errors import ForensicsError
from forensics.lime import compiling, supplies, trees
from forensics.lime.apt import AptSource
from forensics.lime.compiling import Compiled, LimeSource
from forensics.lime.headers import Headers
from forensics.lime.made import ITEM, Key, checked, finish, load_module, log_draft, module_draft
from forensics.lime.packages import Package, PackageSource, PackageUnavailable
from forensics.lime.room import Room, confined
from forensics.lime.target_headers import TargetHeaders
from forensics.lime.trees import Wanted
from forensics.model import Draft, Facts, Outcome, Result
from forensics.profiles import keeping
from forensics.profiles.keeping import KeptModule
from forensics.profiles.record import Kernel
from forensics.ssh import Secret
from forensics.stage import Desk, stage


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What the analyst says of the build."""

    profiles: Path
    headers: Path | None = None
    lime_source: Path | None = None
    package_source: str | None = None  # an apt archive's URL, or a folder of .deb files
    module_key: Path | None = None  # a private key that the target's kernel trusts, PEM
    module_certificate: Path | None = None


@dataclass(slots=True)
class _Log:
    """What was tried, in order; becomes build.txt."""

    lines: list[str] = field(default_factory=list)

    lacking: list[str] = field(default_factory=list)  # places to compile in that could not be had

    def say(self, line: str) -> None:
        self.lines.append(line)


@dataclass(frozen=True, slots=True)
class _Bench:
    """What a module is made of, and where."""

    facts: Facts
    headers: Headers
    sources: tuple[LimeSource, ...]
    work: Path


@stage(gives=load_module)
def build(
    desk: Desk, facts: Facts, headers: TargetHeaders, settings: BuildSettings, passphrase: Secret | None = None
) -> Iterator[Draft | Result]:
    """Make the LiME module for exactly the target's kernel, on our side."""
    log = _Log()
    made: KeptModule | None = None
    reason = signed_by = ""
    with tempfile.TemporaryDirectory(prefix="forensics-build-", ignore_cleanup_errors=True) as folder:
        try:
            copied = desk.path(headers.archive) if headers.archive else None
            log.say(f"headers of the target: {headers.archive.digest if headers.archive else headers.reason}")
            made, for_others = _make(desk, facts, settings, copied, log, Path(folder))
            module = checked(made.path, facts)
            kept = desk.work / "lime.ko"
            if for_others:
                _keep(settings.profiles, facts, made, module.vermagic, log)
            key = Key(settings.module_key, settings.module_certificate)
            signed_by = finish(made.path, kept, facts, key, passphrase)
            log.say(f"signed by {signed_by}" if signed_by else "not signed")
        except (ForensicsError, ValueError, OSError) as error:
            made, reason = None, str(error)
            log.say(f"NOT BUILT: {reason}")
    if made:
        yield module_draft(kept, made.lime_version, made.origin, module, signed_by)
    yield log_draft(desk.work, log.lines)
    yield Result(ITEM, Outcome.DONE if made else Outcome.FAILED, reason)


def _keep(profiles: Path, facts: Facts, made: KeptModule, vermagic: str, log: _Log) -> None:
    """Keep a module for the next case; where that cannot be, this case has it all the same."""
    try:
        keeping.keep(profiles, Kernel.of(facts), made, vermagic)
    except (ForensicsError, OSError) as problem:
        log.say(f"not kept for other cases: {problem}")


def _make(  # noqa: PLR0917 - all that a module is made of
    desk: Desk, facts: Facts, settings: BuildSettings, copied: Path | None, log: _Log, work: Path
) -> tuple[KeptModule, bool]:
    """Take the module from the profile, or compile it; tells whether it may serve other targets, too.

    What the analyst names is taken before what was kept.
    """
    log.say(f"target: {facts.release} ({facts.version}), {facts.machine}")
    if not (settings.headers or settings.lime_source):
        kept = keeping.find(settings.profiles, facts)
        if isinstance(kept, KeptModule):
            log.say(f"taken from the kernel profile {kept.path}; it was made from:")
            log.lines += [f"  {line}" for line in kept.origin]
            return kept, False
        log.say(kept)
    if facts.machine != platform.machine():
        raise supplies.not_built(
            f"the target is {facts.machine}, this machine is {platform.machine()}", "work on a machine of that kind"
        )
    sources = supplies.sources(facts, settings.package_source)
    limes = tuple(_lime_sources(settings, sources, work))
    failures = []
    desk.progress.say(f"Looking for headers of {facts.release}")
    for found in supplies.headers(facts, settings.headers, sources, supplies.Copied(copied, work, log.say)):
        log.say(f"headers: {found.origin}")
        log.lines += [f"  {package}" for package in found.packages]
        bench = _Bench(facts, found, limes, work)
        try:
            return _compile(desk, bench, _rooms(desk, bench, sources, log), log), not found.of_target
        except ForensicsError as problem:
            failures.append(problem)
            log.say(f"not made with these headers: {problem}")
    raise failures[-1] if failures else supplies.no_headers(facts, sources)


def _compile(desk: Desk, bench: _Bench, rooms: Iterator[Room], log: _Log) -> KeptModule:
    """Try each room with each source of LiME, the best first."""
    failures = []
    walls = "in a room without network, home or environment" if confined() else "in the open: there is no bubblewrap"
    log.say(f"compiled {walls}")
    if not bench.sources:
        raise supplies.not_built(f"no source of LiME ({compiling.PACKAGE}) could be had", "give one: --lime-source DIR")
    for room, source in ((room, source) for room in rooms for source in bench.sources):
        desk.progress.say(f"Compiling LiME {source.version} for {bench.facts.release} with {room.origin}")
        log.say(f"LiME {source.version}: {source.package or source.folder}")
        compiled = compiling.compile_module(source, bench.headers, bench.facts.release, room, bench.work)
        log.lines += [f"compiler: {compiled.compiler}", f"$ {' '.join(compiled.command)}", compiled.output.rstrip()]
        if compiled.module:
            return KeptModule(compiled.module, source.version, _origin(bench.headers, source, compiled, room))
        failures.append(f"LiME {source.version} with {room.origin}: {compiled.why}")
        log.say(f"did not compile: {compiled.why}")
    raise supplies.not_built("; ".join([*failures, *log.lacking]), _what_to_do(bench.headers))


def _what_to_do(headers: Headers) -> str:
    asked = f"work where the kernel's own compiler is installed ({headers.compiler}), or " if headers.compiler else ""
    return f"{asked}give a source of LiME that compiles: --lime-source DIR; see build.txt"


def _rooms(desk: Desk, bench: _Bench, sources: Sequence[PackageSource], log: _Log) -> Iterator[Room]:
    """Give the places to compile in: where the kernel's own compiler is here, this machine, else its release's tree."""
    asked, here = bench.headers.compiler, Room()
    fits = not asked or here.has(asked)
    if fits:
        yield here
    try:
        yield _tree(desk, bench, sources, log)
    except ForensicsError as problem:
        log.lacking.append(str(problem))
        log.say(f"no tree of the target's own release: {problem}")
    if not fits:
        yield here


def _tree(desk: Desk, bench: _Bench, sources: Sequence[PackageSource], log: _Log) -> Room:
    facts = bench.facts
    suite, compiler = facts.distribution_codename, bench.headers.compiler or "gcc"
    if not supplies.SUITE.fullmatch(suite):
        raise PackageUnavailable("the target does not tell which release of its distribution it is")
    desk.progress.say(f"Fetching the programs of {suite} with {compiler} (once for this release, a minute or so)")
    archives = [one for source in sources if isinstance(source, AptSource) for one in source.archives]
    architecture = supplies.architecture(facts)
    wanted = Wanted(facts.distribution, suite, architecture, compiler, bench.headers.needs)
    room = trees.bootstrap(wanted, archives)
    log.say(f"programs of {room.origin}:")
    log.lines += [f"  {package}" for package in room.packages]
    return room


def _lime_sources(settings: BuildSettings, sources: Sequence[PackageSource], work: Path) -> Iterator[LimeSource]:
    if settings.lime_source:
        return iter([compiling.given(settings.lime_source)])
    return compiling.packaged(sources, work)


def _origin(headers: Headers, source: LimeSource, compiled: Compiled, room: Room) -> tuple[str, ...]:
    packages: list[Package] = [*headers.packages, *([source.package] if source.package else []), *room.packages]
    named = [f"LiME {source.version}: {source.package.name if source.package else source.folder}"]
    compiler = f"compiler: {compiled.compiler}, of {room.origin}"
    return (f"headers: {headers.origin}", *named, compiler, *map(str, packages))
