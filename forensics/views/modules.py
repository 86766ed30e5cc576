"""Kernel modules: every way in which the kernel holds them, a scan, and /proc/modules before and after."""

from __future__ import annotations

from collections.abc import Mapping

from forensics.findings.rule import text_of
from forensics.model import Facts
from forensics.tables import Absent, Cell, Column, Table
from forensics.views.merging import shown, sources

NAME = "module_views"
MEMORY, LIVE = "linux.forensics.modules.ModuleViews", "modules"
STOCK = "linux.malware.modxview.Modxview"

_COLUMNS = (
    Column("name"),
    Column("state"),
    Column("offset", "hex"),
    Column("base", "hex"),
    Column("size", "bytes"),
    Column("taints"),
    *(Column(name, "yes/no") for name in ("in_list", "in_sysfs", "in_tree", "in_scan", "before", "after")),
)
_MEMORY_COLUMNS = ("State", "Offset", "Base", "Size", "Taints", "In list", "In sysfs", "In tree", "In scan")


def view(tables: Mapping[str, Table], facts: Facts | None, facts_exhibit: str) -> Table | None:
    """Make the view; None when memory's modules were not listed."""
    remembered = _remembered(tables)
    if remembered is None:
        return None
    before = set(facts.modules) if facts is not None and facts.modules else None
    after = {text_of(row["name"], 64) for row in tables[LIVE]} if LIVE in tables else None
    rows = [(*one, shown(before, one[0]), shown(after, one[0])) for one in remembered]
    known = {one[0] for one in remembered}
    untold = Absent("memory does not have it")
    live_only = sorted(((before or set()) | (after or set())) - known)
    rows += [(name, *[untold] * 5, *[False] * 4, shown(before, name), shown(after, name)) for name in live_only]
    used = sources(tables, MEMORY, *(() if MEMORY in tables else (STOCK,)), LIVE, more=facts_exhibit)
    return Table(NAME, "Kernel modules, as each view shows them", _COLUMNS, tuple(rows), used)


def _remembered(tables: Mapping[str, Table]) -> list[tuple[Cell, ...]] | None:
    if MEMORY in tables:
        return [
            (text_of(row["Name"], 64) or "without a name", *(row[name] for name in _MEMORY_COLUMNS))
            for row in tables[MEMORY]
        ]
    if STOCK in tables:
        return [_of_stock(row) for row in tables[STOCK]]
    return None


def _of_stock(row: Mapping[str, Cell]) -> tuple[Cell, ...]:
    """Take Volatility's own table where the analyst's plan leaves ours out."""
    untold = Absent("this plugin does not tell it")
    ways = (row["In procfs"], row["In sysfs"], untold, row["In scan"])
    name = text_of(row["Name"], 64) or "without a name"
    return (name, untold, row["Address"], untold, untold, row["Taints"], *ways)
