"""Reports of the OOM killer in the kernel log that memory holds: it is there also when the live log was emptied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from forensics.findings.rule import text_of
from forensics.oom import lines, reports
from forensics.oom import tables as oom_tables
from forensics.tables import Absent, Table

MEMORY = "linux.kmsg.Kmsg"


def tables(found: Mapping[str, Table]) -> Iterator[Table]:
    """Make `memory_oom_kills` and `memory_oom_tasks`, by the reader that reads the live log."""
    if MEMORY not in found:
        return
    rows = [
        (_seconds(text_of(row["timestamp"])), str(row["line"]))
        for row in found[MEMORY]
        if not isinstance(row["line"], Absent)
    ]
    read = reports.read(lines.messages(rows))
    for table in oom_tables.made({"kernel log in memory": read}):
        if table.name in {"oom_kills", "oom_tasks"}:
            title = f"{table.title}, in the kernel log that memory holds"
            yield replace(table, name=f"memory_{table.name}", title=title, sources=found[MEMORY].sources)


def _seconds(words: str) -> float | None:
    try:
        return float(words)
    except ValueError:
        return None
