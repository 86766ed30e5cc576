"""What a kernel module says of itself: architecture, vermagic, parameters and the CRCs of the symbols it wants.

A module is an ELF relocatable object. `.modinfo` holds NUL-ended `key=value` strings; `__versions` holds one entry a
symbol: an unsigned long CRC, then the name, 64 bytes in all (struct modversion_info, include/linux/module.h).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_HEADER = struct.Struct("<HHIQQQIHHHHHH")  # Elf64_Ehdr after e_ident
_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_VERSION = struct.Struct("<Q56s")
_RELOCATABLE = 1
_NOBITS = 8
_LARGEST = 64 << 20
_SIGNED = b"~Module signature appended~\n"
_MACHINES = {62: "x86_64", 183: "aarch64", 243: "riscv64", 22: "s390x", 21: "ppc64le"}


@dataclass(frozen=True, slots=True)
class KernelModule:
    """One module, read from its file."""

    machine: str  # as `uname -m` says it
    name: str
    vermagic: str
    signed: bool
    parameters: tuple[str, ...] = ()
    versions: Mapping[str, int] = field(default_factory=dict)  # CRC of each symbol it wants

    @property
    def release(self) -> str:
        """The kernel release that its vermagic begins with."""
        return self.vermagic.partition(" ")[0]


def read(path: Path) -> KernelModule:
    """Read a module; ValueError says why a file is none (truncated, another format, no kernel module)."""
    if path.stat().st_size > _LARGEST:
        msg = f"larger than {_LARGEST} bytes"
        raise ValueError(msg)
    return parse(path.read_bytes())


def parse(data: bytes) -> KernelModule:
    """Read a module from its bytes; ValueError says why they are none."""
    machine, sections = _sections(data)
    if ".modinfo" not in sections or ".gnu.linkonce.this_module" not in sections:
        msg = "an ELF object, but not a kernel module: it has no .modinfo or no this_module"
        raise ValueError(msg)
    told = [line.partition("=") for line in _strings(sections[".modinfo"])]
    values = {key: value for key, _, value in told}
    return KernelModule(
        machine=machine,
        name=values.get("name", ""),
        vermagic=values.get("vermagic", "").strip(),
        signed=data.endswith(_SIGNED),
        parameters=tuple(value.partition(":")[0] for key, _, value in told if key == "parmtype"),
        versions=dict(_versions(sections.get("__versions", b""))),
    )


def differences(module: KernelModule, *, release: str, machine: str, versions: Mapping[str, int]) -> tuple[str, ...]:
    """Say with both values where a module does not fit a kernel; () when nothing speaks against it.

    `versions` are CRCs of the running kernel as far as they are known; a symbol that is not among them is not compared.
    """
    found = []
    if module.machine != machine:
        found.append(f"architecture: the module is for {module.machine}, the target is {machine}")
    if module.release != release:
        found.append(f"vermagic: the module has {module.vermagic!r}, the target runs {release!r}")
    found += [
        f"CRC of {name}: the module has {crc:#010x}, the target {versions[name]:#010x}"
        for name, crc in sorted(module.versions.items())
        if name in versions and versions[name] != crc
    ]
    return tuple(found)


def _sections(data: bytes) -> tuple[str, dict[str, bytes]]:
    if data[:4] != b"\x7fELF":
        raise ValueError("not an ELF file")
    if data[4:6] != b"\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    try:
        header = _HEADER.unpack_from(data, 16)
        table, size, count, names_at = header[5], header[10], header[11], header[12]
        raw = [_SECTION.unpack_from(data, table + index * size) for index in range(count)]
        names = _content(data, raw[names_at])
    except (struct.error, IndexError) as error:
        raise ValueError("truncated: its section table is not there") from error
    if header[0] != _RELOCATABLE:
        raise ValueError("an ELF file, but not a relocatable object")
    found = {_name(names, one[0]): _content(data, one) for one in raw if one[1] != _NOBITS}
    return _MACHINES.get(header[1], f"ELF machine {header[1]}"), found


def _content(data: bytes, section: tuple[int, ...]) -> bytes:
    start, size = section[4], section[5]
    if start + size > len(data):
        raise ValueError("truncated: a section ends after the file")
    return data[start : start + size]


def _name(names: bytes, at: int) -> str:
    return names[at : names.find(b"\0", at)].decode("ascii", "backslashreplace")


def _strings(content: bytes) -> Iterator[str]:
    return (part.decode("utf-8", "backslashreplace") for part in content.split(b"\0") if part)


def _versions(content: bytes) -> Iterator[tuple[str, int]]:
    whole = len(content) - len(content) % _VERSION.size
    for crc, name in _VERSION.iter_unpack(content[:whole]):
        yield name.partition(b"\0")[0].decode("ascii", "backslashreplace"), crc & 0xFFFFFFFF
