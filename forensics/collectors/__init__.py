"""Live evidence: what is run on the target, and a pure reader of its output.

One module here is one collector, found by its `COLLECTOR`. A collector says what it runs (`command`), or how it is set
up and put back (`capture`, for what is more than a command); `judge` tells how it ended from what was seen and never
from an exit code alone; `read` makes tables of the bytes, knows nothing of the target, and is used again in court.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Generic, TypeVar

from forensics.host import Completed, Host, Limits
from forensics.model import JSON, Facts, Outcome, Role
from forensics.tables import Table
from forensics.text import show

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long each command of a collector may run, and how much it may say."""

    seconds: float = 60.0
    bytes: int = 16 * MIB

    @property
    def limits(self) -> Limits:
        """The same as the host counts it."""
        return Limits(seconds=self.seconds, bytes=self.bytes)


Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class Command:
    """One bounded command; what it says becomes the part of this name."""

    part: str
    argv: tuple[str, ...]
    limits: Limits
    root: bool = True
    accepts: tuple[int, ...] = (0,)
    optional: bool = False  # without it the collector is still complete


@dataclass(frozen=True, slots=True)
class Part:
    """One file that a collector brought, with the command that gave it."""

    name: str
    path: Path
    size: int
    completed: Completed  # its stdout is in the file
    accepted: bool  # it ended as it had to
    optional: bool = False
    role: Role = Role.EVIDENCE
    facts: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The kind of exhibit it becomes."""
        return "live-output" if self.role is Role.EVIDENCE else "collector-tool"


@dataclass(frozen=True, slots=True)
class Judged:
    """How a collector ended, and why when it is not done."""

    outcome: Outcome
    reason: str = ""
    facts: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """What a collector brought, for its reader: bytes by part, and what the exhibits say of each."""

    parts: Mapping[str, bytes]
    facts: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)

    def part(self, name: str) -> bytes:
        """Give a part, empty when it was not brought."""
        return self.parts.get(name, b"")


@dataclass(frozen=True, slots=True)
class Reading:
    """Tables and pictures made of an output, with how much of it could not be read, by part."""

    tables: tuple[Table, ...]
    unread: Mapping[str, int] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)  # file name -> SVG
    notes: tuple[str, ...] = ()


class Bench:
    """Where a collector works while it collects: the target, what is known of it, and its parts so far."""

    def __init__(self, host: Host, facts: Facts, folder: Path) -> None:
        self.host = host
        self.facts = facts
        self.folder = folder
        self.parts: dict[str, Part] = {}

    def run(self, command: Command) -> Part:
        """Run a command, keep all it says, and tell how it ended."""
        completed = self.host.run(*command.argv, root=command.root, limits=command.limits)
        part = self.keep(command.part, completed.stdout, completed, command.accepts, optional=command.optional)
        self.keep_words(command.part, completed)
        return part

    def stream(self, command: Command) -> AbstractContextManager[Callable[[], None]]:
        """Start a command; what is given reads it to its end into a file, and may be called in a thread."""
        return _streaming(self, command)

    def keep(
        self,
        name: str,
        content: bytes,
        completed: Completed,
        accepts: tuple[int, ...] = (0,),
        *,
        optional: bool = False,
        role: Role = Role.EVIDENCE,
    ) -> Part:
        """Make a part of bytes that are in hand."""
        path = self.folder / name
        with _ours(path, os.O_TRUNC) as file:
            file.write(content)
        return self.enter(name, path, completed, accepts, optional=optional, role=role)

    def enter(
        self,
        name: str,
        path: Path,
        completed: Completed,
        accepts: tuple[int, ...] = (0,),
        *,
        optional: bool = False,
        role: Role = Role.EVIDENCE,
    ) -> Part:
        """Make a part of a file that is complete and closed."""
        accepted = completed.status in accepts and not completed.cut
        part = Part(name, path, path.stat().st_size, completed, accepted, optional, role)
        self.parts[name] = part
        return part

    def keep_words(self, name: str, completed: Completed) -> None:
        """Keep what a command said beside its output, for it alone may know what was lost."""
        if completed.stderr:
            self.keep(f"{name}.stderr", completed.stderr, completed, optional=True)

    def find(self, program: str) -> bool:
        """Tell whether the target has a program in its system folders."""
        if program in self.facts.tools:
            return True
        return self.host.run("/bin/sh", "-c", 'command -v -- "$1"', "sh", program).ok


def _ours(path: Path, how: int) -> BinaryIO:
    """Open a file to write that is for its owner alone: work may be broken off, and what is there stays."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | how, 0o600), "wb")


