"""Build on the target: the last way to a LiME module, taken only when the analyst asks for it; a deviation."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from forensics.errors import ForensicsError, Unreachable
from forensics.host import Gone, Host
from forensics.lime import compiling, on_target, supplies
from forensics.lime.compiling import LimeSource
from forensics.lime.made import ITEM, Key, checked, finish, load_module, log_draft, module_draft
from forensics.model import Draft, Facts, NotBuilt, Outcome, Result
from forensics.ssh import Secret
from forensics.stage import Desk, stage

TITLE = "How the LiME module was made on the target"


@dataclass(frozen=True, slots=True)
class ThereSettings:
    """What the analyst says of it."""

    lime_source: Path | None = None
    package_source: str | None = None  # an apt archive's URL, or a folder of .deb files
    key: Key = field(default_factory=Key)


@stage(gives=load_module)
def build_on_target(  # noqa: PLR0917 - all that a module is made of
    desk: Desk,
    host: Host | Gone,
    facts: Facts,
    module: NotBuilt,
    settings: ThereSettings,
    passphrase: Secret | None = None,
) -> Iterator[Draft | Result]:
    """Make the LiME module on the target itself, as asked, for none could be made on our side."""
    if isinstance(host, Gone):
        yield Result(ITEM, Outcome.NOT_RUN, host.words)
        return
    lines = [f"target: {facts.release} ({facts.version}), {facts.machine}", f"on our side: {module.reason}"]
    draft, reason = None, ""
    with tempfile.TemporaryDirectory(prefix="forensics-build-", ignore_cleanup_errors=True) as folder:
        try:
            draft = _made(desk, host, facts, settings, passphrase, (lines, Path(folder)))
        except Unreachable:
            raise
        except (ForensicsError, ValueError, OSError) as problem:
            reason = str(problem)
            lines.append(f"NOT BUILT: {reason}")
    if draft:
        yield draft
    yield log_draft(desk.work, lines, TITLE)
    yield Result(ITEM, Outcome.FAILED if reason else Outcome.DONE, reason)


def _made(  # noqa: PLR0917 - as above
    desk: Desk,
    host: Host,
    facts: Facts,
    settings: ThereSettings,
    passphrase: Secret | None,
    where: tuple[list[str], Path],
) -> Draft:
    """Compile it there, bring it here, check and sign it; what was done is added to the lines."""
    lines, folder = where
    source = _source(facts, settings, folder)
    lines += [f"deviation: {on_target.DEVIATION}", f"LiME {source.version}: {source.package or source.folder}"]
    desk.progress.say(f"Compiling LiME {source.version} on the target, as asked")
    made = on_target.build(host, source, facts.release)
    lines += [*made.origin, f"make took {made.seconds:.0f} s there and said:", made.said.rstrip()]
    lines += [f"newer than the build, among the headers: {one}" for one in made.changed]
    path, kept = folder / "lime.ko", desk.work / "lime.ko"
    path.write_bytes(made.module)
    found = checked(path, facts)
    signed_by = finish(path, kept, facts, settings.key, passphrase)
    lines.append(f"signed by {signed_by}" if signed_by else "not signed")
    return module_draft(kept, source.version, made.origin, found, signed_by)


def _source(facts: Facts, settings: ThereSettings, work: Path) -> LimeSource:
    """Give the source that the analyst names, else the newest that packages have."""
    if settings.lime_source:
        return compiling.given(settings.lime_source)
    found = next(iter(compiling.packaged(supplies.sources(facts, settings.package_source), work)), None)
    if found is None:
        raise supplies.not_built(f"no source of LiME ({compiling.PACKAGE}) could be had", "give one: --lime-source DIR")
    return found
