# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""Layers of our own, where Volatility's do not fit what an acquisition leaves."""

from __future__ import annotations

from volatility3.framework import contexts
from volatility3.framework.layers import lime


class ReceivedLime(lime.LimeLayer):  # type: ignore[misc]  # Volatility has no types
    """A LiME image as far as it was received.

    Volatility's own layer believes the last header even where the file ends before the range does; every scan that
    comes near the end then breaks off, silently, and takes what lies before the end with it.
    """

    missing = 0
    """Bytes that the last header promises and the file does not have."""

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


def received_lime(context: contexts.Context, file: str) -> ReceivedLime:
    """Put the layer of physical addresses on the layer of a file; LimeFormatException when its headers do not hold."""
    context.config["memory.base_layer"] = file
    layer = ReceivedLime(context, "memory", "memory")
    context.add_layer(layer)
    return layer
