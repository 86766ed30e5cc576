"""Collect: live evidence in order of volatility, each kind with its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from forensics.collectors import Bench, Chosen, Collector, CollectSettings, Judged, Part, collectors
from forensics.errors import ForensicsError, ToolMissing, Unreachable
from forensics.host import Gone, Host
from forensics.model import JSON, Draft, Facts, LiveEvidence, Outcome, Result
from forensics.plan import settings_of
from forensics.stage import Desk, Entered, stage


@dataclass(slots=True)
class _Job:
    """One collector at work."""

    collector: Collector[Any]
    chosen: Chosen
    bench: Bench
    absent: str = ""
    broken: str = ""

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Keep an error as this collector's own; only a lost connection goes on."""
        try:
            yield
        except Unreachable:
            raise
        except ToolMissing as error:
            package = self.collector.package
            self.absent = f"{error}{f' (package {package})' if package and package not in str(error) else ''}"
        except ForensicsError as error:
            self.broken = self.broken or str(error)


def live_evidence(entered: Entered) -> LiveEvidence:
    """Give what the collectors brought, each with its outcome."""
    return LiveEvidence(entered.exhibits, entered.results)


@stage(gives=live_evidence)
def collect(desk: Desk, host: Host | Gone, facts: Facts, settings: CollectSettings) -> Iterator[Draft | Result]:
    """Collect live evidence in order of volatility, each kind with its outcome.

    A collector whose program is missing, that is refused or breaks is that outcome with its reason, and the next one
    runs. Only a lost connection ends the stage; what came stays, and the next run goes on behind the last group that
    ended. Of a target that is gone, what it was not asked is not run.
    """
    groups = [[one for one in group if one.name not in desk.results] for group in settings.groups]
    if isinstance(host, Gone):
        yield from [Result(one.name, Outcome.NOT_RUN, host.words) for group in groups for one in group]
        return
    with desk.progress.task("collecting", sum(map(len, groups)), "collectors") as advance:
        for group in filter(None, groups):
            jobs = [_job(desk, host, facts, chosen) for chosen in group]
            desk.progress.say(f"collecting: {', '.join(job.collector.title for job in jobs)}")
            try:
                _run(jobs)
            except Unreachable:  # what is whole of this group is evidence; its items are not ended
                yield from [_draft(job, part) for job in jobs for part in job.bench.parts.values()]
                raise
            for job in jobs:
                result = _result(job)  # judged while its files are here: an entered file has moved away
                yield from [_draft(job, part) for part in job.bench.parts.values()]
                yield result
                advance(1)


def _job(desk: Desk, host: Host, facts: Facts, chosen: Chosen) -> _Job:
    folder = desk.work / chosen.name
    folder.mkdir(mode=0o700)
    return _Job(collectors()[chosen.name], chosen, Bench(host, facts, folder))


def _run(jobs: list[_Job]) -> None:
    """Set all up, let them work at the same time, put all back in reverse order."""
    with ExitStack() as whole:
        opened: list[tuple[_Job, ExitStack, Callable[[], None]]] = []
        for job in jobs:
            stack = whole.enter_context(ExitStack())
            with job.recorded():
                if work := _open(job, stack):
                    opened.append((job, stack, work))
        _work([(job, work) for job, _, work in opened])
        for job, stack, _ in reversed(opened):
            with job.recorded():
                stack.close()


def _open(job: _Job, stack: ExitStack) -> Callable[[], None] | None:
    program, package = job.collector.program, job.collector.package
    if program and not job.bench.find(program):
        job.absent = f"the target has no {program} (package {package})"
        return None
    settings = settings_of(job.chosen.name, job.chosen.settings)
    return stack.enter_context(job.collector.capture(job.bench, settings))


def _work(works: list[tuple[_Job, Callable[[], None]]]) -> None:
    if len(works) == 1:
        with works[0][0].recorded():
            works[0][1]()
        return
    with ThreadPoolExecutor(max_workers=max(1, len(works))) as pool:
        for job, future in [(job, pool.submit(work)) for job, work in works]:
            with job.recorded():
                future.result()


def _draft(job: _Job, part: Part) -> Draft:
    done = part.completed
    facts: dict[str, JSON] = {
        "collector": job.collector.name,
        "part": part.name,
        "argv": list(done.argv),
        "status": done.status,
        "cut": done.cut,
        "started": done.started,
        "seconds": round(done.seconds, 3),
        **part.facts,
    }
    name = f"{job.collector.name}-{part.name}"
    title = f"{job.collector.title}: {part.name}"
    return Draft(part.path, part.role, part.kind, title, name=name, item=job.collector.name, facts=facts)


def _result(job: _Job) -> Result:
    judged = _judged(job)
    return Result(job.collector.name, judged.outcome, judged.reason, judged.facts)


def _judged(job: _Job) -> Judged:
    if job.absent and not job.bench.parts:
        return Judged(Outcome.ABSENT, job.absent)
    judged = job.collector.judge(job.bench.parts)
    if not (job.broken or job.absent):
        return judged
    brought = any(part.size for part in job.bench.parts.values() if not part.optional)
    return Judged(Outcome.PARTIAL if brought else Outcome.FAILED, job.broken or job.absent, judged.facts)
