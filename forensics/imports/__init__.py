"""Images and vmcores that others took: what a file is, and how it becomes LiME format, which Volatility reads.

Nothing in a file is believed but what can be followed: every offset, size and count is compared with the file, output
is never larger than what the format can hold, and what is damaged is left out, counted and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from forensics.imports import avml, deflated, elf, flattened, kdump
from forensics.imports.spans import Converted, LimeWriter, Unreadable
from forensics.lime import format as lime_format
from forensics.model import MemoryRange
from forensics.progress import Progress

__all__ = ["Converted", "Form", "Order", "Unreadable", "convert", "recognise", "walk"]


class Form(StrEnum):
    """What a file is, by its first bytes; LiME's padded and raw files and any other have none to tell."""

    LIME = "lime"
    DEFLATED = "lime, compressed"
    AVML = "avml"
    ELF = "elf"
    KDUMP = "kdump"
    FLATTENED = "flattened"
    RAW = "raw"  # begins at address 0, or holds one range after the other


_MARKS = (
    (lime_format.MAGIC.to_bytes(4, "little"), Form.LIME),
    (avml.MAGIC, Form.AVML),
    (elf.MAGIC, Form.ELF),
    (kdump.MAGIC, Form.KDUMP),
    (flattened.MAGIC, Form.FLATTENED),
)
_ELSEWHERE = {
    b"PMDM": "a VMware snapshot's memory",
    b"\xd2\xbe\xd2\xbe": "a VMware snapshot",
    b"PAGEDUMP": "a Windows crash dump",
    b"PAGEDU64": "a Windows crash dump",
    b"DISKDUMP": "a diskdump of kernels before 2.6.13",
    b"hibr": "a Windows hibernation file",
    b"QEVM": "a saved state of QEMU (virsh dump makes one without --memory-only)",
    b"LibvirtQemudSave": "a machine that libvirt saved",
    b"\x7fVirtualBox": "a saved state of VirtualBox",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\xff\x06\0\0sNaPpY": "compressed with snappy",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\xfd7zXZ\0": "compressed with xz",
    b"PK\x03\x04": "a ZIP archive",
    b"EVF\x09": "an EnCase image",
}


def recognise(path: Path) -> Form:
    """Tell what a file is; Unreadable for an empty file and for what is known to be something else."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise Unreadable("the image is an empty file", where=str(path))
    for mark, what in _ELSEWHERE.items():
        if head.startswith(mark):
            raise Unreadable(
                "this is no image of a Linux machine's memory that can be read",
                where=str(path),
                why=f"it is {what}",
                remedy="unpack it, or convert it with what made it; lime, avml, raw, ELF cores and vmcores are read",
            )
    other = Form.DEFLATED if deflated.begins(head) else Form.RAW
    return next((form for mark, form in _MARKS if head.startswith(mark)), other)


_MOST_RANGES = 1 << 20


def walk(image: Path) -> lime_format.Walk:
    """Follow the headers of a LiME image; one made of a vmcore has a range for every run of pages."""
    return lime_format.walk(image, _MOST_RANGES)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be converted, into which new file, and what else is known."""

    source: Path
    output: Path
    room: int  # bytes that the new file may take on the disk
    progress: Progress
    ram: Sequence[MemoryRange] = field(default=())  # the machine's RAM map, where somebody kept it


def convert(order: Order, form: Form) -> Converted:
    """Write what a file holds in LiME format; Unreadable when nothing of it can be read, or it would take more room."""
    if form is Form.FLATTENED:
        plain = order.output.with_suffix(".plain")
        try:
            shortfall = flattened.rearrange(order.source, plain)
            inner = recognise(plain)
            if inner not in {Form.KDUMP, Form.ELF}:
                raise Unreadable("the flattened vmcore holds no vmcore", where=str(order.source), why=f"it is {inner}")
            made = convert(replace(order, source=plain), inner)
        finally:
            plain.unlink(missing_ok=True)
        lacking = (*((shortfall,) if shortfall else ()), *made.shortfalls)
        return replace(made, shortfalls=lacking)
    with LimeWriter(order.output, order.room) as writer:
        if form is Form.RAW:
            return _raw(order, writer)
        readers = {Form.AVML: avml.read, Form.DEFLATED: deflated.read, Form.ELF: elf.read, Form.KDUMP: kdump.read}
        with order.source.open("rb") as file:
            return readers[form](file, writer, order.progress)


def _raw(order: Order, writer: LimeWriter) -> Converted:
    """Give ranges their addresses by the RAM map: a file of just their size holds one after the other, else padded."""
    size = order.source.stat().st_size
    one_after_the_other = size == sum(one.size for one in order.ram)
    lacking = []
    at = 0
    with order.source.open("rb") as file:
        for one in order.ram or (MemoryRange(0, size - 1),):
            offset = at if one_after_the_other else one.start
            at += one.size
            held = max(0, min(one.size, size - offset))
            if held < one.size:
                lacking.append(f"it ends {one.size - held} bytes before the end of {one.start:#x}-{one.end:#x}")
            file.seek(offset)
            writer.copy(one.start, file, held)
    layout = "ranges one after the other" if one_after_the_other and order.ram else "padded: offsets are addresses"
    return writer.told(shortfalls=tuple(lacking), facts={"layout": layout if order.ram else "taken as padded"})
