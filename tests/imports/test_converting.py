"""Whatever another program wrote comes out as the memory that it holds, and what it lacks is said."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forensics import imports
from forensics.imports import Converted, Form, Order, Unreadable
from forensics.lime.format import header
from forensics.model import MemoryRange
from forensics.progress import Silent
from tests.imports import vmcores
from tests.imports.vmcores import PAGE
from tests.sshd import skip

ROOM = 1 << 30
WHOLE = 16 << 20


def convert(source: Path, **more: Any) -> tuple[Converted, dict[int, bytes]]:
    output = source.with_suffix(".out")
    output.unlink(missing_ok=True)
    made = imports.convert(Order(source, output, more.pop("room", ROOM), Silent(), **more), imports.recognise(source))
    return made, vmcores.memory(output)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What QEMU itself writes of a machine that is stopped: its memory as it is, as an ELF core, as a vmcore."""
    if not shutil.which("qemu-system-x86_64"):
        skip("QEMU is missing")
    folder = tmp_path_factory.mktemp("machine")
    filled = ("-device", f"loader,file={shutil.which('bash')},addr=0x200000,force-raw=on")
    options = ("-accel", "tcg", "-machine", "q35", "-m", "16M", "-S", "-display", "none", "-nodefaults", *filled)
    words = ["qemu-system-x86_64", *options, "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as machine:
        try:
            _ask(folder)
        finally:
            machine.kill()
    return folder


def _ask(folder: Path) -> None:
    limit = time.monotonic() + 20
    while not (folder / "qmp").exists():
        assert time.monotonic() < limit, "QEMU did not start"
        time.sleep(0.05)
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(60)
        link.connect(str(folder / "qmp"))
        said = link.makefile("rw")
        said.readline()
        for name, words in (
            ("qmp_capabilities", {}),
            ("pmemsave", {"val": 0, "size": WHOLE, "filename": str(folder / "memory")}),
            ("dump-guest-memory", {"paging": False, "protocol": f"file:{folder}/elf", "format": "elf"}),
            ("dump-guest-memory", {"paging": False, "protocol": f"file:{folder}/kdump", "format": "kdump-zlib"}),
        ):
            said.write(json.dumps({"execute": name, "arguments": words}) + "\n")
            said.flush()
            while "return" not in (answer := json.loads(said.readline())):
                assert "error" not in answer, answer


@pytest.mark.parametrize(("name", "form"), [("elf", Form.ELF), ("kdump", Form.FLATTENED)])
def test_what_qemu_dumps_is_the_memory_of_its_machine(stopped: Path, name: str, form: Form) -> None:
    assert imports.recognise(stopped / name) is form
    made, memory = convert(stopped / name)
    assert memory[0] == (stopped / "memory").read_bytes()
    assert (made.shortfalls, made.left_out, made.tells_ram) == ((), "", True)


def pages(count: int, seed: int = 1) -> dict[int, bytes]:
    dice = random.Random(seed)
    return {
        frame: bytes(PAGE)
        if frame % 7 == 3
        else dice.randbytes(64) * (PAGE // 64)
        if frame % 2
        else dice.randbytes(PAGE)
        for frame in range(count)
    }


@pytest.mark.parametrize("codec", vmcores.CODECS)
def test_every_compression_gives_the_same_memory(tmp_path: Path, codec: str) -> None:
    held = pages(40)
    made, memory = convert(vmcores.kdump(tmp_path / "vmcore", held, present=40, codec=codec, info=b"OSRELEASE=6.1\n"))
    assert memory == {0: b"".join(held.values())}
    assert made.vmcoreinfo == b"OSRELEASE=6.1\n"
    assert made.shortfalls == ()
    assert codec == "plain" or codec in str(made.facts["compression"])


def test_pages_of_zeros_that_were_left_out_are_there(tmp_path: Path) -> None:
    held = pages(30)
    dumped = {frame: data for frame, data in held.items() if any(data)}
    made, memory = convert(vmcores.kdump(tmp_path / "vmcore", dumped, present=30, level=1))
    assert memory == {0: b"".join(held.values())}
    assert made.left_out == ""


def test_a_dump_of_kernel_pages_says_so_and_invents_nothing(tmp_path: Path) -> None:
    held = {frame: data for frame, data in pages(30).items() if frame < 10 or frame > 20}
    made, memory = convert(vmcores.kdump(tmp_path / "vmcore", held, present=30, level=31))
    assert made.left_out.startswith("kernel pages only (dump level 31: 11 pages")
    assert sorted(memory) == [0, 21 * PAGE]


def test_a_damaged_page_is_left_out_and_named(tmp_path: Path) -> None:
    held = {frame: data for frame, data in pages(20).items() if frame % 2}
    source = vmcores.kdump(tmp_path / "vmcore", held, present=20, codec="zlib")
    content = bytearray(source.read_bytes())
    content[-3:] = b"\xff\xff\xff"
    source.write_bytes(content)
    made, memory = convert(source)
    assert "1 pages cannot be read: 0x13000 (its zlib data is damaged)" in made.shortfalls[0]
    assert {at // PAGE for at in memory} == set(held) - {19}


def test_a_vmcore_that_calls_itself_incomplete_is_believed(tmp_path: Path) -> None:
    made, _ = convert(vmcores.kdump(tmp_path / "vmcore", pages(9), present=9, status=0x8))
    assert "incomplete" in made.shortfalls[0]


def test_a_flattened_vmcore_is_put_together_and_one_without_end_is_told(tmp_path: Path) -> None:
    held = pages(25)
    content = vmcores.kdump(tmp_path / "vmcore", held, present=25).read_bytes()
    made, memory = convert(vmcores.flattened(tmp_path / "flat", content))
    assert memory == {0: b"".join(held.values())}
    assert made.shortfalls == ()
    made, memory = convert(vmcores.flattened(tmp_path / "cut", content, ended=False))
    assert memory == {0: b"".join(held.values())}
    assert "without its last record" in made.shortfalls[0]
    assert not (tmp_path / "cut.plain").exists()


def test_avml_gives_its_ranges_and_a_damaged_piece_is_left_out(tmp_path: Path) -> None:
    ranges = {0x1000: random.Random(1).randbytes(300_000 // PAGE * PAGE), 0x100000: bytes(PAGE) + b"x" * PAGE}
    source = vmcores.avml(tmp_path / "image", ranges)
    made, memory = convert(source)
    assert memory == ranges
    assert made.shortfalls == ()
    content = bytearray(source.read_bytes())
    content[70_000] ^= 1
    source.write_bytes(content)
    made, memory = convert(source)
    assert "does not agree with its checksum" in made.shortfalls[0]
    assert sum(map(len, memory.values())) == sum(map(len, ranges.values())) - 65536
    source.write_bytes(content[:-20])
    assert any("ends" in one for one in convert(source)[0].shortfalls)


def test_an_elf_core_gives_its_ranges_once_with_the_kernels_note(tmp_path: Path) -> None:
    ranges = {0x1000: b"a" * PAGE, 0x100000: b"b" * 3 * PAGE}
    source = vmcores.elf(tmp_path / "vmcore", {**ranges, 0x101000: b"b" * PAGE}, vmcores.note(b"OSRELEASE=6.1\n"))
    made, memory = convert(source)
    assert memory == ranges
    assert made.vmcoreinfo == b"OSRELEASE=6.1\n"
    source.write_bytes(source.read_bytes()[: -2 * PAGE])
    assert "the file ends" in convert(source)[0].shortfalls[0]


def test_the_core_of_a_program_is_none_of_a_machine(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="core of a program"):
        convert(_twice(tmp_path / "core2"))


def _twice(path: Path) -> Path:
    """Write an ELF core with two segments at no physical address, as the kernel does for a program."""
    vmcores.elf(path, {0x1000: b"a" * PAGE, 0x2000: b"b" * PAGE})
    content = bytearray(path.read_bytes())
    for index in (1, 2):
        at = 64 + 56 * index + 24
        content[at : at + 8] = bytes(8)
    path.write_bytes(content)
    return path


def test_ranges_one_after_the_other_get_their_addresses_from_a_ram_map(tmp_path: Path) -> None:
    ram = (MemoryRange(0x1000, 0x2FFF), MemoryRange(0x100000, 0x100FFF))
    source = tmp_path / "raw"
    source.write_bytes(b"a" * 2 * PAGE + b"b" * PAGE)
    assert convert(source, ram=ram)[1] == {0x1000: b"a" * 2 * PAGE, 0x100000: b"b" * PAGE}
    source.write_bytes((b"\0" * PAGE + b"a" * 2 * PAGE).ljust(0x100000, b"\0") + b"b" * PAGE)
    assert convert(source, ram=ram)[1] == {0x1000: b"a" * 2 * PAGE, 0x100000: b"b" * PAGE}
    assert not convert(source)[0].tells_ram


def test_no_image_takes_more_room_than_there_is(tmp_path: Path) -> None:
    held = dict.fromkeys(range(500), b"x" * PAGE)
    with pytest.raises(Unreadable, match="not enough room"):
        convert(vmcores.kdump(tmp_path / "vmcore", held, present=500), room=100 * PAGE)


def deflated(content: bytes) -> bytes:
    """Compress as LiME does: a window of 2 KiB (src/deflate.c)."""
    packer = zlib.compressobj(wbits=11, memLevel=5)
    return packer.compress(content) + packer.flush()


HELD = {0x1000: random.Random(7).randbytes(2 * PAGE) + bytes(3 * PAGE), 0x100000: b"b" * PAGE}


def lime(held: dict[int, bytes]) -> bytes:
    return b"".join(header(MemoryRange(at, at + len(data) - 1)) + data for at, data in held.items())


def test_what_lime_itself_compressed_is_the_memory_that_it_was(tmp_path: Path) -> None:
    """Its first bytes are those of zlib: taken for raw memory, all of it would stand at wrong addresses."""
    source = tmp_path / "memory"
    source.write_bytes(deflated(lime(HELD)))
    assert imports.recognise(source) is Form.DEFLATED
    made, found = convert(source)
    assert (made.shortfalls, made.ranges, found) == ((), 2, HELD)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda whole: whole[:-6000], "ends before its end"),
        (lambda whole: whole[:3000] + b"\xff\xff" + whole[3002:], "damaged"),
        (lambda whole: whole + b"more", "behind the compressed stream"),
        (lambda _: deflated(lime(HELD)[:-1]), "ends 1 bytes before the end of range 0x100000"),
        (lambda _: deflated(lime(HELD) + b"EMiL"), "is none"),
        (lambda _: deflated(lime(HELD) + lime(HELD)), "overlaps or goes back"),
    ],
)
def test_what_a_compressed_image_lacks_is_said(tmp_path: Path, damage: Callable[[bytes], bytes], words: str) -> None:
    source = tmp_path / "memory"
    source.write_bytes(damage(deflated(lime(HELD))))
    made, found = convert(source)
    assert words in " ".join(made.shortfalls)
    assert found.keys() <= HELD.keys()


def test_a_zlib_stream_of_something_else_is_no_image_of_limes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(deflated(b"something else" * 100))
    assert imports.recognise(tmp_path / "file") is Form.RAW


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PAGEDU64", "Windows"), (b"\x1f\x8b\x08", "gzip"), (b"PK\x03\x04", "ZIP"), (b"QEVM\0\0\0\x03", "QEMU"),
        (b"BZh91AY", "bzip2"), (b"\x04\x22\x4d\x18", "lz4"), (b"LibvirtQemudSave\2", "libvirt"),
    ],
)  # fmt: skip
def test_what_is_something_else_is_named(tmp_path: Path, start: bytes, what: str) -> None:
    (tmp_path / "file").write_bytes(start + bytes(100))
    with pytest.raises(Unreadable) as raised:
        imports.recognise(tmp_path / "file")
    assert what in raised.value.why
