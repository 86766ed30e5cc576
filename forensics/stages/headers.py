"""Headers: the kernel headers that the target itself keeps, copied before anything is built, where they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import ForensicsError, TargetError, Unreachable
from forensics.host import Gone, Host
from forensics.lime import headers as kernel_headers
from forensics.lime import target_headers
from forensics.lime.target_headers import TargetHeaders
from forensics.model import Draft, Facts, Outcome, Result, Role
from forensics.profiles import keeping
from forensics.profiles.keeping import KeptModule
from forensics.stage import Desk, Entered, stage

ITEM = "headers"


@dataclass(frozen=True, slots=True)
class HeaderSettings:
    """What is known already, so that the target need not be asked."""

    profiles: Path
    given: bool = False  # the analyst gave headers


def load_headers(entered: Entered) -> TargetHeaders:
    """Give the archive of headers as it stands on record, or why there is none."""
    archive, result = entered.one("target-headers"), entered.result(ITEM)
    return TargetHeaders(entered.exhibits, archive, result.reason if result else "they were not asked for")


@stage(gives=load_headers)
def headers(desk: Desk, host: Host | Gone, facts: Facts, settings: HeaderSettings) -> Iterator[Draft | Result]:
    """Copy the kernel headers that the target itself keeps, where nothing better is at hand."""
    if isinstance(host, Gone):
        yield Result(ITEM, Outcome.NOT_RUN, host.words)
        return
    needless = _needless(facts, settings)
    if needless:
        yield Result(ITEM, Outcome.NOT_RUN, f"the target was not asked: {needless}")
        return
    if "tar" not in facts.tools:
        yield Result(ITEM, Outcome.ABSENT, "tar is not on the target")
        return
    archive = desk.work / "headers.tar"
    try:
        found = target_headers.find(host, facts.release)
        if found.why_not:
            yield Result(ITEM, Outcome.EMPTY, found.why_not)
            return
        desk.progress.say(f"Copying the kernel headers that the target keeps: {', '.join(found.roots)}")
        digest = target_headers.copy(host, found, archive)
    except Unreachable:
        raise
    except (TargetError, ForensicsError) as problem:
        archive.unlink(missing_ok=True)
        yield Result(ITEM, Outcome.FAILED, str(problem))
        return
    title = f"Kernel headers of {facts.release}, as the target keeps them"
    yield Draft(archive, Role.EVIDENCE, "target-headers", title, "headers.tar", ITEM, digest=digest)
    yield Result(ITEM, Outcome.DONE)


def _needless(facts: Facts, settings: HeaderSettings) -> str:
    """Say what makes the target's own headers needless, "" when they are wanted."""
    if settings.given:
        return "headers were given"
    if isinstance(keeping.find(settings.profiles, facts), KeptModule):
        return "a kernel profile has the module"
    if kernel_headers.installed(facts.release):
        return "this machine has the headers"
    return ""
