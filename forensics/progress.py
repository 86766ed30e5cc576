"""Progress of long work: bars on a terminal, plain lines elsewhere. Stages are handed one; they never print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Where a stage says how far it is."""

    def say(self, text: str) -> None:
        """Show one line. Text of a target has passed `text.show`."""

    def task(self, title: str, total: int | None = None, unit: str = "bytes") -> TaskContext:
        """Show work of `total` units; enter it, and call what it gives with each further count."""


class TaskContext(Protocol):
    """A task that is shown while the block lasts."""

    def __enter__(self) -> Callable[[int], None]: ...
    def __exit__(self, *_: object) -> None: ...


class Silent:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    @contextmanager
    def task(self, title: str, total: int | None = None, unit: str = "bytes") -> Iterator[Callable[[int], None]]:
        """Count nothing."""
        del title, total, unit
        yield lambda _count: None
