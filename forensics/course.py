"""The order in which a case is worked on a target: policy (RFC 3227), written down to be read from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from forensics import locks, sealing
from forensics.casefile import Case
from forensics.errors import ForensicsError, UsageError
from forensics.events import Action
from forensics.host import Gone, Host
from forensics.lime.made import Key
from forensics.model import Exhibit, Facts, NoSymbols, NotBuilt, Preflight, Proof, SymbolTable, Target, Verdict
from forensics.pipeline import Run, Step
from forensics.plan import Plan
from forensics.profiles import rungs
from forensics.progress import Progress
from forensics.recorder import LedgerRecorder
from forensics.reissue import last_deed
from forensics.ssh import Secret, Secrets, connect
from forensics.stages.acquire import AcquireSettings, acquire
from forensics.stages.analyse import analyse, settings_of
from forensics.stages.build import BuildSettings, build
from forensics.stages.build_there import ThereSettings, build_on_target
from forensics.stages.collect import collect
from forensics.stages.headers import HeaderSettings, headers
from forensics.stages.interpret import InterpretSettings, interpret
from forensics.stages.prove import prove
from forensics.stages.report import ReportSettings, report
from forensics.stages.seal import seal
from forensics.stages.survey import survey
from forensics.stages.symbols import SymbolSettings, make_symbols

ORDER = (survey, headers, build, make_symbols, acquire, prove, collect, seal, analyse, interpret, report)
"""Behind build, and only where the analyst asks for it and none was made here, comes `build_on_target`."""
STAGES = tuple(stage.name for stage in ORDER)


@dataclass(frozen=True, slots=True)
class Order:
    """What the analyst asks of a run."""

    root: Path
    plan: Plan
    acquisition: AcquireSettings = field(default_factory=AcquireSettings)
    until: str = ""
    new_attempt: str = ""
    target_gone: str = ""
    headers: Path | None = None
    symbols: Path | None = None
    lime_source: Path | None = None
    package_source: str | None = None
    module_key: Path | None = None
    module_certificate: Path | None = None
    module_passphrase: Secret | None = None
    build_on_target: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run went."""

    steps: tuple[Step, ...]
    preflight: tuple[Preflight, ...]
    verdict: Verdict | None
    report: tuple[Exhibit, ...]
    stopped_early: bool
    left: tuple[str, ...] = ()  # what was put on the target and not proven gone
    imported: bool = False  # there was no target, but an image that someone else took

    @property
    def complete(self) -> bool:
        """Whether every item is done or empty, the image, once it was proven, complete, and the target as it was.

        A module that was not made is no gap once another engine has given a complete image; headers that were not
        copied are none at all, for what they are good for is the module.
        """
        proven = self.verdict is Verdict.COMPLETE
        means = {headers.name, build.name, build_on_target.name} if proven else {headers.name}
        short = [step for step in self.steps if step.short and step.stage not in means]
        return not (self.left or short) and self.verdict in {None, Verdict.COMPLETE}

    @property
    def untouched(self) -> bool:
        """Whether all that touches the target was finished before."""
        touching = {stage.name for stage in ORDER if stage.touches_target}
        return not self.imported and all(step.state == "kept" for step in self.steps if step.stage in touching)


class _Enough(Exception):
    """The stage behind which the run was to stop has ended."""


def work(case: Case, target: Target, secrets: Secrets, order: Order, progress: Progress) -> Summary:
    """Work a case on a target from where it stands; see `pipeline` for what holds around each stage."""
    until = order.until
    if until and until not in STAGES:
        raise UsageError(f"there is no stage named {order.until}", remedy=f"name one of {', '.join(STAGES)}")
    if order.new_attempt and order.target_gone:
        raise UsageError("a target that is gone cannot be touched again", remedy="say one of the two")
    with locks.worker(case, target.label):
        recorder = LedgerRecorder(case, target.label)
        run = Run(case, recorder, progress, order.new_attempt)
        if target.host_key and not _accepted(case, target):
            recorder.host_key_accepted(target.host_key, "given by the analyst with --host-key")
        host = connect(target, recorder, secrets)
        return _Course(run, host, order, until, recorder, progress).follow()


