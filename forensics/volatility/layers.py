# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""Layers of our own, where Volatility's do not fit what an acquisition leaves, or take long for what they answer.

Each gives exactly what Volatility's own gives. What is quick is the common case (a read that lies within one page that
is wholly in the image); everything else, errors included, is left to the class it is derived from.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from volatility3.framework import contexts
from volatility3.framework.layers import intel, lime, physical

_PAGE = 4096
_PAGES_KNOWN = 1 << 18  # of one layer: 1 GiB, in some 30 MB; then it begins anew


class MappedFile(physical.FileLayer):  # type: ignore[misc]  # Volatility has no types
    """A file that is mapped: a read is a slice, and children of a fork share no position in it."""

    def __init__(self, context: contexts.Context, config_path: str, name: str) -> None:
        super().__init__(context, config_path, name)
        with self._file as file:
            self.view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._file_: Any = None  # opened again for whoever asks for it
        self.held = len(self.view)

    def read(self, offset: int, length: int, pad: bool = False) -> bytes:  # noqa: FBT001, FBT002 (as in Volatility)
        """Read bytes of the file."""
        if offset >= 0 and length > 0 and offset + length <= self.held:
            return self.view[offset : offset + length]
        return bytes(super().read(offset, length, pad))


class ReceivedLime(lime.LimeLayer):  # type: ignore[misc]  # Volatility has no types
    """A LiME image as far as it was received.

    Volatility's own layer believes the last header even where the file ends before the range does; every scan that
    comes near the end then breaks off, silently, and takes what lies before the end with it.
    """

    missing = 0
    """Bytes that the last header promises and the file does not have."""

    likely: tuple[tuple[int, int], ...] = ()
    """Address and size of where to look first when all of memory is searched: the survey told what stands there."""

    def __init__(self, context: contexts.Context, config_path: str, name: str) -> None:
        super().__init__(context, config_path, name)
        base = context.layers[self._base_layer]
        self.view = base.view if isinstance(base, MappedFile) else None
        self._starts = [segment[0] for segment in self._segments]

    def _load_segments(self) -> None:
        base = self._context.layers[self._base_layer]
        size, header = base.maximum_address + 1, self._header_struct.size
        segments: list[tuple[int, int, int, int]] = []
        offset = top = 0
        while offset + header < size:
            start, end = self._check_header(base, offset)
            if start < top or end < start:
                raise lime.LimeFormatException(self.name, f"range {start:#x}-{end:#x} at byte {offset} is out of order")
            held = min(end - start + 1, size - offset - header)
            segments.append((start, offset + header, held, held))
            top, offset = end, offset + header + end - start + 1
        if not segments:
            raise lime.LimeFormatException(self.name, "the file has no range with a byte in it")
        self.missing = max(offset - size, 0)
        self._segments = segments

    def place(self, offset: int, length: int) -> int:
        """Give where in the file a stretch of physical memory lies whole, -1 when it does not."""
        index = bisect_right(self._starts, offset) - 1
        if index < 0:
            return -1
        start, at, held, _ = self._segments[index]
        return at + offset - start if length > 0 and offset + length <= start + held else -1

    def read(self, offset: int, length: int, pad: bool = False) -> bytes:  # noqa: FBT001, FBT002 (as in Volatility)
        """Read physical memory."""
        at = self.place(offset, length)
        if at >= 0 and self.view is not None:
            return self.view[at : at + length]
        return bytes(super().read(offset, length, pad))

    def scan(self, context: Any, scanner: Any, progress_callback: Any = None, sections: Any = None) -> Iterator[Any]:
        """Search memory; what is in a likely place comes first, and again in its turn."""
        if sections is None and self.likely:
            yield from super().scan(context, scanner, progress_callback, self.likely)
        yield from super().scan(context, scanner, progress_callback, sections)

    def is_valid(self, offset: int, length: int = 1) -> bool:
        """Tell whether physical memory is in the image."""
        return self.place(offset, length) >= 0 or bool(super().is_valid(offset, length))


