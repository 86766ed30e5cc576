"""Figures as people read them."""

from __future__ import annotations

from forensics.tables import Absent, Cell, Table


def size(count: float) -> str:
    """Say a count of bytes: `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """Say a time that something took: `850 µs`, `12.4 s`, `3 min 20 s`."""
    if seconds < 0:
        return "−" + duration(-seconds)
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def moment(stamp: str) -> str:
    """Shorten an RFC 3339 time in UTC to seconds: `2026-11-23 20:15:01`."""
    return stamp[:19].replace("T", " ") if len(stamp) >= 19 else stamp


def cell(value: Cell, kind: str = "text") -> str:
    """Write a cell as its column's type asks."""
    if isinstance(value, Absent):
        return f"– ({value.reason})" if value.reason else "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return moment(value) if kind == "time" else value
    if kind == "bytes":
        return size(value)
    if kind == "seconds":
        return duration(float(value))
    if kind == "hex" and isinstance(value, int):
        return hex(value)
    return f"{value:,.1f}" if isinstance(value, float) else str(value)


def rows(table: Table, *names: str) -> list[tuple[str, ...]]:
    """Give the named columns of a table as text; a column that it lacks is empty."""
    places = {column.name: (number, column.type) for number, column in enumerate(table.columns)}
    chosen = [places.get(name) for name in names]
    return [tuple("" if at is None else cell(row[at[0]], at[1]) for at in chosen) for row in table.rows]
