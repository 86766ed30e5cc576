"""Opens an image once: layers, symbol table, kernel; and says exactly why where it cannot be opened."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volatility3.framework import contexts, exceptions
from volatility3.framework.automagic import linux as linux_automagic
from volatility3.framework.automagic import symbol_cache
from volatility3.framework.layers import lime, scanners
from volatility3.framework.symbols import linux
from volatility3.framework.symbols.linux.network import NetSymbols

from forensics.model import JSON
from forensics.text import show
from forensics.volatility import crashsymbols, tablefile
from forensics.volatility.layers import ReceivedLime, mapped_file, received_lime
from forensics.volatility.paging import Paging, settle
from forensics.volatility.quirks import mend_types

KERNEL = "kernel"
_Symbols = linux.LinuxKernelIntermedSymbols
_BANNER = rb"Linux version [0-9]+\.[0-9]+[^\x00\n]{8,400}\n\x00"
_BANNERS_SHOWN = 3
_AROUND = 4096  # bytes


class Unopened(Exception):
    """The image cannot be analysed with this table, and why."""


@dataclass(frozen=True)
class Image:
    """An open image: its context holds one kernel module, `kernel`."""

    context: contexts.Context
    facts: dict[str, JSON]


class _OneTable:
    """Stands where Volatility keeps its index of tables: there is one, the case's, and it was read already."""

    def __init__(self, banner: bytes, location: str) -> None:
        self._known = {banner: location}

    def get_identifier_dictionary(self, **_: object) -> dict[bytes, str]:
        """Give which table is for which banner."""
        return self._known


def open_image(image: Path, table: Path, places: Sequence[int] = ()) -> Image:
    """Stack the layers of an image with a table, and test that processes can be read; Unopened when they cannot.

    `places` are physical addresses where the kernel's notes and banner should be; elsewhere is looked afterwards.
    """
    context = contexts.Context()
    memory = _memory(context, image)
    memory.likely = tuple((max(one - _AROUND, 0), 2 * _AROUND) for one in places)
    banner = banner_of(table)
    with _recorded_notes() as notes, _only(banner, table.as_uri()):
        layer = _kernel_layer(context, memory.name)
    if layer is None:
        raise Unopened(_no_kernel(context, memory, banner))
    symbols = _symbols(context)
    paging = settle(context, layer, symbols, notes)
    context.add_layer(paging.layer)
    crashsymbols.tell(paging.layer, symbols, notes)
    _adopt(context, paging.layer, symbols)
    facts = _facts(paging, banner, notes) | {"bytes_missing": memory.missing}
    _test(context, paging)
    return Image(context, facts)


def banner_of(table: Path) -> bytes:
    """Read the banner a table is for, without reading the table; Unopened when it has none."""
    try:
        return tablefile.banner(table)
    except tablefile.NoTable as problem:
        raise Unopened(str(problem)) from None


def _memory(context: contexts.Context, image: Path) -> ReceivedLime:
    """Open the file and its LiME ranges: the layer of physical addresses."""
    if not image.stat().st_size:
        raise Unopened("the image is an empty file")
    mapped_file(context, image.as_uri())
    try:
        return received_lime(context, "file")
    except lime.LimeFormatException as error:
        raise Unopened(f"the file is no image in LiME format, or its headers do not hold together: {error}") from None


def _kernel_layer(context: contexts.Context, memory: str) -> Any:
    """Find the page tables: by the kernel's own crash note, else by the idle task (Volatility's two ways)."""
    for stacker in (linux_automagic.LinuxIntelVMCOREINFOStacker, linux_automagic.LinuxIntelStacker):
        try:
            layer = stacker.stack(context, memory)
        except exceptions.VolatilityException as error:
            logging.getLogger(__name__).warning("%s: %s", stacker.__name__, error)
            continue
        if layer is not None:
            return layer
    return None


def _symbols(context: contexts.Context) -> Any:
    """Give the table that was read while the kernel was looked for."""
    return [one for one in context.symbol_space.values() if isinstance(one, _Symbols)][-1]