class _Quick:
    """Virtual memory of which the page tables are walked once for a page, before Volatility's class for a machine."""

    context: Any
    page_mask: int

    def __init__(self, context: Any, config_path: str, name: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(context, config_path, name, metadata)  # type: ignore[call-arg]
        memory = context.layers[self._base_layer]  # type: ignore[attr-defined]
        self._memory = memory if isinstance(memory, ReceivedLime) and memory.view is not None else None
        self._view = memory.view if self._memory is not None else None
        self._places: dict[int, int] = {}  # of pages that are wholly in the file, by virtual address

    def _place(self, page: int) -> int | None:
        """Give where in the file a page lies, None when Volatility has to say what is wrong with it."""
        if self._memory is None:
            return None
        try:
            physical_address, size, layer = self._translate(page)  # type: ignore[attr-defined]
        except intel.exceptions.InvalidAddressException:
            return None
        if layer != self._memory.name or size < _PAGE:
            return None
        place = self._memory.place(physical_address, _PAGE)
        if place < 0:
            return None
        if len(self._places) >= _PAGES_KNOWN:
            self._places.clear()
        self._places[page] = place
        return place

    def read(self, offset: int, length: int, pad: bool = False) -> bytes:  # noqa: FBT001, FBT002 (as in Volatility)
        """Read virtual memory."""
        within = offset & 0xFFF
        if within + length <= _PAGE and length > 0:
            page = offset - within
            place = self._places.get(page)
            if place is None:
                place = self._place(page)
            if place is not None:
                place += within
                data: bytes = self._view[place : place + length]  # type: ignore[index]
                return data
        return bytes(super().read(offset, length, pad))  # type: ignore[misc]

    def is_valid(self, offset: int, length: int = 1) -> bool:
        """Tell whether virtual memory is mapped, and in the image."""
        within = offset & 0xFFF
        if within + length <= _PAGE and length > 0 and (offset - within) in self._places:
            return True
        return bool(super().is_valid(offset, length))  # type: ignore[misc]


class _FiveLevels:
    """Page tables of five levels and 57 bits (Intel SDM 3A, 4.5; CR4.LA57), which Volatility 2.28 does not know."""

    _maxvirtaddr = 57
    _structure = (("page map layer 5", 9, False), *intel.Intel32e._structure)  # noqa: SLF001 (what the class is made of)


class FourLevels(_Quick, intel.Intel32e):  # type: ignore[misc]
    """What Volatility makes when the kernel's crash note tells where the page tables are."""


class LinuxFourLevels(_Quick, intel.LinuxIntel32e):  # type: ignore[misc]
    """What Volatility makes when the idle task tells it."""


class FiveLevels(_FiveLevels, _Quick, intel.Intel32e):  # type: ignore[misc]
    """As `FourLevels`, with the fifth."""


class LinuxFiveLevels(_FiveLevels, _Quick, intel.LinuxIntel32e):  # type: ignore[misc]
    """As `LinuxFourLevels`, with the fifth."""


_OURS = {intel.Intel32e: (FourLevels, FiveLevels), intel.LinuxIntel32e: (LinuxFourLevels, LinuxFiveLevels)}


def mapped_file(context: contexts.Context, location: str) -> None:
    """Put the layer of the file, `file`, into a context."""
    context.config["file.location"] = location
    context.add_layer(MappedFile(context, "file", "file"))


def received_lime(context: contexts.Context, file: str) -> ReceivedLime:
    """Put the layer of physical addresses on the layer of a file; LimeFormatException when its headers do not hold."""
    context.config["memory.base_layer"] = file
    layer = ReceivedLime(context, "memory", "memory")
    context.add_layer(layer)
    return layer


def levelled(context: contexts.Context, layer: Any, levels: int) -> Any:
    """Give the layer that Volatility made as one of ours, of four or five levels; other machines' stay as they are."""
    kinds = _OURS.get(type(layer))
    if kinds is None:
        return layer
    return kinds[levels == 5](context, layer.config_path, layer.name, {"os": "Linux"})
