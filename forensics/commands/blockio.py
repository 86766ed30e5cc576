"""`forensics blockio`: traces of the block layer that were made anywhere, without a case."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from forensics import terminal
from forensics.blockio import Trace, captures, listing, pair, read, summary, tables
from forensics.blockio.captions import MOST, SUFFIXES
from forensics.blockio.captures import Capture
from forensics.blockio.events import LETTERS
from forensics.commands import pages
from forensics.commands.options import GAPS, AsJson
from forensics.errors import ForensicsError, StageFailed, UsageError
from forensics.model import JSON
from forensics.tables import Absent, Cell, Table

blockio = typer.Typer(
    no_args_is_help=True,
    help="Read traces of blktrace, blkparse -d and ftrace, wherever they were made.",
)
app = typer.Typer()
app.add_typer(blockio, name="blockio")
_DEVICE = re.compile(r"\d{1,4},\d{1,7}")
_WHOLE = 4096
"""Lines that are written at once."""

Traces = Annotated[
    list[Path],
    typer.Argument(
        metavar="TRACE…",
        help="Files, names before .blktrace.0, folders of blktrace's files, or - for standard input.",
    ),
]
Drops = Annotated[
    int | None, typer.Option(min=0, help="Events that were lost, by blktrace's last words; the trace cannot tell.")
]
Names = Annotated[
    Path | None,
    typer.Option(
        help="Names of processes for a trace of ftrace: tracefs' saved_cmdlines.", exists=True, dir_okay=False
    ),
]
Actions = Annotated[str, typer.Option(metavar="Q,D,C", help="List these events only, by blkparse's letters.")]
Pids = Annotated[list[int] | None, typer.Option("--pid", help="List events of this process only.")]
Devices = Annotated[list[str] | None, typer.Option("--device", metavar="254,0", help="List this disk only.")]
Output = Annotated[Path, typer.Option(help="A new folder.")]


@blockio.command()
def show(
    traces: Traces,
    *,
    events: Annotated[
        bool | None, typer.Option("--events/--no-events", help="List the events.", show_default="but for --json")
    ] = None,
    actions: Actions = "",
    pid: Pids = None,
    device: Devices = None,
    since: Annotated[float | None, typer.Option(help="List from this second of the trace.")] = None,
    until: Annotated[float | None, typer.Option(help="List to this second of the trace.")] = None,
    absolute: Annotated[bool, typer.Option("--absolute", help="List with the wall clock's time, in UTC.")] = False,
    drops: Drops = None,
    names: Names = None,
    as_json: AsJson = False,
) -> None:
    """Print events as blkparse does, then counts, latencies, processes and disks; all files are one capture.

    Choices of events change what is listed, and never the counts and tables. Exits with 3 when something of the trace
    could not be read, or was lost while it was taken.
    """
    wanted = listing.Wanted(
        _actions(actions), frozenset(pid or ()), _devices(device or ()), since, until, absolute=absolute
    )
    listed = not as_json if events is None else events
    capture = captures.together(captures.find(traces))
    trace = opened(capture, drops, names, sequences=listed)
    made = tables(trace, pair(trace))
    if as_json:
        document = described(capture, trace, made)
        if listed:
            document["events"] = list(listing.lines(trace, wanted))
        terminal.document(document)
    else:
        _write(listing.lines(trace, wanted) if listed else ())
        _write(summary.text(trace, made))
    raise typer.Exit(GAPS if short_of(trace) else 0)


@blockio.command()
def report(
    traces: Traces,
    *,
    output: Output,
    title: Annotated[str, typer.Option(help="What stands above the page.")] = "",
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the page as PDF too.")] = False,
    drops: Drops = None,
    names: Names = None,
    as_json: AsJson = False,
) -> None:
    """Write a page with tables and pictures into a new folder, and each of them as a file; all files are one capture.

    The page fetches nothing and can be mailed. Exits with 3 when something of the trace could not be read, or was lost
    while it was taken.
    """
    _is_new(output)
    capture = captures.together(captures.find(traces))
    trace = opened(capture, drops, names)
    requests = pair(trace)
    made = tables(trace, requests)
    written = pages.write(output, pages.Paged(capture, trace, requests, made), title, pdf=pdf)
    _written(written, as_json=as_json)
    raise typer.Exit(GAPS if short_of(trace) else 0)


@blockio.command()
def compare(
    traces: Traces,
    *,
    output: Annotated[Path | None, typer.Option(help="Write a page with pictures into this new folder too.")] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the page as PDF too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put two to six captures side by side: totals, latencies and what the disks had to do, each TRACE one capture.

    Exits with 3 when something of one of them could not be read.
    """
    found = captures.find(traces)
    if not 2 <= len(found) <= MOST:
        raise UsageError(f"{len(found)} captures cannot be compared", why=f"2 to {MOST} can", remedy="name each once")
    if output:
        _is_new(output)
    compared = []
    for capture in found:
        trace = opened(capture, None)
        requests = pair(trace)
        compared.append(pages.Paged(capture, trace, requests, tables(trace, requests)))
    table = pages.side_by_side(compared)
    written = pages.write_comparison(output, compared, table, pdf=pdf) if output else []
    if as_json:
        columns = [column.name for column in table.columns]
        rows: list[JSON] = [[_json(cell) for cell in row] for row in table.rows]
        terminal.document({"columns": list(columns), "rows": rows, "written": [str(path) for path in written]})
    else:
        _write(summary.comparison(table))
        _written(written, as_json=False)
    raise typer.Exit(GAPS if any(short_of(one.trace) for one in compared) else 0)


