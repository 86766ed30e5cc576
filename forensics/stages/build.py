"""Build: a LiME module for exactly the target's kernel, made on our side, or the reason why there is none."""

from __future__ import annotations

import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from forensics.errors import ForensicsError
from forensics.lime import apt, compiling, kmod, profiles
from forensics.lime import headers as kernel_headers
from forensics.lime.apt import AptSource
from forensics.lime.compiling import Compiled, LimeSource
from forensics.lime.headers import Headers
from forensics.lime.packages import FolderSource, Package, PackageSource
from forensics.lime.profiles import KeptModule
from forensics.model import JSON, Draft, Facts, LimeModule, NotBuilt, Outcome, Result, Role
from forensics.stage import Desk, Entered, stage

ITEM = "lime"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LATEST = "sid"  # where Debian has the newest LiME


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What the analyst says of the build."""

    profiles: Path
    headers: Path | None = None
    lime_source: Path | None = None
    package_source: str | None = None  # an apt archive's URL, or a folder of .deb files


@dataclass(slots=True)
class _Log:
    """What was tried, in order; becomes build.txt."""

    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)


def load_module(entered: Entered) -> LimeModule | NotBuilt:
    """Give the module as it stands on record, or why there is none."""
    module, result = entered.one("lime-module"), entered.result(ITEM)
    if module is None:
        return NotBuilt(entered.exhibits, result.reason if result else "the build did not end")
    facts = module.facts
    return LimeModule(entered.exhibits, module, str(facts.get("lime_version", "")), str(facts.get("vermagic", "")))


@stage(gives=load_module)
def build(desk: Desk, facts: Facts, settings: BuildSettings) -> Iterator[Draft | Result]:
    """Make the LiME module for exactly the target's kernel, on our side."""
    log = _Log()
    made: KeptModule | None = None
    reason = ""
    with tempfile.TemporaryDirectory(prefix="forensics-build-", ignore_cleanup_errors=True) as folder:
        try:
            made = _make(desk, facts, settings, log, Path(folder))
            module = kmod.read(made.path)
            _refuse_mismatch(module, facts)
            kept = desk.work / "lime.ko"
            shutil.copyfile(made.path, kept)
            profiles.keep(settings.profiles, facts, replace(made, path=kept), module.vermagic)
        except (ForensicsError, ValueError, OSError) as error:
            made, reason = None, str(error)
            log.say(f"NOT BUILT: {reason}")
    if made:
        yield _module_draft(kept, made, module)
    yield _log_draft(desk, log)
    yield Result(ITEM, Outcome.DONE if made else Outcome.FAILED, reason)


def _make(desk: Desk, facts: Facts, settings: BuildSettings, log: _Log, work: Path) -> KeptModule:
    """Take the module from the profile, or compile it. What the analyst names is taken before what was kept."""
    log.say(f"target: {facts.release} ({facts.version}), {facts.machine}")
    if not (settings.headers or settings.lime_source):
        kept = profiles.find(settings.profiles, facts)
        if isinstance(kept, KeptModule):
            log.say(f"taken from the kernel profile {kept.path}; it was made from:")
            log.lines += [f"  {line}" for line in kept.origin]
            return kept
        log.say(kept)
    if facts.machine != platform.machine():
        raise _not_built(
            f"the target is {facts.machine}, this machine is {platform.machine()}", "work on a machine of that kind"
        )
    desk.progress.say(f"Looking for headers of {facts.release}")
    sources = _sources(facts, settings)
    headers = _headers(facts, settings, sources, work)
    log.say(f"headers: {headers.origin}")
    log.lines += [f"  {package}" for package in headers.packages]
    return _compile(desk, facts, headers, _lime_sources(settings, sources, work), log)


def _compile(desk: Desk, facts: Facts, headers: Headers, sources: Iterator[LimeSource], log: _Log) -> KeptModule:
    failures = []
    for source in sources:
        desk.progress.say(f"Compiling LiME {source.version} for {facts.release}")
        log.say(f"LiME {source.version}: {source.package or source.folder}")
        compiled = compiling.compile_module(source, headers, facts.release)
        log.lines += [f"compiler: {compiled.compiler}", f"$ {' '.join(compiled.command)}", compiled.output.rstrip()]
        if compiled.module:
            return KeptModule(compiled.module, source.version, _origin(headers, source, compiled))
        failures.append(f"LiME {source.version}: {compiled.why}")
        log.say(f"did not compile: {compiled.why}")
    raise _not_built(
        "; ".join(failures) or f"no source of LiME ({compiling.PACKAGE}) could be had",
        _what_to_do(headers) if failures else "give LiME's source: --lime-source DIR",
    )


