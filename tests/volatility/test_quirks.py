"""What a stock plugin would end at is passed over and named."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from volatility3.framework import contexts, exceptions
from volatility3.framework.symbols.linux import extensions

from forensics.volatility import quirks


def test_mappings_that_do_not_hold_together_are_named_and_end_no_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree of a process that ended while memory was taken, as Volatility's own reader meets it."""

    def torn(_: Any) -> Iterator[str]:
        yield "the first area"
        raise exceptions.PagedInvalidAddressException("layer", 0, 0, 0, "page fault at entry 0x0")

    monkeypatch.setattr(extensions.mm_struct, "get_vma_iter", torn)  # put back at the end, with what is put over it
    lost: list[str] = []
    quirks.prepare(contexts.Context(), "linux.malware.malfind.Malfind", lost)
    mm = SimpleNamespace(vol=SimpleNamespace(offset=0x8F1A01055F80))
    assert list(extensions.mm_struct.get_vma_iter(mm)) == ["the first area"]
    assert lost == ["mappings at 0x8f1a01055f80 (page fault at entry 0x0)"]
