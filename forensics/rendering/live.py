"""What the live collectors brought: block I/O, Lynis, out-of-memory kills."""

from __future__ import annotations

from forensics.blockio.captions import TITLES
from forensics.rendering import audit, pressure
from forensics.rendering.blocks import Block, Fact, FactList, Figure, GridColumn, Section, Words, grid
from forensics.rendering.missing import nothing
from forensics.rendering.record import CaseRecord, TargetRecord
from forensics.rendering.words import rows

_FILES = 3
"""Files that are named of a process."""
MEASURES = {
    "Q2C": "queued to completed",
    "Q2D": "queued to issued",
    "D2C": "issued to completed",
    "Q2G": "queued to request",
    "G2I": "request to inserted",
    "I2D": "inserted to issued",
}


def chapter(record: CaseRecord) -> Section:
    """Give block I/O, memory pressure and the audit of each target."""
    several = len(record.targets) > 1
    parts: list[Section] = []
    for target in record.targets:
        suffix = f" of {target.label}" if several else ""
        parts += [
            Section(f"block-io-{target.label}", f"Block I/O{suffix}", tuple(_block_io(target))),
            Section(f"oom-{target.label}", f"Out-of-memory kills and scores{suffix}", tuple(pressure.blocks(target))),
            Section(f"lynis-{target.label}", f"Lynis audit{suffix}", tuple(audit.blocks(target))),
            Section(f"collectors-{target.label}", f"Collectors and how each ended{suffix}", (_collectors(target),)),
        ]
    return Section("live", "What the live system showed", (), tuple(parts), flows=True)


def _block_io(target: TargetRecord) -> list[Block]:
    totals = target.tables.get("block_io_totals")
    if totals is None:
        return [nothing(target, "block_io", "block-io", "blktrace")]
    blocks: list[Block] = [
        FactList(
            tuple(Fact(name, f"{value} {unit}".strip()) for name, value, unit in rows(totals, "name", "value", "unit"))
        )
    ]
    for name, (title, alternative) in TITLES.items():
        picture = target.pictures.get(name)
        if picture:
            words = f"Drawn from the block trace; {picture.exhibit.number}, {picture.exhibit.digest}."
            blocks.append(Figure(f"Block I/O: {title[0].lower()}{title[1:]}", alternative, picture.svg, words))
    return [*blocks, *_latency(target), *_writers(target)]


def _latency(target: TargetRecord) -> list[Block]:
    table = target.tables.get("block_io_latency")
    if table is None:
        return []
    names = ("scope", "measure", "count", "minimum", "average", "median", "p95", "p99", "maximum")
    chosen = [row for row in rows(table, *names) if row[0] == "all" or row[1] in {"Q2C", "Q2D", "D2C"}]
    columns = (
        GridColumn("Process", 17, mono=True),
        GridColumn("Measure", 9),
        GridColumn("N", 9, align="right"),
        *(GridColumn(name, 10 if name != "Maximum" else 15, align="right") for name in ("Minimum", "Average", "Median", "95 %", "99 %", "Maximum")),
    )  # fmt: skip
    words = "; ".join(f"{short}: {long}" for short, long in MEASURES.items())
    note = Words(f"{words}. A latency is charged to the process that queued the request.", "note")
    return [grid("Latencies", columns, chosen, limit=40, source=target.source("block_io_latency")), note]


def _writers(target: TargetRecord) -> list[Block]:
    table = target.tables.get("block_io_processes")
    if table is None:
        return []
    columns = (
        GridColumn("Process", 20, mono=True),
        GridColumn("PID", 8, align="right"),
        GridColumn("Reads", 9, align="right"),
        GridColumn("Read", 11, align="right"),
        GridColumn("Writes", 9, align="right"),
        GridColumn("Written", 11, align="right"),
        GridColumn("Its files, when asked", 32, mono=True),
    )
    files = _files(target)
    names = ("process", "pid", "reads", "read_bytes", "writes", "written_bytes")
    found = [(*row, files.get(row[1], "–")) for row in rows(table, *names)]
    return [grid("Who queued it", columns, found, limit=25, source=target.source("block_io_processes"))]


def _files(target: TargetRecord) -> dict[str, str]:
    """Give the regular files that each process had open when the target was asked, the first ones by name."""
    table = target.tables.get("open_files")
    found: dict[str, dict[str, None]] = {}
    for pid, path in rows(table, "pid", "path") if table else ():
        if path.startswith("/") and not path.startswith(("/dev/", "/proc/", "/sys/")):
            found.setdefault(pid, {})[path] = None
    more = {pid: len(paths) - _FILES for pid, paths in found.items()}
    return {
        pid: ", ".join(list(paths)[:_FILES]) + (f" and {more[pid]} more" if more[pid] > 0 else "")
        for pid, paths in found.items()
    }


def _collectors(target: TargetRecord) -> Block:
    columns = (
        GridColumn("Collector", 20, mono=True),
        GridColumn("Outcome", 12),
        GridColumn("Exhibits", 26, mono=True),
        GridColumn("Reason", 42),
    )
    lines = [
        (
            result.item,
            str(result.outcome),
            ", ".join(one.number for one in target.exhibits if one.stage == "collect" and one.item == result.item),
            result.reason,
        )
        for result in target.results.get("collect", ())
    ]
    return grid("", columns, lines, limit=60, empty="No collector was run.")