@contextmanager
def _streaming(bench: Bench, command: Command) -> Iterator[Callable[[], None]]:
    path = bench.folder / command.part
    ended: list[Completed] = []
    with bench.host.stream(*command.argv, root=command.root, limits=command.limits) as stream:

        def drain() -> None:
            with _ours(path, os.O_EXCL) as file:
                while chunk := stream.read():
                    file.write(chunk)
            ended.append(stream.ended())

        yield drain
    for completed in ended:
        bench.enter(command.part, path, completed, command.accepts, optional=command.optional)
        bench.keep_words(command.part, completed)


class Collector(ABC, Generic[Settings]):
    """One kind of live evidence."""

    name: ClassVar[str]
    title: ClassVar[str]
    volatility: ClassVar[int]  # lower is lost sooner (RFC 3227, section 2.1)
    program: ClassVar[str] = ""  # what must be on the target
    package: ClassVar[str] = ""  # what gives it there
    together: ClassVar[bool] = False  # may run beside others on one clock
    settings: type[Settings]

    def command(self, settings: Settings) -> tuple[Command, ...]:
        """Tell what is run on the target, in order."""
        raise NotImplementedError

    @contextmanager
    def capture(self, bench: Bench, settings: Settings) -> Iterator[Callable[[], None]]:
        """Set up, give the work to be done, and put back; the work of a `together` collector runs in a thread."""
        commands = self.command(settings)
        if self.together:
            with bench.stream(commands[0]) as drain:
                yield drain
            return

        def work() -> None:
            for command in commands:
                bench.run(command)

        yield work

    def judge(self, parts: Mapping[str, Part]) -> Judged:
        """Tell how it ended from what was brought."""
        return judge_commands(parts)

    @abstractmethod
    def read(self, output: Output) -> Reading:
        """Make tables of the output: pure, and total over any bytes."""


def judge_commands(parts: Mapping[str, Part]) -> Judged:
    """Judge by whether each command that had to end well did, and whether anything was said."""
    needed = [part for part in parts.values() if not part.optional]
    broken = [part for part in needed if not part.accepted]
    if not needed or (broken and not any(part.size for part in needed)):
        return Judged(Outcome.FAILED, "; ".join(why(part) for part in broken) or "nothing was run")
    if broken:
        return Judged(Outcome.PARTIAL, "; ".join(why(part) for part in broken))
    if not any(part.size for part in needed):
        return Judged(Outcome.EMPTY, "the commands ended well and said nothing")
    return Judged(Outcome.DONE)


def why(part: Part) -> str:
    """Say in one sentence how a command ended otherwise than it had to."""
    done = part.completed
    if done.cut:
        how = f"was cut by its limit of {done.cut} after {done.seconds:.0f} s, {part.size} bytes kept"
    else:
        how = f"ended with {'a signal' if done.status is None else f'exit code {done.status}'}"
    last = show(done.stderr.strip().rpartition(b"\n")[2], 300)
    return f"{part.name}: {show(done.argv[0] if done.argv else '')} {how}{f': {last}' if last else ''}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A collector by name, with its settings as they stand in the plan."""

    name: str
    settings: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """Which collectors run, in which order; those in one group run together on one clock."""

    groups: tuple[tuple[Chosen, ...], ...] = ()


@cache
def collectors() -> Mapping[str, Collector[Any]]:
    """Find every collector, by name, in order of volatility."""
    found: list[Collector[Any]] = []
    for module in pkgutil.iter_modules(__path__):
        collector = getattr(importlib.import_module(f"{__name__}.{module.name}"), "COLLECTOR", None)
        if isinstance(collector, Collector):
            found.append(collector)
    return {one.name: one for one in sorted(found, key=lambda one: (one.volatility, one.name))}