@blockio.command()
def movie(
    traces: Traces,
    *,
    output: Annotated[Path, typer.Option(help="A new file, NAME.webp or NAME.gif.")],
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long the movie runs.")] = 20,
    rate: Annotated[int, typer.Option(min=1, max=50, help="Frames a second.")] = 12,
    names: Names = None,
    as_json: AsJson = False,
) -> None:
    """Draw the disk in motion: each request lights up at its place when it was completed, in its process's colour."""
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError("that is no movie's name", where=str(output), why=f"{' or '.join(SUFFIXES)} ends one")
    if output.exists():
        raise UsageError("it is there already", where=str(output), remedy="name a new file")
    capture = captures.together(captures.find(traces))
    trace = opened(capture, None, names)
    requests = pair(trace)
    if not len(requests):
        raise StageFailed("there is nothing to draw", where=capture.label, why="no request of the trace was queued")
    from forensics.blockio import movie as cinema  # noqa: PLC0415 - matplotlib is slow to come

    cinema.film(trace, requests, output, cinema.Script(seconds, rate))
    _written([output], as_json=as_json)
    raise typer.Exit(GAPS if short_of(trace) else 0)


def _is_new(folder: Path) -> None:
    """Refuse a folder that holds something."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError("it is there already", where=str(folder), remedy="name a new folder")


def _written(paths: Sequence[Path], *, as_json: bool) -> None:
    if as_json:
        terminal.document({"written": [str(path) for path in paths]})
        return
    for path in paths:
        terminal.line(str(path))


def opened(capture: Capture, drops: int | None, names: Path | None = None, *, sequences: bool = False) -> Trace:
    """Read a capture; StageFailed names it when it is none, or has no events."""
    known = captures.process_names(names) if names else None
    try:
        trace = read(capture.contents(), drops, known, sequences=sequences)
    except OSError as problem:
        raise StageFailed.of(problem, capture.files[0]) from None
    except ForensicsError as problem:
        problem.where = problem.where or ", ".join(map(str, capture.files))
        raise
    if len(trace):
        return trace
    raise StageFailed(
        "the trace has no events",
        where=", ".join(map(str, capture.files)),
        why=f"{trace.notes.count} notes and {trace.unread} bytes that cannot be read are all there is",
        remedy="the disk was idle, or blktrace could not start: its last words tell (kernel lockdown refuses it)",
    )


def described(capture: Capture, trace: Trace, made: Iterable[Table]) -> dict[str, JSON]:
    """Give a capture as JSON: which files, what could not be read, and all tables."""
    return {
        "capture": capture.label,
        "files": [str(file) for file in capture.files],
        "version": trace.version,
        "events_read": len(trace),
        "unread_bytes": trace.unread,
        "dropped": trace.dropped,
        "tables": {table.name: [{name: _json(cell) for name, cell in row.items()} for row in table] for table in made},
    }


def _json(cell: Cell) -> JSON:
    return {"absent": cell.reason} if isinstance(cell, Absent) else cell


def short_of(trace: Trace) -> bool:
    """Tell whether something is known to be missing."""
    return bool(trace.unread or trace.dropped)


def _actions(words: str) -> frozenset[str]:
    known = {one.lower(): one for one in LETTERS[1:]}
    asked = [one for one in words.replace(",", " ").split() if one]
    strange = [one for one in asked if one.lower() not in known]
    if strange:
        raise UsageError("no such event", where=f"--actions {strange[0]}", why=f"there are {', '.join(LETTERS[1:])}")
    return frozenset(one if one in LETTERS else known[one.lower()] for one in asked)


def _devices(words: Iterable[str]) -> frozenset[str]:
    strange = [one for one in words if not _DEVICE.fullmatch(one)]
    if strange:
        raise UsageError("not a disk as blkparse names it", where=f"--device {strange[0]}", why="254,0 is one")
    return frozenset(words)


def _write(lines: Iterable[str]) -> None:
    """Write lines, which are safe to show, many at a time."""
    waiting: Iterator[str] = iter(lines)
    write: Callable[[str], object] = sys.stdout.write
    while block := list(islice(waiting, _WHOLE)):
        write("\n".join(block) + "\n")
