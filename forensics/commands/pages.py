"""Pages of block traces: tables and pictures of one capture, or of several side by side, in a folder of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics import tables
from forensics.blockio import Requests, Trace
from forensics.blockio.captions import COMPARED, TITLES
from forensics.blockio.captures import STANDARD_INPUT, Capture
from forensics.blockio.reading import began
from forensics.blockio.sides import COMPARISON, Compared, compare
from forensics.hashing import hash_file
from forensics.rendering.blocks import Block, Fact, FactList, Figure, GridColumn, Section, Words, grid
from forensics.rendering.live import MEASURES
from forensics.rendering.page import Head, page
from forensics.rendering.pdf import print_pdf
from forensics.rendering.words import cell, rows
from forensics.tables import Absent, Cell, Table
from forensics.text import show

_SORT = "Block I/O"
_LIMIT = 80
_ZERO = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Paged:
    """One capture with what was made of it."""

    capture: Capture
    trace: Trace
    requests: Requests
    tables: tuple[Table, ...]

    @property
    def label(self) -> str:
        """What it is called."""
        return self.capture.label


def write(folder: Path, one: Paged, title: str, *, pdf: bool) -> list[Path]:
    """Write the page of one capture, its tables as JSON Lines and its pictures as SVG; give all paths."""
    from forensics.blockio import pictures  # noqa: PLC0415 - matplotlib is slow to come

    drawn = pictures.draw(one.trace, one.requests)
    sections = [
        Section("pictures", "Pictures", tuple(_figures(drawn, TITLES, one.label))),
        *(Section(table.name.replace("_", "-"), table.title, tuple(_table(table)), flows=True) for table in one.tables),
        Section("source", "What it was made of", (FactList(tuple(_sources(one))),), flows=True),
    ]
    title = title or f"Block I/O of {show(one.label, 80)}"
    cover = Section("cover", title, (FactList(tuple(_facts(one))),))
    return _files(folder, _Page(title, cover, sections), drawn, one.tables, _stamp([one]) if pdf else "")


def side_by_side(captures: Sequence[Paged]) -> Table:
    """Put the figures of several captures into one table."""
    return compare(_compared(captures))


def write_comparison(folder: Path, captures: Sequence[Paged], table: Table, *, pdf: bool) -> list[Path]:
    """Write the page of several captures side by side; give all paths."""
    from forensics.blockio import comparison  # noqa: PLC0415 - matplotlib is slow to come

    drawn = comparison.draw(_compared(captures))
    title = "Block I/O: " + ", ".join(show(one.label, 40) for one in captures)
    parts = tuple(
        Section(f"source-{at}", show(one.label, 80), (FactList((*_facts(one), *_sources(one))),))
        for at, one in enumerate(captures, 1)
    )
    sections = [
        Section("figures", "Side by side", tuple(_table(table))),
        Section("pictures", "Pictures", tuple(_figures(drawn, COMPARED, "the captures"))),
        Section("source", "What it was made of", (), parts),
    ]
    cover = Section("cover", title, (Words("Times of each capture count from its own first event."),))
    return _files(folder, _Page(title, cover, sections), drawn, [table], _stamp(captures) if pdf else "")


def _compared(captures: Sequence[Paged]) -> list[Compared]:
    return [Compared(one.label, one.trace, one.requests, one.tables) for one in captures]


@dataclass(frozen=True, slots=True)
class _Page:
    title: str
    cover: Section
    sections: Sequence[Section]

    def text(self, *, printed: bool) -> str:
        return page(Head(self.title, _SORT, printed=printed), self.cover, self.sections)


def _files(folder: Path, made_of: _Page, drawn: Mapping[str, bytes], made: Iterable[Table], stamp: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "report.html"]
    written[0].write_text(made_of.text(printed=False), encoding="utf-8")
    if stamp:
        written.append(folder / "report.pdf")
        with tempfile.TemporaryDirectory(prefix="forensics-") as place:
            paper = Path(place) / "print.html"
            paper.write_text(made_of.text(printed=True), encoding="utf-8")
            print_pdf(paper, written[1], stamp=stamp)
    for name, content in drawn.items():
        written.append(folder / name)
        written[-1].write_bytes(content)
    for table in made:
        written.append(folder / f"{table.name}.jsonl")
        tables.write(written[-1], table)
    return written


def _stamp(captures: Iterable[Paged]) -> str:
    """Give the date that a PDF carries: that of a trace, so that the same traces give the same file."""
    told = (began(one.trace) for one in captures)
    return next((moment for moment in told if isinstance(moment, str)), _ZERO)


def _figures(drawn: Mapping[str, bytes], captions: Mapping[str, tuple[str, str]], label: str) -> Iterable[Block]:
    for name, (title, alternative) in captions.items():
        yield Figure(title, f"{alternative}, of {show(label, 80)}", drawn[f"{name}.svg"])


def _table(table: Table) -> Iterable[Block]:
    sided = [column.type not in {"text", "time"} for column in table.columns]
    columns = [
        GridColumn(column.name.replace("_", " "), align="right" if right else "left")
        for column, right in zip(table.columns, sided, strict=True)
    ]
    if len(columns) > _WIDE:
        yield from (FactList(tuple(_as_facts(table, row))) for row in table.rows[:_LIMIT])
        return
    shown = rows(table, *(column.name for column in table.columns)) if table.name != COMPARISON else _figured(table)
    yield grid("", columns, shown, limit=_LIMIT, source=f"All rows: {table.name}.jsonl.", empty="There are none.")
    if table.name == "block_io_latency":
        words = "; ".join(f"{short}: {long}" for short, long in MEASURES.items())
        yield Words(f"{words}. A latency is charged to the process that queued the request.", "note")


def _figured(table: Table) -> list[tuple[str, ...]]:
    """Write figures of any size with the digits that tell them apart."""
    return [tuple(f"{one:,.6g}" if isinstance(one, float) else cell(one) for one in row) for row in table.rows]


_WIDE = 12
"""Columns of a table that is rather told as facts, a list a row."""


def _as_facts(table: Table, row: Sequence[Cell]) -> Iterable[Fact]:
    for column, value in zip(table.columns, row, strict=True):
        yield Fact(column.name.replace("_", " "), cell(value, column.type))


def _facts(one: Paged) -> Iterable[Fact]:
    trace = one.trace
    first = began(trace)
    yield Fact("Events", f"{len(trace):,}, trace version {trace.version}")
    yield Fact("First event", first.reason if isinstance(first, Absent) else str(first))
    yield Fact("Span", f"{float(trace.time[-1] - trace.time[0]) / 1e9:,.3f} s")
    lost = "not known: only blktrace's last words tell (--drops)" if trace.dropped is None else f"{trace.dropped:,}"
    yield Fact("Lost while it was taken", lost)
    yield Fact("Could not be read", f"{trace.unread:,} bytes")


def _sources(one: Paged) -> Iterable[Fact]:
    for file in one.capture.files:
        if file == STANDARD_INPUT:
            yield Fact("standard input", "a stream, not kept")
        else:
            hashed = hash_file(file.resolve())
            yield Fact(show(file.name, 80), f"{hashed.size:,} bytes, {hashed.digest}", mono=True)
