"""A range that LiME gave up is filled with zeros to its end: told of an image from elsewhere, however it came."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.lime import completeness
from forensics.model import MemoryRange, NoSymbols
from forensics.stages.imports import ImportSettings, make_import
from forensics.stages.judge import prove
from tests.imports.test_converting import deflated, lime
from tests.known import desk, entered, facts

HELD = {0x1000: b"\x5a" * 4096 + bytes(completeness.ZERO_TAIL)}
WHOLE = (MemoryRange(0x1000, 0x1000 + len(HELD[0x1000]) - 1),)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed by LiME"])
def test_zeros_to_the_end_of_a_range_are_a_gap_in_an_image_from_elsewhere(tmp_path: Path, *, packed: bool) -> None:
    source, case = tmp_path / "memory.lime", tmp_path / "case"
    source.write_bytes(deflated(lime(HELD)) if packed else lime(HELD))
    image = make_import.gives(entered(case, make_import.work(desk(case, "import"), ImportSettings(source))))
    known = facts(ram=WHOLE)
    judged = prove.gives(entered(case, prove.work(desk(case, "prove"), image, NoSymbols((), "a test"), known)))
    assert judged.verdict == "complete-with-gaps"
    assert "LiME may have given it up there" in " ".join(judged.reasons)
