"""What many plugins would each work out for themselves, done once before the children are forked.

Three things cost more than all the rest together on a small image (measured with cProfile on 2.28.2): sorting the
symbols by address, which makes an object of each of 150,000 symbols, in ten plugins; the search for hidden modules,
in eight; and the search for the symbol behind the system calls, which makes those objects too.
"""

from __future__ import annotations

import bisect
import gc
import itertools
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from volatility3.framework import contexts, exceptions
from volatility3.framework.symbols.linux.utilities import modules

_WORD = (
    8  # bytes: a pointer, and the step of the search where modules are aligned (Modules.get_module_address_alignment)
)


def warm(context: contexts.Context, kernel: str) -> None:
    """Prepare the open image for the children."""
    _sort_symbols(context.symbol_space[context.modules[kernel].symbol_table_name])
    _search_modules_fast()
    _next_symbol_fast()
    _rows_without_copies()
    gc.collect()
    gc.freeze()  # the collector of a child leaves alone, and so shared, what is there now


def _sort_symbols(table: Any) -> None:
    """Fill in the list that `get_symbols_by_location` makes at its first use, from the table itself."""
    mask = table.config["symbol_mask"]
    symbols = table._delegate._json_object["symbols"]  # noqa: SLF001 (the way in that there is)
    table._sort_symbols = sorted((symbol["address"] & mask, name) for name, symbol in symbols.items())  # noqa: SLF001


def _next_symbol_fast() -> None:
    """Let Check_syscall find the first symbol behind a table in the sorted list; a symbol of no use is passed over."""
    from volatility3.plugins.linux.malware import check_syscall  # noqa: PLC0415 (plugins come after their path is set)

    def next_symbol(_: Any, table_addr: int, ptr_sz: int, vmlinux: Any) -> int:
        table = vmlinux.context.symbol_space[vmlinux.symbol_table_name]
        ordered = table._sort_symbols  # noqa: SLF001 (see _sort_symbols)
        for address, name in itertools.islice(ordered, bisect.bisect_right(ordered, (table_addr, "\x7f" * 8)), None):
            with suppress(exceptions.SymbolError):
                vmlinux.get_symbol(name)
                return int((address - table_addr) / ptr_sz)
        return 0

    check_syscall.Check_syscall._get_table_size_next_symbol = next_symbol  # noqa: SLF001


def _rows_without_copies() -> None:
    """Let pagecache.Files hand on a row's cells; `astuple` copies each of them first, a sixth of the plugin's time."""
    from volatility3.plugins.linux import pagecache  # noqa: PLC0415 (plugins come after their path is set)

    pagecache.astuple = lambda row: tuple(vars(row).values())


def _search_modules_fast() -> None:
    """Let Modules.get_hidden_modules read whole pages instead of one pointer at a time; what it yields is the same."""
    slow = modules.Modules.get_hidden_modules.__func__

    def search(
        cls: Any,
        context: contexts.Context,
        vmlinux_module_name: str,
        known_module_addresses: Iterable[int],
        modules_memory_boundaries: tuple[int, int],
    ) -> Iterator[Any]:
        known = set(known_module_addresses)
        if not cls.validate_alignment_patterns(known, _WORD):
            yield from slow(cls, context, vmlinux_module_name, known, modules_memory_boundaries)
            return
        kernel = context.modules[vmlinux_module_name]
        for address in _self_referential(context, kernel, modules_memory_boundaries):
            module = kernel.object("module", offset=address, absolute=True) if address not in known else None
            if module and module.is_valid():
                yield module

    modules.Modules.get_hidden_modules = classmethod(search)


def _self_referential(context: contexts.Context, kernel: Any, boundaries: tuple[int, int]) -> Iterator[int]:
    """Give each address in the module area where `module.mkobj.mod`, were a module there, points at the address."""
    lowest, highest = (int(one) for one in boundaries)
    inside = kernel.get_type("module").relative_child_offset("mkobj")
    inside += kernel.get_type("module_kobject").relative_child_offset("mod")
    layer = context.layers[kernel.layer_name]
    top = lowest & ~layer.address_mask  # the layer's addresses are without the sign extension
    length = highest - lowest
    for offset, size, *_ in layer.mapping((lowest + inside) & layer.address_mask, length, ignore_errors=True):
        words = np.frombuffer(layer.read(offset, size - size % _WORD, pad=True), dtype="<u8")
        where = np.uint64(top + offset - inside) + np.arange(len(words), dtype=np.uint64) * np.uint64(_WORD)
        yield from (int(one) for one in where[words == where])