class _Course:
    """One run: the stages in order, and what is known when it stops."""

    def __init__(  # noqa: PLR0917 - all that a run is made of
        self, run: Run, host: Host, order: Order, until: str, recorder: LedgerRecorder, progress: Progress
    ) -> None:
        self._recorder = recorder
        self._progress = progress
        self._run = run
        self._host = host
        self._order = order
        self._until = until
        self._preflight: tuple[Preflight, ...] = ()
        self._verdict: Verdict | None = None
        self._report: tuple[Exhibit, ...] = ()

    def follow(self) -> Summary:
        try:
            self._stages()
        except _Enough:
            self._cleared()
            return self._summary(stopped_early=True)
        finally:
            self._host.close()
        return self._summary(stopped_early=False)

    def _stages(self) -> None:
        run, host, order = self._run, self._host, self._order
        if order.target_gone and not run.finished(survey):
            raise UsageError(
                "the target was never surveyed, so there is nothing to go on with", remedy="forensics close"
            )
        facts = run.step(survey, host)
        self._surveyed(facts)
        asked = self._asked()
        profiles = (order.root / "profiles").absolute()
        sources = BuildSettings(
            profiles, order.headers, order.lime_source, order.package_source, order.module_key, order.module_certificate
        )
        own = run.step(headers, asked, facts, HeaderSettings(profiles, given=order.headers is not None))
        self._passed(headers.name)
        module = run.step(build, facts, own, sources, order.module_passphrase)
        if order.build_on_target and isinstance(module, NotBuilt):
            key = Key(order.module_key, order.module_certificate)
            there = ThereSettings(order.lime_source, order.package_source, key)
            module = run.step(build_on_target, asked, facts, module, there, order.module_passphrase)
        self._passed(build.name)
        table = run.step(make_symbols, facts, SymbolSettings(profiles, order.symbols))
        self._passed(make_symbols.name)
        image = run.step(acquire, asked, facts, module, order.acquisition)
        self._passed(acquire.name)
        proof = run.step(prove, asked, image, table, facts)
        self._proven(proof)
        self._kept(facts, table, proof, profiles)
        live = run.step(collect, asked, facts, order.plan.collection)
        self._cleared()
        self._passed(collect.name)
        self._host.close()
        run.step(seal, image, proof, live)
        sealing.attest_last(run.case, self._progress)
        self._passed(seal.name)
        analysis = run.step(analyse, image, table, proof, settings_of(order.plan))
        self._passed(analyse.name)
        run.step(interpret, facts, live, analysis, proof, InterpretSettings())
        self._passed(interpret.name)
        self._report = run.step(report, ReportSettings(last_deed(run.case))).exhibits
        self._passed(report.name)

    def _cleared(self) -> None:
        """Take away what an earlier run left, also when no stage of this one had to touch the target."""
        if not self._order.target_gone:
            clear(self._host, self._recorder, self._progress)

    def _asked(self) -> Host | Gone:
        """Give what the stages behind the survey ask: the host, or that it is gone."""
        if not self._order.target_gone:
            return self._host
        gone = Gone(self._order.target_gone)
        self._run.give_up(gone)
        self._progress.say(f"{gone.words}; what was not asked is not run")
        return gone

    def _surveyed(self, facts: Facts) -> None:
        self._preflight = facts.preflight
        words = {False: "will not work", None: "cannot be told"}
        for row in facts.preflight:
            if row.works is not True:
                self._progress.say(f"preflight: {row.subject}: {words[row.works]}: {row.why}")
        works = sum(row.works is True for row in facts.preflight)
        self._progress.say(f"preflight: {works} of {len(facts.preflight)} will work here")
        self._passed(survey.name)

    def _proven(self, proof: Proof) -> None:
        self._verdict = proof.verdict
        self._passed(prove.name)

    def _kept(self, facts: Facts, table: SymbolTable | NoSymbols, proof: Proof, profiles: Path) -> None:
        if isinstance(table, SymbolTable) and proof.usable and proof.table:
            why = rungs.keep(self._run.case.folder, facts, table, proof.table, profiles)
            if why:
                self._progress.say(f"the symbol table is not kept for other cases: {why}")

    def _passed(self, stage: str) -> None:
        if stage == self._until:
            raise _Enough

    def _summary(self, *, stopped_early: bool) -> Summary:
        return Summary(
            tuple(self._run.steps), self._preflight, self._verdict, self._report, stopped_early, self._left()
        )

    def _left(self) -> tuple[str, ...]:
        return tuple(f"{change.kind} {change.subject}" for _, change, _ in self._recorder.dangling())


def _accepted(case: Case, target: Target) -> bool:
    """Tell whether this host key's acceptance stands in the ledger already."""
    return any(
        event.action is Action.HOST_KEY_ACCEPTED
        and event.target == target.label
        and event.details["fingerprint"] == target.host_key
        for event in case.events()
    )


def clear(host: Host, recorder: LedgerRecorder, progress: Progress) -> None:
    """Take from the target what is on record as left there, also when no stage has to touch it again."""
    if not recorder.dangling():
        return
    try:
        for change, proven, reason in host.restore():
            said = "taken away, and seen to be gone" if proven else f"NOT proven gone: {reason}"
            progress.say(f"left on the target: {change.kind} {change.subject}: {said}")
    except ForensicsError as problem:
        progress.say(f"what was left on the target could not be looked for: {problem}")
