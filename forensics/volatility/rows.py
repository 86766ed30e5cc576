"""What Volatility's plugins give, as typed cells: its value types to ours, rows to disk as they come."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import IO, Any

from volatility3.framework import exceptions, interfaces, renderers
from volatility3.framework.renderers import format_hints

from forensics.model import utc
from forensics.tables import Absent, Cell, Column, TableWriter

DEPTH = Column("TreeDepth", "integer")
"""How far a row stands below its parent, the nearest earlier row of one less: 0 everywhere but in trees."""

_REASONS: dict[type[Any], str] = {
    renderers.UnreadableValue: "not readable in the image",
    renderers.UnparsableValue: "read, and not understood",
    renderers.NotApplicableValue: "does not apply",
    renderers.NotAvailableValue: "not available",
}
_TYPES: tuple[tuple[type[Any], str], ...] = (
    (format_hints.Hex, "hex"),
    (format_hints.Bin, "integer"),
    (bool, "yes/no"),
    (int, "integer"),
    (float, "number"),
    (dt.datetime, "time"),
    (format_hints.MultiTypeData, "text"),
    (bytes, "data"),
    (renderers.Disassembly, "data"),
    (renderers.LayerData, "data"),
)


def column_type(kind: type[Any]) -> str:
    """Tell which of our column types shows what a column of Volatility's holds."""
    return next((ours for theirs, ours in _TYPES if issubclass(kind, theirs)), "text")


def columns(grid: Any) -> list[Column]:
    """Give our columns for a grid's: names as Volatility spells them."""
    return [Column(column.name, column_type(column.type)) for column in grid.columns]


def cell(value: Any) -> Cell:
    """Turn one value into a cell; a value that is not there keeps its reason."""
    if isinstance(value, interfaces.renderers.BaseAbsentValue):
        return Absent(_REASONS.get(type(value), type(value).__name__))
    for kind, turn in _TURNS:
        if isinstance(value, kind):
            return turn(value)
    return _text(str(value))


def _number(value: float) -> Cell:
    return float(value) if math.isfinite(value) else Absent(f"not a finite number: {float(value)}")


def _time(value: dt.datetime) -> Cell:
    """Volatility's times without a zone are UTC (its `unixtime_to_datetime` and renderers say so)."""
    return utc(value if value.tzinfo else value.replace(tzinfo=dt.UTC))


def _multi(value: format_hints.MultiTypeData) -> Cell:
    """Text in the encoding it names; what cannot be decoded stays visible as escapes."""
    return _text(bytes(value).decode(value.encoding, errors="backslashreplace"))


def _layer(value: renderers.LayerData) -> Cell:
    layer = value.context.layers[value.layer_name]
    try:
        return str(layer.read(value.offset, value.length).hex())
    except exceptions.InvalidAddressException:
        return Absent("not readable in the image, or not all of it")


def _text(value: str) -> str:
    """Keep it exact; lone surrogates, which have no place in UTF-8, become escapes."""
    return value.encode("utf-8", errors="backslashreplace").decode()


_TURNS: tuple[tuple[type[Any], Callable[[Any], Cell]], ...] = (
    (bool, bool),
    (int, int),
    (float, _number),
    (dt.datetime, _time),
    (format_hints.MultiTypeData, _multi),
    (bytes, lambda value: bytes(value).hex()),
    (renderers.Disassembly, lambda value: value.data.hex()),
    (renderers.LayerData, _layer),
    (str, _text),
)


class RowWriter:
    """The visitor that a grid calls for each row: writes it at once."""

    def __init__(self, file: IO[str], item: str, title: str, grid: Any, sources: Sequence[str]) -> None:
        self._writer = TableWriter(file, item, title, [DEPTH, *columns(grid)], sources)

    @property
    def rows(self) -> int:
        """Count what was written."""
        return self._writer.rows

    def __call__(self, node: Any, accumulator: None) -> None:
        """Write one row."""
        self._writer.row([node.path_depth - 1, *(cell(value) for value in node.values)])
        return accumulator
