"""Progress of long work: bars on a terminal, plain lines elsewhere. Stages are handed one; they never print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeAlias

TaskContext: TypeAlias = AbstractContextManager[Callable[[int], None]]
"""A task that is shown while the block lasts; call what it gives with each further count."""


class Progress(Protocol):
    """Where a stage says how far it is."""

    def say(self, text: str) -> None:
        """Show one line. Text of a target has passed `text.show`."""

    def task(self, title: str, total: int | None = None, unit: str = "bytes") -> TaskContext:
        """Show work of `total` units; enter it, and call what it gives with each further count."""


class Silent:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    @contextmanager
    def task(self, title: str, total: int | None = None, unit: str = "bytes") -> Iterator[Callable[[int], None]]:
        """Count nothing."""
        del title, total, unit
        yield lambda _count: None
