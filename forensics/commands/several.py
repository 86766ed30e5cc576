"""Several targets of one case: one run each, some at the same time, and one page of how they ended.

Each target is worked by a process of its own, which is this same program with one target: it has its own connection,
its own lock and its own state, and one that fails does not stop the others. The report is rendered once, at the end.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from forensics import terminal
from forensics.casefile import Case
from forensics.commands.options import GAPS
from forensics.errors import IntegrityError, Refused, UsageError
from forensics.events import Action
from forensics.model import JSON
from forensics.progress import Progress
from forensics.ssh import Secret

_CLOCK = re.compile(r"^\s*\d+\.\d s  ")
"""What a run's own progress puts before each line."""


class Asked(BaseModel):
    """A target as a file of targets names it: its words, and what is said for it alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-"))
    target: str = Field(min_length=1)
    host_key: str = ""
    identity: str = ""
    plan: str = ""
    engine: str = ""
    headers: str = ""
    lime_source: str = ""
    package_source: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """The same as words of the command line."""
        given = self.model_dump(by_alias=True, exclude={"target"})
        return tuple(f"--{name}={value}" for name, value in given.items() if value)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the run on one target ended."""

    label: str
    code: int
    stages: tuple[tuple[str, str], ...]  # stage, and how it ended last
    problem: str  # why the last stage did not finish, "" when it did

    @property
    def words(self) -> str:
        """The exit code in words."""
        known = {0: "complete", GAPS: "complete, but for some items", IntegrityError.exit_code: "DAMAGED"}
        return known.get(self.code, "refused" if self.code == Refused.exit_code else f"failed (exit {self.code})")


def load(path: Path) -> tuple[Asked, ...]:
    """Read a file of targets; UsageError names what in it is off."""
    try:
        document = yaml.safe_load(path.read_bytes())
        listed = document["targets"] if isinstance(document, Mapping) and set(document) == {"targets"} else document
        return _READER.validate_python(listed)
    except OSError as error:
        raise UsageError("the targets cannot be read", where=str(path), why=error.strerror or str(error)) from error
    except (yaml.YAMLError, ValidationError) as error:
        why = "; ".join(_said(one) for one in error.errors()) if isinstance(error, ValidationError) else str(error)
        remedy = "write a list of targets, each [USER@]HOST[:PORT] or a mapping with target, host-key, identity, plan …"
        raise UsageError("the file is no list of targets", where=str(path), why=why, remedy=remedy) from error


def work(
    case: Case,
    asked: Mapping[str, Asked],
    *,
    options: Sequence[str],
    secrets: Mapping[str, Secret | None],
    parallel: int,
    progress: Progress,
) -> tuple[Ended, ...]:
    """Work on all targets, `parallel` at a time; gives how each ended, in the order asked.

    `asked` has them by label; `secrets` are handed on through pipes, by the option that names a descriptor.
    Interrupted, it interrupts each run, and waits until that has put its target back.
    """
    children: list[subprocess.Popen[str]] = []
    stopping = threading.Event()

    def one(label: str) -> int:
        words = [sys.executable, "-m", "forensics.cli", "run", case.number, asked[label].target]
        with _pipes(secrets) as (given, descriptors), subprocess.Popen(
            [*words, *options, *asked[label].options, *given],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            pass_fds=descriptors, start_new_session=True,
        ) as child:  # fmt: skip
            children.append(child)
            if stopping.is_set():
                child.send_signal(signal.SIGINT)
            _relay(child, lambda line: progress.say(f"{label}: {_CLOCK.sub('', line)}"))
        return child.returncode

    with ThreadPoolExecutor(max_workers=parallel) as pool:
        running = {label: pool.submit(one, label) for label in asked}
        try:
            codes = {label: future.result() for label, future in running.items()}
        except KeyboardInterrupt:
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                if child.poll() is None:
                    child.send_signal(signal.SIGINT)
            raise
    return tuple(_ended(case, label, code) for label, code in codes.items())


def show(case: Case, ended: Sequence[Ended], copies: Sequence[Path], *, as_json: bool) -> None:
    """Print one page of how the targets ended."""
    if as_json:
        told: list[JSON] = [
            {"target": one.label, "exit": one.code, "stages": dict(one.stages), "problem": one.problem} for one in ended
        ]
        complete = all(one.code == 0 for one in ended)
        report: list[JSON] = [str(one) for one in copies]
        terminal.document({"case": case.number, "complete": complete, "targets": told, "report": report})
        return
    rows = [(one.label, one.words, one.stages[-1][0] if one.stages else "none", one.problem) for one in ended]
    terminal.grid("", ("target", "how it ended", "last stage", "why"), rows, empty="")
    for copy in copies:
        terminal.line(f"Report: {copy}")


def exit_code(ended: Sequence[Ended]) -> int:
    """Give what the whole run ends with: 4 before all, that of all when they agree, else 3."""
    codes = {one.code for one in ended}
    if IntegrityError.exit_code in codes:
        return IntegrityError.exit_code
    return codes.pop() if len(codes) == 1 else GAPS


@contextmanager
def _pipes(secrets: Mapping[str, Secret | None]) -> Iterator[tuple[list[str], list[int]]]:
    """Put each secret into a pipe of its own, for a child to read; never a word of its command line."""
    with ExitStack() as stack:
        words: list[str] = []
        descriptors: list[int] = []
        for option, secret in secrets.items():
            if secret is None:
                continue
            reading, writing = os.pipe()
            stack.callback(os.close, reading)
            with os.fdopen(writing, "w", encoding="utf-8") as file:
                file.write(f"{secret.reveal()}\n")
            words.append(f"{option}={reading}")
            descriptors.append(reading)
        yield words, descriptors


def _relay(child: subprocess.Popen[str], say: Callable[[str], None]) -> None:
    assert child.stderr is not None  # noqa: S101 - it was asked for
    for line in child.stderr:
        if line.strip():
            say(line.rstrip())


def _ended(case: Case, label: str, code: int) -> Ended:
    ends = [one for one in case.events() if one.target == label and one.action is Action.STAGE_ENDED]
    stages = {one.stage: str(one.outcome) for one in ends}
    broken = ends[-1] if ends and str(ends[-1].outcome) != "finished" else None
    if not ends and code:
        return Ended(label, code, (), "nothing of it is on record; the lines above say why")
    return Ended(label, code, tuple(stages.items()), broken.reason if broken else "")


def _said(problem: Mapping[str, object]) -> str:
    place = problem.get("loc")
    where = ".".join(str(part) for part in place) if isinstance(place, tuple) else ""
    return f"{where}: {problem.get('msg')}"


_READER: TypeAdapter[tuple[Asked, ...]] = TypeAdapter(
    tuple[Annotated[Asked, BeforeValidator(lambda one: {"target": one} if isinstance(one, str) else one)], ...]
)
