"""What a person sees: progress, tables and errors. Everything shown has passed `text.show`."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table as Grid

from forensics.errors import ForensicsError
from forensics.model import JSON
from forensics.text import show

LINE_EVERY = 10.0
"""Seconds between two lines about the same work where there is no terminal."""


_WIDTH_OF_A_PIPE = 4000
"""Columns; no cell is folded that `text.show` lets through."""


class TerminalProgress:
    """Bars with rate and time left on a terminal; a line every ten seconds elsewhere. Written to standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Show one line with the time since the start."""
        took = time.monotonic() - self._began
        self._console.print(f"[dim]{took:7.1f} s[/dim]  {escape(show(text))}", soft_wrap=True)

    @contextmanager
    def task(self, title: str, total: int | None = None, unit: str = "bytes") -> Iterator[Callable[[int], None]]:
        """Show how far a piece of work is."""
        if self._console.is_terminal:
            with self._bar(title, total, unit) as advance:
                yield advance
        else:
            with self._lines(title, total, unit) as advance:
                yield advance

    @contextmanager
    def _bar(self, title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        counts = (DownloadColumn(binary_units=True), TransferSpeedColumn()) if unit == "bytes" else ()
        columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), *counts, TimeElapsedColumn()]
        with Bars(*columns, TimeRemainingColumn(), console=self._console, transient=True) as bars:
            task = bars.add_task(escape(show(title, 60)), total=total)
            yield lambda count: bars.advance(task, count)

    @contextmanager
    def _lines(self, title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        began = said = time.monotonic()
        done = 0

        def advance(count: int) -> None:
            nonlocal done, said
            done += count
            if time.monotonic() - said >= LINE_EVERY:
                said = time.monotonic()
                self.say(f"{title}: {_how_far(done, total, unit, said - began)}")

        yield advance


def _how_far(done: int, total: int | None, unit: str, took: float) -> str:
    rate = done / took if took else 0.0
    if unit == "bytes":
        said = (
            f"{done / 2**20:.1f} MiB"
            + (f" of {total / 2**20:.1f} MiB" if total else "")
            + f", {rate / 2**20:.1f} MiB/s"
        )
    else:
        said = f"{done}" + (f" of {total}" if total else "") + f" {unit}"
    left = f", about {(total - done) / rate:.0f} s left" if total and rate and total > done else ""
    return said + left


def grid(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print a table to standard output; the words of `empty` when it has no rows.

    On a terminal cells fold to its width; elsewhere each row is one line, for those who search it.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_OF_A_PIPE)
    if not rows:
        console.print(escape(empty))
        return
    table = Grid(title=escape(title) or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(show(str(value))) for value in row))
    console.print(table)


def line(text: str) -> None:
    """Print one line to standard output."""
    Console(highlight=False).print(escape(show(text)), soft_wrap=True)


def document(value: Mapping[str, JSON] | Sequence[JSON]) -> None:
    """Print JSON to standard output, for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def error(problem: ForensicsError, *, as_json: bool) -> None:
    """Print an error to standard error: what, where, why, what to do."""
    if as_json:
        facts = {"error": type(problem).__name__, "what": problem.what, "where": problem.where}
        facts |= {"why": problem.why, "do": problem.remedy}
        sys.stderr.write(json.dumps({**facts, "exit": problem.exit_code}, ensure_ascii=True) + "\n")
        return
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]error[/bold red]  {escape(show(problem.what))}", soft_wrap=True)
    for name, words in (("where", problem.where), ("why", problem.why), ("do", problem.remedy)):
        for number, part in enumerate(words.splitlines()):
            label = name if number == 0 else ""
            console.print(f"[dim]{label:>5}[/dim]  {escape(show(part))}", soft_wrap=True)


def fault(problem: Exception) -> None:
    """Print what Python says of a fault of this program to standard error, as `text.show` shows it."""
    for part in "".join(traceback.format_exception(problem)).splitlines():
        sys.stderr.write(show(part) + "\n")
    sys.stderr.write("This is a fault of this program. The ledger tells how far the case came; run again to go on.\n")
