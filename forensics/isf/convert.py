"""From a kernel's own words to a symbol table for Volatility: BTF, kallsyms and /proc/version in, ISF 6.2.0 out.

No debug package is needed. What BTF does not tell (the types of global variables) comes from `variables`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path
from typing import IO

from forensics import __version__
from forensics.errors import SymbolsError, UsageError
from forensics.isf import btf as btf_reader
from forensics.isf import kallsyms as kallsyms_reader
from forensics.isf.definitions import VOID, Definitions
from forensics.isf.kallsyms import PHYSICAL_START, Symbols
from forensics.isf.notes import Notes
from forensics.isf.symbol_types import Version
from forensics.isf.variables import Variables

PRODUCER = "forensics"
LIMIT = 400 << 20  # bytes of a table; a kernel's has 10 to 20 MiB
FORMAT = "6.2.0"  # the newest that Volatility 2.28 reads


@dataclass(frozen=True, slots=True)
class Banner:
    """What /proc/version says, which is also in the kernel's memory: Volatility finds a table by it."""

    data: bytes
    release: str
    version: Version

    @classmethod
    def read(cls, data: bytes) -> Banner:
        """Read /proc/version as it is; SymbolsError when it is something else."""
        found = re.fullmatch(rb"Linux version ((\d{1,3})\.(\d{1,3})[\w.+~-]{0,120}) [^\n\0]{1,2000}\n", data, re.ASCII)
        if not found:
            raise SymbolsError(
                "This is not /proc/version.",
                where="/proc/version",
                why="it must be one line that begins with `Linux version` and ends with a line feed",
                remedy="copy the file byte for byte: cat /proc/version > proc-version",
            )
        return cls(data, found[1].decode("ascii"), (int(found[2]), int(found[3])))


def make(
    btf: Path,
    kallsyms: Path,
    proc_version: Path,
    output: Path,
    *,
    modules: Mapping[str, Path] | None = None,
    kernel_offset: int | None = None,
    physical_start: int = PHYSICAL_START,
) -> Notes:
    """Write a symbol table to a new file.

    `kallsyms` may be a System.map; `modules` are split BTFs by name of the module; `kernel_offset` is KERNELOFFSET of
    the boot that kallsyms is of, to check. SymbolsError when an input is not what it must be; then there is no output.
    """
    data = proc_version.read_bytes()
    banner, inputs = Banner.read(data), {"proc-version": _digest(data)}
    listing = kallsyms.read_bytes()
    inputs["kallsyms"] = _digest(listing)
    symbols = kallsyms_reader.read(listing, kernel_offset, physical_start)
    del listing
    blob = btf.read_bytes()
    inputs["vmlinux.btf"] = _digest(blob)
    types = Definitions(btf_reader.read(blob))
    with _new(output) as file:
        return _write(file, types, modules or {}, symbols, (banner, inputs))


def _write(
    file: IO[str],
    types: Definitions,
    modules: Mapping[str, Path],
    symbols: Symbols,
    said: tuple[Banner, dict[str, str]],
) -> Notes:
    banner, inputs = said
    file.write('{"user_types":{')
    structs = _items(file, types.user_types())
    enums = list(types.enums())
    variables = Variables(types, symbols, banner.version)
    kernel = types.btf
    for name, path in modules.items():
        blob = path.read_bytes()
        inputs[f"{name}.btf"] = _digest(blob)
        types.extend(btf_reader.read(blob, kernel), name)
        structs += _items(file, types.user_types(), more=True)
        enums += types.enums()
    variables.apply()
    structs += _items(file, variables.structs(), more=True)
    file.write('},"enums":{')
    _items(file, enums)
    file.write(f'}},"base_types":{{{types.base.text()}}},"symbols":{{')
    _items(file, _symbols(symbols.addresses, variables.types, banner.data))
    file.write(f'}},"metadata":{_metadata(inputs)}}}\n')
    notes = _notes(types, variables, symbols, banner.release, (structs, len(enums)))
    return replace(notes, inputs=inputs)


def _notes(types: Definitions, variables: Variables, symbols: Symbols, release: str, counts: tuple[int, int]) -> Notes:
    return Notes(
        producer=f"{PRODUCER} {__version__}",
        release=release,
        slide=symbols.slide,
        inputs={},
        user_types=counts[0],
        enums=counts[1],
        symbols=len(symbols.addresses),
        typed_symbols=sum(name in symbols.addresses for name in variables.types),
        module_symbols=symbols.modules,
        unreadable_lines=symbols.unreadable,
        padding_members=types.dropped,
        rows_applied=tuple(variables.applied),
        rows_without_symbol=tuple(variables.without_symbol),
        rows_without_type=tuple(variables.without_type),
        made_up=tuple(variables.made_up),
        duplicate_types=tuple(sorted(set(types.names.duplicates))),
        duplicate_symbols=dict(sorted(symbols.duplicates.items())),
        undefined_types=tuple(sorted(types.undefined)),
    )


def _items(file: IO[str], items: Iterable[str], *, more: bool = False) -> int:
    count = 0
    for item in items:
        file.write(f",{item}" if more else item)
        more = True
        count += 1
        if not count % 1024 and file.tell() > LIMIT:
            raise btf_reader.broken(f"its table is longer than {LIMIT} bytes: it is made to fill the disk")
    return count


def _symbols(addresses: Mapping[str, int], types: Mapping[str, str], banner: bytes) -> Iterator[str]:
    for name, address in addresses.items():
        if name != "linux_banner":
            yield f'{quote(name)}:{{"type":{types.get(name, VOID)},"address":{address}}}'
    data = base64.b64encode(banner + b"\0").decode("ascii")
    type_of, address = types.get("linux_banner", VOID), addresses["linux_banner"]
    yield f'"linux_banner":{{"type":{type_of},"address":{address},"constant_data":"{data}"}}'


def _metadata(inputs: Mapping[str, str]) -> str:
    def entry(name: str, kind: str = "") -> str:
        return f'{{{kind}"name":{quote(name)},"hash_type":"sha256","hash_value":"{inputs[name]}"}}'

    types = ",".join(entry(name) for name in inputs if name.endswith(".btf"))
    symbols = entry("kallsyms", '"kind":"system-map",')  # the nearest of the three kinds that the schema has
    producer = f'{{"name":"{PRODUCER}","version":"{__version__}"}}'
    return f'{{"linux":{{"symbols":[{symbols}],"types":[{types}]}},"producer":{producer},"format":"{FORMAT}"}}'


@contextmanager
def _new(path: Path) -> Iterator[IO[str]]:
    """Open a file that is not there yet, and leave none behind when the work fails."""
    try:
        file = path.open("x", encoding="ascii", buffering=1 << 18)
    except FileExistsError:
        raise UsageError(f"{path} exists.", remedy="name another output file, or move this one away") from None
    try:
        with file:
            yield file
    except BaseException:
        path.unlink()
        raise


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
