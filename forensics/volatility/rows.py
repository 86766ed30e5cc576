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
    if isinstance(value, Torn):
        return Absent(value.why)
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


class Torn(interfaces.renderers.BaseAbsentValue):  # type: ignore[misc]  # Volatility has no types
    """What stands where a plugin gave a value of another kind than its column promises, and why."""

    def __init__(self, why: str) -> None:
        self.why = why


class RowWriter:
    """Takes the rows that a plugin makes, and writes each at once.

    Volatility's own way keeps every row in memory, and throws all that follow away at the first value of a wrong kind:
    a structure that the kernel was changing while the image was taken gives nothing where a name is due (2.28.2,
    TreeNode._validate_values). Here such a cell is absent, with the reason, and the row is named in `torn`.
    """

    def __init__(self, file: IO[str], item: str, title: str, grid: Any, sources: Sequence[str]) -> None:
        self._grid = grid
        self._writer = TableWriter(file, item, title, [DEPTH, *columns(grid)], sources)
        self.torn: list[str] = []  # one line a row

    def write(self) -> None:
        """Write all rows; what the plugin raises passes through, after the rows before it."""
        deepest = 0
        for level, values in self._grid._generator:  # noqa: SLF001 (populate() is the only other way, see above)
            depth = min(level, deepest)
            fitting = self._fit(values)
            self._writer.row([depth, *(cell(value) for value in fitting)])
            deepest = depth + 1

    def _fit(self, values: Sequence[Any]) -> list[Any]:
        kinds = self._grid.columns
        if not isinstance(values, Sequence) or len(values) != len(kinds):
            msg = f"the plugin gave a row that is not of its {len(kinds)} columns"
            raise TypeError(msg)
        fitting = [_fit(value, column.type) for value, column in zip(values, kinds, strict=True)]
        if any(isinstance(value, Torn) for value in fitting):
            self.torn.append(self._words(fitting))
        return fitting

    def _words(self, values: Sequence[Any]) -> str:
        """Name a row: which columns have no value, and what the others say."""
        names = [column.name for column in self._grid.columns]
        gone = ", ".join(name for name, value in zip(names, values, strict=True) if isinstance(value, Torn))
        rest = ", ".join(f"{name} {cell(value)}" for name, value in zip(names, values, strict=True) if _plain(value))
        return f"row {self._writer.rows + 1} has no {gone}: {rest}"


def _fit(value: Any, kind: type[Any]) -> Any:
    if isinstance(value, (kind, interfaces.renderers.BaseAbsentValue)):
        return value
    return Torn("not readable in the image" if value is None else f"not understood: {type(value).__name__}")


def _plain(value: Any) -> bool:
    return not isinstance(value, interfaces.renderers.BaseAbsentValue)
