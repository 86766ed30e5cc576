"""Small real stages for the loop's tests, a target that answers with its boot, and a program that runs them.

What the stages do is told by files in the folder that FORENSICS_TEST names: `kill` (an item at which the process is
killed), `fail` (an item at which the stage fails), `touched` (a line for each time the target was touched).
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from forensics.casefile import Case
from forensics.errors import ForensicsError, IntegrityError, StageFailed
from forensics.host import Change, Channel, Completed, Gone, Host, Identity, Limits, Stream
from forensics.locks import worker
from forensics.model import Draft, Exhibit, Outcome, Result, Role
from forensics.pipeline import Run
from forensics.progress import Silent
from forensics.recorder import LedgerRecorder
from forensics.stage import Desk, Entered, stage

ITEMS = ("processes", "sockets", "lynis")


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings."""

    items: tuple[str, ...] = ITEMS


@dataclass(frozen=True, slots=True)
class Made:
    """A product."""

    exhibits: tuple[Exhibit, ...]
    results: tuple[Result, ...]


def made(entered: Entered) -> Made:
    return Made(entered.exhibits, entered.results)


def control(name: str) -> str:
    path = Path(os.environ["FORENSICS_TEST"]) / name
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def hit(item: str) -> None:
    """Do what was ordered for this item."""
    if control("kill") == item:
        os.kill(os.getpid(), signal.SIGKILL)
    if control("fail") == item:
        raise StageFailed("it did not work", where=item, why="it was told to fail", remedy="try again")
    if control("break") == item:
        raise ZeroDivisionError
    if control("refuse") == item:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/mnt/evidence")
    if control("interrupt") == item:
        raise KeyboardInterrupt
    if control("damage") == item:
        raise IntegrityError("evidence is not what it was", where=item)


def touch(word: str) -> None:
    with (Path(os.environ["FORENSICS_TEST"]) / "touched").open("a", encoding="ascii") as file:
        file.write(f"{word}\n")


def write(desk: Desk, name: str, text: str) -> Path:
    path = desk.work / name
    path.write_text(text, encoding="ascii")
    return path


@stage(gives=made)
def survey(desk: Desk, host: Host) -> Iterator[Draft | Result]:
    """Learn what the target is."""
    touch("survey")
    hit("survey")
    boot = host.identity().boot_id
    yield Draft(write(desk, "facts.json", boot), Role.EVIDENCE, "facts", "Facts")


@stage(gives=made)
def acquire(desk: Desk, host: Host, facts: Made) -> Iterator[Draft | Result]:
    """Bring memory here."""
    del facts
    touch("acquire")
    path = write(desk, "memory.lime", f"EMiL of {host.label}")
    write(desk, "scratch.tmp", "of no value")
    hit("acquire")
    yield Draft(path, Role.EVIDENCE, "memory-image", "Image")


@stage(gives=made)
def collect(desk: Desk, host: Host | Gone, facts: Made, choice: Choice) -> Iterator[Draft | Result]:
    """Collect live evidence."""
    del facts
    if isinstance(host, Gone):
        yield from [Result(item, Outcome.NOT_RUN, host.words) for item in choice.items if item not in desk.results]
        return
    for item in choice.items:
        if item in desk.results:
            continue
        touch(item)
        yield Draft(write(desk, f"{item}.txt", host.label), Role.EVIDENCE, "live-output", item, item=item)
        hit(item)
        yield Draft(write(desk, f"{item}.err", ""), Role.EVIDENCE, "live-output", item, item=item)
        outcome = Outcome.ABSENT if item == "lynis" else Outcome.DONE
        yield Result(item, outcome, "not installed" if outcome is Outcome.ABSENT else "", {"seconds": 0.5})


@stage(gives=made)
def analyse(desk: Desk, image: Made, choice: Choice) -> Iterator[Draft | Result]:
    """Read the image."""
    for item in choice.items:
        if item in desk.results:
            continue
        hit(f"analyse {item}")
        sources = image.exhibits
        yield Draft(write(desk, f"{item}.jsonl", "[]"), Role.DERIVED, "plugin-result", item, item=item, sources=sources)
        yield Result(item, Outcome.DONE)


@dataclass
class Machine:
    """A target: it answers with the boot that stands in a file, and is asked for nothing else."""

    folder: Path
    label: str = "web01"
    address: str = ""
    left: list[tuple[Change, bool, str]] = field(default_factory=list)

    def identity(self) -> Identity:
        boot = self.folder / "boot"
        return Identity(boot.read_text(encoding="ascii") if boot.exists() else "boot-1", "6.1.0-1-amd64")

    def run(
        self, *argv: str, root: bool = False, stdin: bytes = b"", limits: Limits | None = None, expect: bool = False
    ) -> Completed:
        raise NotImplementedError

    def stream(
        self, *argv: str, root: bool = False, limits: Limits | None = None, stdin: bytes = b""
    ) -> AbstractContextManager[Stream]:
        raise NotImplementedError

    def connect(self, port: int) -> AbstractContextManager[Channel]:
        raise NotImplementedError

    def change(self, change: Change) -> AbstractContextManager[None]:
        raise NotImplementedError

    def workplace(self, *, programs: bool = False) -> AbstractContextManager[Path]:
        raise NotImplementedError

    def put(self, content: bytes | Path, destination: Path, mode: int = 0o600) -> None:
        raise NotImplementedError

    def beside(self) -> AbstractContextManager[Host]:
        raise NotImplementedError

    def restore(self) -> Iterator[tuple[Change, bool, str]]:
        yield from self.left

    def close(self) -> None:
        pass


@dataclass
class Spoken(Silent):
    """Keeps what was said."""

    words: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.words.append(text)


@dataclass
class Worked:
    """One run over all four stages."""

    run: Run
    survey: Made
    image: Made
    live: Made
    analysis: Made
    words: list[str]


def work(
    root: Path, new_attempt: str = "", choice: Choice | None = None, label: str = "web01", gone: Gone | None = None
) -> Worked:
    case = Case.load(root, "2026-0001")
    host: Host = Machine(root, label)
    progress = Spoken()
    with worker(case, label):
        run = Run(case, LedgerRecorder(case, label), progress, new_attempt)
        facts = run.step(survey, host)
        image = run.step(acquire, host, facts)
        if gone:
            run.give_up(gone)
        live = run.step(collect, gone or host, facts, choice or Choice())
        analysis = run.step(analyse, image, choice or Choice())
        return Worked(run, facts, image, live, analysis, progress.words)


def main(argv: Sequence[str]) -> int:
    try:
        work(Path(argv[0]))
    except ForensicsError as problem:
        sys.stderr.write(str(problem))
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
