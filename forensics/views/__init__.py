"""Cross-views: what memory shows beside what the target itself listed, one row a thing, one column a view.

A view is a table made of other tables; "no" in a column means that this view was there and did not have it. Where a
view was not taken its cells are absent, with the reason: absence from it would mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from forensics.model import Facts
from forensics.tables import Table
from forensics.views import log, modules, processes, sockets

__all__ = ["make"]


def make(tables: Mapping[str, Table], facts: Facts | None, facts_exhibit: str = "") -> Iterator[Table]:
    """Give every view whose tables are there, with the numbers of the exhibits that it was made from."""
    for kind in (processes, modules, sockets):
        table = kind.view(tables, facts, facts_exhibit)
        if table is not None:
            yield table
    yield from log.tables(tables)
