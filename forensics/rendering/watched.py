"""Who stood next in line for the OOM killer while it was watched, and how their memory went."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.rendering.blocks import Block, GridColumn, Words, grid
from forensics.rendering.record import TargetRecord
from forensics.rendering.words import moment, size
from forensics.tables import Row

_MOST = 15


def blocks(target: TargetRecord) -> list[Block]:
    """Give each candidate once, the highest score first, with its memory at the first and the last sight."""
    table = target.tables.get("oom_watch")
    if table is None or not len(table):
        return []
    seen: dict[tuple[str, str], list[Row]] = {}
    for row in table:
        seen.setdefault((str(row["pid"]), str(row["comm"])), []).append(row)
    ranked = sorted(seen.items(), key=lambda one: -_highest(one[1], "oom_score"))
    columns = (
        GridColumn("Process", 26, mono=True),
        GridColumn("PID", 10, align="right"),
        GridColumn("Seconds seen", 12, align="right"),
        GridColumn("Highest score", 12, align="right"),
        GridColumn("Resident, first", 13, align="right"),
        GridColumn("Resident, last", 13, align="right"),
        GridColumn("Resident, most", 14, align="right"),
    )
    lines = [
        (comm, pid, str(len(rows)), str(_highest(rows, "oom_score")), _size(rows[0]), _size(rows[-1]),
         size(_highest(rows, "rss")))
        for (pid, comm), rows in ranked
    ]  # fmt: skip
    times = sorted(str(row["time"]) for row in table)
    words = f"Read once a second from {moment(times[0])} to {moment(times[-1])} by the target's clock, in UTC."
    title = "Whom the kernel would have killed while it was watched"
    return [grid(title, columns, lines, limit=_MOST, source=target.source("oom_watch")), Words(words, "note")]


def _highest(rows: Sequence[Row], name: str) -> int:
    return max((value for row in rows if isinstance(value := row[name], int)), default=0)


def _size(row: Row) -> str:
    return size(row["rss"]) if isinstance(row["rss"], int) else "–"
