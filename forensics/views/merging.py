"""What the views share: whether one of them has a thing, and which exhibits they rest on."""

from __future__ import annotations

from collections.abc import Container, Mapping

from forensics.tables import Absent, Cell, Table

NOT_TAKEN = Absent("this view was not taken")


def shown(there: Container[object] | None, key: object) -> Cell:
    """Tell whether a view has a thing; None stands for a view that was not taken."""
    return NOT_TAKEN if there is None else key in there


def sources(tables: Mapping[str, Table], *names: str, more: str = "") -> tuple[str, ...]:
    """Give the numbers of the exhibits behind the tables, each once."""
    found = dict.fromkeys(number for name in names if name in tables for number in tables[name].sources)
    return (*found, *([more] if more and more not in found else []))
