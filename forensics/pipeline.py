"""The one loop: what happens around every stage, whatever it does.

1. If the ledger holds the stage as finished, with the same target, materials and settings (and, for a stage without a
   host, the same version of our code), its products are hashed again and returned. A stage that touches the target is
   never silently repeated: another attempt needs a stated reason.
2. `started` is appended. Before a stage with a host, boot id and kernel release are read again: another boot is another
   attempt, refused until it is asked for.
3. The stage runs in an empty work folder of its own.
4. Each exhibit that it yields is entered at once, and each item's end: what is killed loses one item and resumes there.
5. `finished`, `failed` or `interrupted` is appended, with products and reason.

Only this loop and the host's recorder write to the ledger.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from forensics import encryption, history
from forensics.casefile import Case, deviation, things
from forensics.errors import ForensicsError, IntegrityError, Refused, StageFailed
from forensics.events import Action, Deed, Event, State, Thing
from forensics.history import Pass
from forensics.host import Gone, Host, Identity
from forensics.intake import Place, enter, find_strangers, settle, slug
from forensics.model import JSON, Draft, Exhibit, Outcome, Result, Role
from forensics.progress import Progress
from forensics.recorder import LedgerRecorder
from forensics.stage import Desk, Entered, Needs, Product, Stage

T = TypeVar("T")
VALUABLE = {".lime": history.PARTIAL, encryption.SUFFIX: history.PARTIAL}
"""Files that are entered as evidence when their stage was killed, by suffix."""
_PART, _ENDED = "memory-partial.lime", "Memory image of an acquisition that was ended; partial"


@dataclass(frozen=True, slots=True)
class Step:
    """How one stage of this run went."""

    stage: str
    state: str  # "finished", or "kept" when it was finished before
    short: tuple[str, ...]  # items that are short of complete, each with outcome and reason


class Run:
    """One worker on one target of a case: recovers what an earlier one left, then takes step after step."""

    def __init__(self, case: Case, recorder: LedgerRecorder, progress: Progress, new_attempt: str = "") -> None:
        self.case = case
        self.target = recorder.target
        self.steps: list[Step] = []
        self._recorder = recorder
        self._progress = progress
        self.attempt = history.attempt_of(case.events(), self.target)
        recorder.attempt = self.attempt
        self._recover()
        if new_attempt:
            self._open_attempt(new_attempt)

    def step(self, stage: Stage[Needs, Product], *args: Needs.args, **kwargs: Needs.kwargs) -> Product:
        """Give the product of a stage: kept when it is finished (1), else made now (2 to 5)."""
        given = (*args, *kwargs.values())
        materials = history.materials_of(given)
        for exhibit in materials:
            self.case.check(exhibit)
        host = _host(given)
        settings = history.settings_of(given)
        key = history.key_of(stage, materials, settings)
        before = history.last_pass(self.case.events(), self.target, stage.name)
        if before is not None and self._stands(stage, before, key):  # 1
            return self._keep(stage, before)
        if before is not None and host is not None:
            self._require_same(stage, before, settings)
        identity = self._met(stage.name, host) if host is not None else Identity("", "")  # 2
        gone = stage.touches_target and host is None
        resumed = before if before is not None and self._resumes(before, before.key if gone else key) else None
        details: dict[str, JSON] = {
            "key": key,
            "settings": settings,
            "boot_id": identity.boot_id,
            "release": identity.release,
            "resumes": resumed is not None,
        }
        start = self._append(Action.STAGE_STARTED, stage.name, State.STARTED, details=details, materials=materials)
        place = Place(self.target, stage.name, self.attempt, asdict(identity) if identity.boot_id else {})
        desk = self._desk(self._folder(stage.name, start.sequence), resumed)
        self._work(stage, desk, args, kwargs, place)  # 3, 4
        made = history.last_pass(self.case.events(), self.target, stage.name)
        assert made is not None  # noqa: S101 - it was just made
        products = tuple(Thing.of(one) for one in made.exhibits)
        product = self._give(stage, made)
        self._append(Action.STAGE_ENDED, stage.name, State.FINISHED, products=products)  # 5
        self.steps.append(Step(stage.name, "finished", history.short(made.results)))
        return product

    def _give(self, stage: Stage[Any, T], made: Pass) -> T:
        """Make the product of what is on record; a stage of which there is none has failed, whatever it said."""
        try:
            return stage.gives(Entered(made.exhibits, made.results, self.case.folder))
        except Exception as problem:
            words = str(problem) if isinstance(problem, ForensicsError) else f"{type(problem).__name__}: {problem}"
            self._broke(stage.name, State.FAILED, f"what it left is no product: {words}")
            raise

    def _stands(self, stage: Stage[Any, Any], before: Pass, key: str) -> bool:
        if not before.finished or before.attempt != self.attempt or (self.case.identity and history.withheld(before)):
            return False
        if stage.touches_target:
            if before.key != key:
                self._progress.say(f"{stage.name}: kept, though its settings or materials are others now; "
                                   "--new-attempt REASON touches the target again")  # fmt: skip
            return True
        nothing = bool(before.results) and all(one.outcome is Outcome.FAILED for one in before.results)
        return before.key == key and not nothing

    def _keep(self, stage: Stage[Any, T], before: Pass) -> T:
        for exhibit in before.exhibits:
            self.case.check(exhibit)
        self._progress.say(f"{stage.name}: finished before; {len(before.exhibits)} exhibits have their digests")
        self.steps.append(Step(stage.name, "kept", history.short(before.results)))
        return stage.gives(Entered(before.exhibits, before.results, self.case.folder))

    def _require_same(self, stage: Stage[Any, Any], before: Pass, settings: Mapping[str, JSON]) -> None:
        """Refuse to ask the target again, with other settings, for what it gave before the stage was ended."""
        given = [one.item for one in before.results if one.outcome is not Outcome.FAILED]
        if before.finished or before.attempt != self.attempt or not given or before.settings == settings:
            return
        raise Refused(
            "a stage that was ended halfway would ask the target again for what it gave already",
            where=f"{self.target}, {stage.name}",
            why=f"its settings are others now; given before: {', '.join(given)}",
            remedy="run again with the settings of before, or with --new-attempt REASON",
        )

    def _resumes(self, before: Pass, key: str) -> bool:
        return not before.finished and before.attempt == self.attempt and before.key == key

    def _met(self, stage: str, host: Host) -> Identity:
        """Read which boot answers; a target that is not reached, or is refused, is on record though nothing began."""
        self._recorder.stage = stage
        try:
            return self._identity(host)
        except ForensicsError as problem:
            state = State.REFUSED if isinstance(problem, Refused) else State.FAILED
            self._append(Action.STAGE_ENDED, stage, state, reason=str(problem))
            raise
        finally:
            self._recorder.stage = ""

    def _identity(self, host: Host) -> Identity:
        found = host.identity()
        boot_id, release = history.boot_of(self.case.events(), self.target, self.attempt)
        if boot_id and (boot_id, release) != (found.boot_id, found.release):
            raise Refused(
                "the target was booted anew since this attempt began",
                where=self.target,
                why=f"boot id {boot_id} (kernel {release}) then, {found.boot_id} (kernel {found.release}) now",
                remedy="memory of another boot is other evidence: run again with --new-attempt REASON",
            )
        self._recorder.boot_id = found.boot_id
        self._take_away(host)
        return found

    def _take_away(self, host: Host) -> None:
        """Take from the target what an interrupted run put there and did not take away."""
        for change, proven, reason in host.restore():
            said = "taken away, and seen to be gone" if proven else f"NOT proven gone: {reason}"
            self._progress.say(f"left by an interrupted run: {change.kind} {change.subject}: {said}")

    def _work(self, stage: Stage[Any, Any], desk: Desk, args: Any, kwargs: Mapping[str, Any], place: Place) -> None:
        """Run a stage (3), and enter what it gives as it comes (4); its end is recorded when it breaks."""
        self._recorder.stage = stage.name
        try:
            self._progress.say(f"{stage.name}: {stage.summary}")
            desk.work.mkdir(mode=0o700)
            with closing(cast("Generator[Draft | Result]", stage.work(desk, *args, **kwargs))) as given:
                for one in given:
                    self._take(one, stage.name, place)
        except KeyboardInterrupt:
            self._broke(stage.name, State.INTERRUPTED, "it was interrupted")
            raise
        except IntegrityError as problem:
            self._append(Action.INTEGRITY_LOST, stage.name, State.FAILED, reason=str(problem))
            self._broke(stage.name, State.FAILED, str(problem))
            raise
        except ForensicsError as problem:
            state = State.REFUSED if isinstance(problem, Refused) else State.FAILED
            self._broke(stage.name, state, str(problem))
            raise
        except OSError as problem:
            failed = StageFailed.of(problem, desk.work)
            self._broke(stage.name, State.FAILED, str(failed))
            raise failed from problem
        except Exception as problem:
            self._broke(stage.name, State.FAILED, f"{type(problem).__name__}: a fault of this program")
            raise
        finally:
            self._recorder.stage = ""
            encryption.remove(encryption.places(self.case.folder, self.target))
        shutil.rmtree(desk.work)

    def _desk(self, folder: Path, resumed: Pass | None) -> Desk:
        results = {one.item: one for one in resumed.results} if resumed else {}
        return Desk(
            folder,
            self.case.folder,
            self.case.facts,
            self.target,
            results,
            tuple(one for one in resumed.exhibits if one.item in results) if resumed else (),
            self._progress,
            self.case.identity,
        )

    def _take(self, one: Draft | Result, stage: str, place: Place) -> None:
        if isinstance(one, Draft):
            enter(self.case, one, place)
            return
        details: dict[str, JSON] = {"item": one.item, "outcome": str(one.outcome), "facts": dict(one.facts)}
        self._append(Action.ITEM_ENDED, stage, State.FINISHED, reason=one.reason, details=details)

    def _broke(self, stage: str, state: State, reason: str) -> None:
        """Record how a stage broke; when even that cannot be written, the dangling start tells the next run."""
        left = history.dangling(self.case.events(), self.target)
        try:
            if left:
                self._salvage(left[-1])
            self._append(Action.STAGE_ENDED, stage, state, reason=reason)
        except ForensicsError as problem:
            self._progress.say(f"the ledger could not be written: {problem}")

    def _recover(self) -> None:
        """Take up what a killed worker left: what it was entering, its stages without an end, its files."""
        if plain := list(encryption.remove(encryption.places(self.case.folder, self.target))):
            words = "plain copies of encrypted exhibits, left by a killed run, were removed"
            self._append(Action.DEBRIS_LISTED, "", None, reason=words, details={"files": cast("JSON", plain)})
            self._progress.say(f"{words}: {', '.join(plain)}")
        try:
            settle(self.case)
            find_strangers(self.case)
            for exhibit in self.case.held():
                self.case.check(exhibit)
        except IntegrityError as problem:
            self.case.append(Deed(Action.INTEGRITY_LOST, str(problem), self.target, outcome=State.FAILED))
            raise
        for start in history.dangling(self.case.events(), self.target):
            self._salvage(start)
            words = "the worker was ended before the stage was"
            ended = Action.STAGE_ENDED
            self.case.append(Deed(ended, words, self.target, start.stage, start.attempt, outcome=State.INTERRUPTED))
            self._progress.say(f"{start.stage}: an earlier attempt was interrupted; it is on record")

    def _salvage(self, start: Event) -> None:
        """Enter what has value of a broken stage's files, and list the rest as debris."""
        folder = self._folder(start.stage, start.sequence)
        left = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        debris: list[JSON] = []
        for path in left:
            if (kind := VALUABLE.get(path.suffix)) and path.stat().st_size:
                plain = None if path.suffix != encryption.SUFFIX else dict[str, JSON]()  # its identity alone tells
                draft = Draft(path, Role.EVIDENCE, kind, _ENDED, _PART, facts={"ended_well": False}, plain=plain)
                origin = {name: start.details[name] for name in ("boot_id", "release") if start.details[name]}
                enter(self.case, draft, Place(self.target, start.stage, start.attempt, origin))
            else:
                debris.append({"path": str(path.relative_to(self.case.folder)), "size": path.stat().st_size})
        if debris:
            self._append(Action.DEBRIS_LISTED, start.stage, None, details={"files": debris})
        elif folder.is_dir():
            shutil.rmtree(folder)  # nothing is in it

    def _folder(self, stage: str, start: int) -> Path:
        """Tell where a stage works: a folder of its own for every start, by the start's sequence number."""
        return self.case.folder / "work" / f"{slug(self.target)}-{stage}-{start}"

    def finished(self, stage: Stage[Any, Any]) -> bool:
        """Tell whether a stage stands as finished in this attempt, so that it would touch nothing."""
        before = history.last_pass(self.case.events(), self.target, stage.name)
        return before is not None and before.finished and before.attempt == self.attempt

    def give_up(self, gone: Gone) -> None:
        """Put on record that the target can be asked no more, and that the case goes on without it."""
        deviations = [one for one in self.case.events() if one.action is Action.DEVIATION and one.target == self.target]
        if not deviations or (deviations[-1].attempt, deviations[-1].reason) != (self.attempt, gone.reason):
            words = deviation(self.case, gone.words)
            deed = Deed(Action.DEVIATION, gone.reason, self.target, attempt=self.attempt, deviation=words)
            self.case.append(deed)

    def _open_attempt(self, reason: str) -> None:
        self.attempt += 1
        self._recorder.attempt = self.attempt
        words = deviation(self.case, f"the target is touched again: {reason}")
        self.case.append(Deed(Action.ATTEMPT_OPENED, reason, self.target, attempt=self.attempt, deviation=words))

    def _append(
        self,
        action: Action,
        stage: str,
        outcome: State | None,
        *,
        reason: str = "",
        details: Mapping[str, JSON] | None = None,
        materials: tuple[Exhibit, ...] = (),
        products: tuple[Thing, ...] = (),
    ) -> Event:
        return self.case.append(
            Deed(
                action, reason, self.target, stage, self.attempt,
                things(materials), products, outcome, details or {},
            )
        )  # fmt: skip


def _host(given: tuple[object, ...]) -> Host | None:
    return next((one for one in given if hasattr(one, "workplace")), None)  # type: ignore[return-value]
