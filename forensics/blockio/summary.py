"""What a trace amounts to, as text: the end of blkparse's output, then tables in the way of btt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forensics.blockio.counting import Counts, count, depths, device_name
from forensics.blockio.events import C, D, Q, R
from forensics.blockio.trace import Trace
from forensics.tables import Absent, Cell, Row, Table
from forensics.text import show

_MOST = 20
_TIMES = ("minimum", "average", "median", "p95", "p99", "maximum")
_RULE = "-" * 110


def text(trace: Trace, made: Sequence[Table]) -> Iterator[str]:
    """Give the lines: counts by processor and device, latencies, processes, devices, and what was lost.

    `made`: the tables of this trace, as `reading.tables` makes them.
    """
    known = {table.name: table for table in made}
    counts = count(trace)
    for place, device in enumerate(counts.devices):
        yield from _device(trace, counts, place, device)
    yield from _latencies(known["block_io_latency"])
    yield from _processes(known["block_io_processes"])
    yield from _disks(known["block_io_devices"])
    yield from _overhead(known["block_io_overhead"])
    yield from _rest(known["block_io_totals"])


def _device(trace: Trace, counts: Counts, place: int, device: int) -> Iterator[str]:
    name = device_name(device)
    several = len(counts.cpus) > 1
    for at, cpu in enumerate(counts.cpus) if several else ():
        if counts.total(place, at):
            yield f"CPU{cpu} ({name}):"
            yield from _counts(counts, place, at)
    yield ""
    yield f"Total ({name}):"
    yield from _counts(counts, place, None)
    read, write = depths(trace, device)
    yield _both("depth", f"{read:12,}", f"{write:12,}", "Read", "Write")
    milliseconds = int(trace.time[-1] - trace.time[0]) // 1_000_000 if len(trace) else 0  # whole ones, as blkparse
    kib = [counts.kib(C, write=way, device=place) for way in (False, True)]
    rates = [int(1000 * one / milliseconds) if milliseconds else 0 for one in kib]
    yield ""
    yield f"Throughput (R/W): {rates[0]:,}KiB/s / {rates[1]:,}KiB/s"
    yield f"Events ({name}): {counts.total(place):,} entries"
    yield ""


def _counts(counts: Counts, place: int, cpu: int | None) -> Iterator[str]:
    def pair(event: int, *, pc: bool = False) -> tuple[str, str]:
        of = [counts.of(event, write=way, pc=pc, device=place, cpu=cpu) for way in (False, True)]
        kib = [counts.kib(event, write=way, pc=pc, device=place, cpu=cpu) for way in (False, True)]
        return f"{of[0]:12,}, {int(kib[0]):12,}KiB", f"{of[1]:12,}, {int(kib[1]):12,}KiB"

    yield _both("Queued", *pair(Q), "Reads", "Writes")
    yield _both("Dispatches", *pair(D), "Read", "Write")
    yield _both("Requeued", *pair(R), "Reads", "Writes")
    yield _both("Completed", *pair(C), "Reads", "Writes")
    merged = [counts.merges(write=way, device=place, cpu=cpu) for way in (False, True)]
    read, write = (f"{number:12,}, {int(kib):12,}KiB" for number, kib in merged)
    yield _both("Merges", read, write, "Read", "Write")
    for event, word in ((Q, "Queued"), (D, "Disp."), (R, "Req."), (C, "Compl.")):
        if any(counts.of(event, write=way, pc=True, device=place, cpu=cpu) for way in (False, True)):
            yield _both(word, *pair(event, pc=True), "PC Reads", "PC Writes")
    plug, timed = (f"{counts.unplugs(timer=timer, device=place, cpu=cpu):12,}" for timer in (False, True))
    yield _both("unplugs", plug, timed, "IO", "Timer")


def _both(word: str, read: str, write: str, first: str, second: str) -> str:
    left = f" {f'{first} {word}:':20}{read}"
    return f"{left:54} {f'{second} {word}:':20}{write}"


def _latencies(table: Table) -> Iterator[str]:
    head = f"{'':10} {'MIN':>13} {'AVG':>13} {'MEDIAN':>13} {'P95':>13} {'P99':>13} {'MAX':>13} {'N':>11}"
    scope: tuple[object, object] | None = None
    listed = 0
    for row in table:
        if scope != (row["scope"], row["pid"]):
            scope = row["scope"], row["pid"]
            listed += 1
            if listed > _MOST:
                yield f"… and more: the {_MOST} that queued most are listed, --json has all"
                yield ""
                return
            if listed > 1:
                yield ""
            yield f"==================== {_scope(row)} ===================="
            yield ""
            yield head
            yield _RULE
        yield (
            f"{row['measure']!s:10} "
            + " ".join(f"{_seconds(row[name]):>13}" for name in _TIMES)
            + f" {row['count']:>11}"
        )
    yield ""


def _scope(row: Row) -> str:
    scope = show(str(row["scope"]), 64)
    if scope == "all":
        return "All requests, seconds"
    return scope.capitalize() if isinstance(row["pid"], Absent) else f"{scope} ({row['pid']})"


def _processes(table: Table) -> Iterator[str]:
    yield "==================== By process that queued ===================="
    yield ""
    yield f"{'PID':>8} {'PROCESS':24} {'READS':>11} {'READ KiB':>14} {'WRITES':>11} {'WRITTEN KiB':>14}"
    yield _RULE
    rows = list(table)
    for row in rows[:_MOST]:
        read, written = (_number(row[name]) / 1024 for name in ("read_bytes", "written_bytes"))
        name = show(str(row["process"]), 24)
        yield f"{row['pid']:>8} {name:24} {row['reads']:>11} {read:14,.1f} {row['writes']:>11} {written:14,.1f}"
    if len(rows) > _MOST:
        yield f"… and {len(rows) - _MOST} more processes: --json has all"
    if not rows:
        yield "Nothing was queued."
    yield ""


def _disks(table: Table) -> Iterator[str]:
    yield "==================== By device ===================="
    yield ""
    sizes = f"{'BLKmin':>10} {'BLKavg':>10} {'BLKmax':>10}"
    far = f"{'SEQUENTIAL':>11} {'SEEKS':>9} {'SEEKavg':>14} {'SEEKmax':>12}"
    yield f"{'DEV':>8} {'#Q':>10} {'#D':>10} {'#Q/#D':>7} {sizes} {far}"
    yield _RULE
    for row in table:
        sizes = " ".join(f"{_cell(row[name]):>10}" for name in ("smallest", "average", "largest"))
        far = f"{_cell(row['seek_average']):>14} {_cell(row['seek_maximum']):>12}"
        counts = f"{row['queued']:>10} {row['issued']:>10} {_cell(row['queued_per_issued']):>7}"
        yield f"{row['device']:>8} {counts} {sizes} {row['sequential']:>11} {row['seeks']:>9} {far}"
    yield "sizes in bytes, seeks in sectors from the end of the request before"
    yield ""


def _overhead(table: Table) -> Iterator[str]:
    rows = list(table)
    if not rows:
        return
    yield "==================== Where the time went, of the sum of Q2C ===================="
    yield ""
    names = list(dict.fromkeys(str(row["measure"]) for row in rows))
    yield f"{'DEV':>8} " + " ".join(f"{name:>10}" for name in names)
    yield _RULE
    for device in dict.fromkeys(str(row["device"]) for row in rows):
        shares = {str(row["measure"]): _number(row["percent"]) for row in rows if row["device"] == device}
        yield f"{device:>8} " + " ".join(f"{shares[name]:9.4f}%" if name in shares else " " * 10 for name in names)
    yield ""


def comparison(table: Table) -> Iterator[str]:
    """Give the lines of a table of captures side by side; of each but the first also how it stands to that."""
    labels = [column.name for column in table.columns[2:]]
    yield f"{'':28} {'':8} " + " ".join(f"{show(label, 24):>24}" for label in labels)
    yield "-" * (38 + 25 * len(labels))
    for what, unit, *cells in table.rows:
        told = " ".join(f"{_beside(cell, cells[0] if at else None):>24}" for at, cell in enumerate(cells))
        yield f"{what!s:28} {unit!s:8} {told}"


def _beside(cell: Cell, first: Cell | None) -> str:
    if not isinstance(cell, int | float):
        return _cell(cell)
    ratio = f"  ({cell / first:.2f} x)" if isinstance(first, int | float) and first else ""
    return f"{cell:,.12g}{ratio}"


def _rest(table: Table) -> Iterator[str]:
    for row in table:
        if row["name"] in {"first event", "span", "dropped", "unread"}:
            value = (
                f"– ({row['value'].reason})" if isinstance(row["value"], Absent) else f"{row['value']} {row['unit']}"
            )
            yield f"{str(row['name']).capitalize():12} {value.removesuffix(' time')}"


def _seconds(value: Cell) -> str:
    return f"{_number(value):.9f}"


def _number(value: Cell) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _cell(value: Cell) -> str:
    return "–" if isinstance(value, Absent) else str(value)