def _what_to_do(headers: Headers) -> str:
    asked = f"work where the kernel's own compiler is installed ({headers.compiler}), or " if headers.compiler else ""
    return f"{asked}give a source of LiME that compiles: --lime-source DIR; see build.txt"


def _sources(facts: Facts, settings: BuildSettings) -> list[PackageSource]:
    architecture = _ARCHITECTURES.get(facts.machine, facts.machine)
    suites = (facts.distribution_codename, _LATEST)
    found: list[PackageSource] = []
    if settings.package_source and Path(settings.package_source).is_dir():
        found.append(FolderSource(Path(settings.package_source)))
    elif settings.package_source:
        archive = apt.given_archive(settings.package_source, facts.distribution, suites[:1])
        found.append(AptSource((archive,), architecture))
    if re.fullmatch(r"[a-z][a-z0-9]{0,31}", facts.distribution_codename):
        archives = apt.configured_archives(facts.distribution, suites)
        found.append(AptSource(archives, architecture))
    return found


def _headers(facts: Facts, settings: BuildSettings, sources: Sequence[PackageSource], work: Path) -> Headers:
    if settings.headers:
        return kernel_headers.given(settings.headers, facts.release, work)
    here = kernel_headers.installed(facts.release)
    if here:
        return here
    version = re.search(r"\b(?:Debian|Ubuntu) (\d\S*)", facts.version)
    for source in sources:
        found = kernel_headers.packaged(source, facts.release, version[1] if version else "", work)
        if found:
            return found
    said = " ".join(line for source in sources if isinstance(source, AptSource) for line in source.said)
    raise _not_built(
        f"no headers of {facts.release} here, nor in any source of packages" + (f" ({said[-300:]})" if said else ""),
        f"give {kernel_headers.wanted(facts.release)}: --headers DIR, or --package-source URL|DIR "
        "(a snapshot archive, or a folder with the packages)",
    )


def _lime_sources(settings: BuildSettings, sources: Sequence[PackageSource], work: Path) -> Iterator[LimeSource]:
    if settings.lime_source:
        return iter([compiling.given(settings.lime_source)])
    return compiling.packaged(sources, work)


def _origin(headers: Headers, source: LimeSource, compiled: Compiled) -> tuple[str, ...]:
    packages: list[Package] = [*headers.packages, *([source.package] if source.package else [])]
    named = [f"LiME {source.version}: {source.package.name if source.package else source.folder}"]
    return (f"headers: {headers.origin}", *named, f"compiler: {compiled.compiler}", *map(str, packages))


def _refuse_mismatch(module: kmod.KernelModule, facts: Facts) -> None:
    found = kmod.differences(module, release=facts.release, machine=facts.machine, versions=facts.symbol_versions)
    if found:
        raise ForensicsError(
            "the module is not for the target's kernel, and is not uploaded",
            why="; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else ""),
            remedy="give headers of exactly that kernel",
        )


def _not_built(why: str, remedy: str) -> ForensicsError:
    return ForensicsError("no LiME module could be built for the target's kernel", why=why, remedy=remedy)


def _module_draft(path: Path, made: KeptModule, module: kmod.KernelModule) -> Draft:
    facts: dict[str, JSON] = {
        "lime_version": made.lime_version,
        "vermagic": module.vermagic,
        "machine": module.machine,
        "signed": module.signed,
        "symbols_with_crc": len(module.versions),
        "origin": list(made.origin),
    }
    title = f"LiME {made.lime_version} for {module.release}"
    return Draft(path, Role.INSTRUMENT, "lime-module", title, "lime.ko", ITEM, facts=facts)


def _log_draft(desk: Desk, log: _Log) -> Draft:
    path = desk.work / "build.txt"
    path.write_text("\n".join(log.lines) + "\n", encoding="utf-8", errors="backslashreplace")
    return Draft(path, Role.INSTRUMENT, "build-log", "How the LiME module was made", "build.txt", ITEM)
