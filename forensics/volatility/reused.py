# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""What plugins open, name and count again for each object: done once, with the same result.

linux.library_list and linux.elfs make a symbol table of the ELF format for each mapped file, 1,631 on a small machine:
each time its JSON is looked for in every folder, read, parsed, and written out again to be hashed for the check of its
schema (2.28.2). A free name is counted up to from one each time, past all that are taken.
"""

from __future__ import annotations

import itertools
from typing import Any

from volatility3.framework import interfaces
from volatility3.framework import symbols as spaces
from volatility3.framework.symbols import intermed

_Table = intermed.IntermediateSymbolTable
_open = _Table.__init__
_look = _Table.file_symbol_url.__func__
_remove = spaces.SymbolSpace.remove
_take_away = interfaces.layers.LayerContainer.del_layer

_read: dict[str, Any] = {}  # the content of tables that come with Volatility, by address
_found: dict[tuple[str, str | None], list[str]] = {}


def reuse() -> None:
    """Put these in place of Volatility's own: in the worker's process only."""
    _Table.__init__ = _init
    _Table.file_symbol_url = classmethod(_urls)
    spaces.SymbolSpace.free_table_name = _free_table
    spaces.SymbolSpace.remove = _removed
    interfaces.layers.LayerContainer.free_layer_name = _free_layer
    interfaces.layers.LayerContainer.del_layer = _layer_removed


def _init(  # noqa: PLR0917 (as in Volatility)
    self: Any,
    context: Any,
    config_path: str,
    name: str,
    isf_url: str,
    native_types: Any = None,
    table_mapping: dict[str, str] | None = None,
    validate: bool = True,  # noqa: FBT001, FBT002 (as in Volatility)
    class_types: Any = None,
    symbol_mask: int = 0,
) -> None:
    """IntermediateSymbolTable.__init__: a table that comes with Volatility is read and checked once."""
    content = _read.get(isf_url)
    if content is None:
        _open(
            self, context, config_path, name, isf_url, native_types, table_mapping, validate, class_types, symbol_mask
        )
        if any(isf_url in found for found in _found.values()):
            _read[isf_url] = self._delegate._json_object  # noqa: SLF001 (nothing in it is ever changed)
        return
    self._versions = {kind.version: kind for kind in intermed.class_subclasses(intermed.ISFormatTable)}
    kind = self._closest_version(content["metadata"]["format"], self._versions)
    self._delegate = kind(context, config_path, name, content, native_types, table_mapping)
    super(_Table, self).__init__(
        context,
        config_path,
        name,
        native_types or self._delegate.natives,
        table_mapping=table_mapping,
        class_types=class_types,
    )
    self.config["isf_url"] = isf_url
    self.config["symbol_mask"] = symbol_mask


def _urls(cls: Any, sub_path: str, filename: str | None = None) -> Any:
    """IntermediateSymbolTable.file_symbol_url, once for each name."""
    asked = sub_path, filename
    if filename is None:
        return _look(cls, sub_path, filename)
    if asked not in _found:
        _found[asked] = list(_look(cls, sub_path, filename))
    return iter(_found[asked])


def _free_table(self: Any, prefix: str = "layer") -> str:
    """SymbolSpace.free_table_name, from where the last search ended."""
    last = self.__dict__.setdefault("_counted", {})
    last[prefix] = next(at for at in itertools.count(last.get(prefix, 1)) if f"{prefix}{at}" not in self._dict)
    return f"{prefix}{last[prefix]}"


def _removed(self: Any, key: str) -> None:
    """SymbolSpace.remove: a lower name may be free again."""
    self.__dict__.pop("_counted", None)
    _remove(self, key)


def _free_layer(self: Any, prefix: str = "layer") -> str:
    """LayerContainer.free_layer_name, from where the last search ended."""
    if prefix not in self._layers:
        return prefix
    last = self.__dict__.setdefault("_counted", {})
    last[prefix] = next(at for at in itertools.count(last.get(prefix, 1)) if f"{prefix}_{at}" not in self._layers)
    return f"{prefix}_{last[prefix]}"


def _layer_removed(self: Any, name: str) -> None:
    """LayerContainer.del_layer: a lower name may be free again."""
    self.__dict__.pop("_counted", None)
    _take_away(self, name)