def _adopt(context: contexts.Context, layer: Any, table: Any) -> None:
    """Make the kernel module of the layer and the table that found it: what Volatility loads a second time for."""
    for one in (table, table._delegate):  # noqa: SLF001 (each keeps its own copy; there is no other way in)
        one.config["symbol_mask"] = layer.address_mask
    table.clear_symbol_cache()
    # What was resolved so far would go on without the classes that follow, and ip.Addr and ip.Link fail.
    context.symbol_space._resolved.clear()  # noqa: SLF001 (clear_symbol_cache leaves it)
    context.symbol_space._resolved_symbols.clear()  # noqa: SLF001
    NetSymbols.apply(table)
    mend_types(table)
    offset = layer.config["kernel_virtual_offset"]
    contexts.Module.create(context, KERNEL, layer.name, offset, symbol_table_name=table.name)


def _facts(paging: Paging, banner: bytes, notes: list[dict[str, Any]]) -> dict[str, JSON]:
    layer = paging.layer
    return {
        "banner": banner.rstrip(b"\x00\n").decode(errors="backslashreplace"),
        "page_table": int(layer.config["page_map_offset"]),
        "kernel_offset": int(layer.config["kernel_virtual_offset"]),
        "crash_notes": len(notes),
        "page_levels": paging.levels,
        "page_levels_told": dict(paging.told),
    }


def _test(context: contexts.Context, paging: Paging) -> None:
    """Look for one process: tables that fit and plugins that see nothing are a failure, not an empty answer."""
    from volatility3.plugins.linux import pslist  # noqa: PLC0415 (plugins are imported after their path is set)

    try:
        found = next(iter(pslist.PsList.list_tasks(context, KERNEL)), None)
        why = "the kernel's process list is empty"
    except exceptions.VolatilityException as error:
        found, why = None, f"the kernel's process list cannot be read ({error})"
    if found is not None and not paging.disagreement:
        return
    told = ", ".join(f"{levels} by {source}" for source, levels in paging.told.items()) or "not told by the kernel"
    said = f"; {paging.disagreement}" if paging.disagreement else ""
    why = why if found is None else "what they lead to does not hold together"
    raise Unopened(
        f"the symbol table fits and the page tables were found, but {why}{said} "
        f"(levels of the page tables: {told}; walked: {paging.levels})"
    )


def _no_kernel(context: contexts.Context, memory: ReceivedLime, banner: bytes) -> str:
    held = set(_banners(context, memory))
    expected = show(banner.rstrip(b"\x00\n"))
    if memory.missing:
        expected += f"; the image is {memory.missing} bytes short of what its last header promises"
    if banner in held:
        return f"the kernel of the symbol table is in the image ({expected}), but its page tables were not found"
    if not held:
        return f"no kernel banner is in the image; the symbol table is for: {expected}"
    shown = "; ".join(show(one.rstrip(b"\x00\n")) for one in sorted(held)[:_BANNERS_SHOWN])
    return f"the image holds another kernel than the symbol table: {shown}; the table is for: {expected}"


def _banners(context: contexts.Context, layer: Any) -> Iterator[bytes]:
    try:
        for offset in layer.scan(context=context, scanner=scanners.RegExScanner(_BANNER)):
            match = re.match(_BANNER, layer.read(offset, 512, pad=True))
            if match:
                yield match[0]
    except exceptions.InvalidAddressException as error:
        logging.getLogger(__name__).warning("the search for banners stopped: %s", error)


@contextmanager
def _only(banner: bytes, location: str) -> Iterator[None]:
    """Let Volatility know the one table: its index would read, sort and hash every table there is first."""
    before = symbol_cache.load_cache_manager
    symbol_cache.load_cache_manager = lambda *_: _OneTable(banner, location)
    try:
        yield
    finally:
        symbol_cache.load_cache_manager = before


@contextmanager
def _recorded_notes() -> Iterator[list[dict[str, Any]]]:
    """Keep the crash notes that the search for page tables comes by."""
    before, seen = linux.VMCoreInfo.search_vmcoreinfo_elf_note, []

    def search(*args: Any, **words: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        for offset, note in before(*args, **words):
            seen.append(note)
            yield offset, note

    linux.VMCoreInfo.search_vmcoreinfo_elf_note = search
    try:
        yield seen
    finally:
        linux.VMCoreInfo.search_vmcoreinfo_elf_note = before
