"""No damaged file crashes the program, keeps it busy or makes it write what is no image."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics import imports
from forensics.imports import Form, Order, Unreadable
from forensics.imports.spans import PAGE
from forensics.lime import format as lime_format
from forensics.progress import Silent
from tests.imports import vmcores


def _made(form: Form) -> bytes:
    held = {frame: bytes([frame]) * PAGE for frame in range(12) if frame != 5}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        if form is Form.KDUMP:
            return vmcores.kdump(path, held, present=12, codec="lzo", info=b"OSRELEASE=6\n").read_bytes()
        if form is Form.FLATTENED:
            plain = vmcores.kdump(path, held, present=12, codec="snappy", level=1).read_bytes()
            return vmcores.flattened(path, plain).read_bytes()
        if form is Form.AVML:
            return vmcores.avml(path, {0x1000: b"".join(held.values()), 0x100000: bytes(PAGE)}).read_bytes()
        return vmcores.elf(path, {0x1000: b"a" * PAGE, 0x9000: b"b" * PAGE}, vmcores.note(b"x=1")).read_bytes()


WHOLE: Mapping[Form, bytes] = {form: _made(form) for form in (Form.KDUMP, Form.FLATTENED, Form.AVML, Form.ELF)}
Change = tuple[int, bytes]
changes = st.lists(st.tuples(st.integers(8, 1 << 16), st.binary(min_size=1, max_size=8)), max_size=6)


@pytest.mark.parametrize("form", WHOLE)
@settings(max_examples=150, deadline=5000)
@given(changes=changes, near=st.booleans(), cut=st.none() | st.integers(0, 1 << 16))
def test_a_damaged_image_gives_an_error_or_an_image(
    form: Form,
    changes: list[Change],
    near: bool,  # noqa: FBT001 - hypothesis gives it
    cut: int | None,
) -> None:
    content = bytearray(WHOLE[form])
    for at, data in changes:
        place = 8 + at % 600 if near else at % len(content)
        content[place : place + len(data)] = data
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "image", Path(folder) / "out"
        source.write_bytes(content[: None if cut is None else cut % len(content)])
        try:
            made = imports.convert(Order(source, output, 1 << 24, Silent()), imports.recognise(source))
        except Unreadable as problem:
            assert problem.what  # noqa: PT017 - either is right
            return
        walked = lime_format.walk(output, 1 << 20)
        assert walked.ended_well, walked.shortfall
        assert sum(one.received for one in walked.segments) == made.size
        assert list(Path(folder).glob("*.plain")) == []
