# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""YARA rules over the memory of processes, each region of a process by itself.

Only pages that are in the image are read: what stands between two of them that are not is one page of zeros, so that no
pattern joins what is apart. A region that several processes share, page by page, is scanned once and told for each.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volatility3.framework import exceptions, interfaces, renderers
from volatility3.framework.configuration import requirements
from volatility3.framework.objects import utility
from volatility3.framework.renderers import format_hints
from volatility3.plugins.linux import pslist

vollog = logging.getLogger(__name__)

PAGE = 4096
BLOCK = 64 << 20
"""Bytes that are scanned at a time; of a larger region, block after block, with an overlap."""
OVERLAP = 1 << 16
SHOWN = 64
"""Bytes of a match that its row shows."""
_MATCHES = 100
"""Matches of one pattern in one block that are told."""
_SEVERITY = ("severity", "score", "threat_level")
_TECHNIQUE = ("technique", "attack", "mitre_attack", "mitre_att")
_SUFFIXES = (".yar", ".yara")


@dataclass(frozen=True)
class Piece:
    """Pages that follow each other in a process and in a layer below."""

    address: int
    place: int
    length: int
    layer: str


@dataclass(frozen=True)
class Hit:
    """A pattern of a rule, or a rule without patterns, in a block."""

    rule: str
    source: str
    severity: str
    technique: str
    description: str
    pattern: str  # "" where the rule has none
    offset: int  # in the block
    length: int
    excerpt: str


class YaraScan(interfaces.plugins.PluginInterface):  # type: ignore[misc]  # Volatility has no types
    """Scans the memory of each process with the YARA rules of a folder."""

    _required_framework_version = (2, 22, 0)
    _version = (1, 0, 0)

    @classmethod
    def get_requirements(cls) -> list[Any]:
        """Ask for a kernel, rules, and which processes."""
        return [
            requirements.ModuleRequirement(name="kernel", description="Linux kernel", architectures=["Intel64"]),
            requirements.VersionRequirement(name="pslist", component=pslist.PsList, version=(4, 0, 0)),
            requirements.StringRequirement(name="rules", description="Folder of YARA rules (.yar, .yara)"),
            requirements.ListRequirement(
                name="pid", element_type=int, description="Processes to scan; all where none is named", optional=True
            ),
            requirements.IntRequirement(
                name="seconds", description="Most time for one block of memory", optional=True, default=120
            ),
        ]

    def _generator(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        scanner = Scanner(Path(str(self.config["rules"])), int(self.config.get("seconds", 120)))
        wanted = pslist.PsList.create_pid_filter(self.config.get("pid", None))
        known: dict[tuple[tuple[int, int, int, str], ...], list[Hit]] = {}
        for task in pslist.PsList.list_tasks(self.context, self.config["kernel"], filter_func=wanted):
            name = task.add_process_layer() if task.mm else None
            if name is None:  # a thread of the kernel, or one whose page tables are not in the image
                continue
            named = (int(task.tgid), utility.array_to_string(task.comm))
            told: set[tuple[str, str, int]] = set()
            for start, size in _regions(task):
                for pieces in _blocks(self.context.layers[name], start, size):
                    key = tuple((one.address - start, one.place, one.length, one.layer) for one in pieces)
                    if key not in known:
                        known[key] = scanner.scan(self._read(pieces), f"{named[1]} ({named[0]}) at {start:#x}")
                    yield from _rows(named, start, pieces, known[key], told)
        if scanner.left:
            raise TimeoutError(
                f"{len(scanner.left)} blocks were not scanned to their end: {'; '.join(scanner.left[:5])}"
            )

    def _read(self, pieces: Sequence[Piece]) -> bytes:
        read = bytearray()
        for one, gap in _spaced(pieces):
            read += bytes(gap)
            read += self.context.layers[one.layer].read(one.place, one.length, pad=True)
        return bytes(read)

    def run(self) -> Any:
        """Give the grid."""
        columns: list[tuple[str, Any]] = [("PID", int), ("Process", str), ("Rule", str), ("Source", str)]
        columns += [("Severity", str), ("Technique", str), ("Description", str), ("Pattern", str)]
        columns += [("Address", format_hints.Hex), ("Length", int), ("Excerpt", str), ("Region", format_hints.Hex)]
        return renderers.TreeGrid(columns, self._generator())


class Scanner:
    """Rules, compiled; and what they took too long for."""

    def __init__(self, folder: Path, seconds: int) -> None:
        import yara_x  # noqa: PLC0415 - it is wanted by this plugin alone

        compiler = yara_x.Compiler()
        compiler.enable_includes(False)
        for path in sorted(one for one in folder.rglob("*") if one.suffix in _SUFFIXES and one.is_file()):
            compiler.new_namespace(str(path.relative_to(folder)))
            compiler.add_source(path.read_text(encoding="utf-8"), origin=str(path.relative_to(folder)))
        self._scanner = yara_x.Scanner(compiler.build())
        self._scanner.set_timeout(seconds)
        self._scanner.max_matches_per_pattern(_MATCHES)
        self._late: type[Exception] = yara_x.TimeoutError
        self.left: list[str] = []

    def scan(self, data: bytes, where: str) -> list[Hit]:
        """Give what matches; a block that takes longer than allowed is named in `left`."""
        if not data:
            return []
        try:
            found = self._scanner.scan(data).matching_rules
        except self._late:
            self.left.append(where)
            return []
        return [hit for rule in found for hit in _hits(rule, data)]


def _hits(rule: Any, data: bytes) -> Iterator[Hit]:
    told = {str(key).lower(): str(value) for key, value in rule.metadata}
    words = (
        rule.identifier,
        rule.namespace,
        next((told[one] for one in _SEVERITY if one in told), ""),
        next((told[one] for one in _TECHNIQUE if one in told), ""),
        told.get("description", ""),
    )
    matches = [(one.identifier, match) for one in rule.patterns for match in one.matches]
    for name, match in matches:
        excerpt = shown(data[match.offset : match.offset + min(match.length, SHOWN)])
        yield Hit(*words, name, match.offset, match.length, excerpt)
    if not matches:
        yield Hit(*words, "", 0, 0, "")


def shown(raw: bytes) -> str:
    """Write bytes as printable ASCII, every other byte as an escape."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in raw)


def _regions(task: Any) -> Iterator[tuple[int, int]]:
    try:
        for vma in task.mm.get_vma_iter():
            yield int(vma.vm_start), int(vma.vm_end) - int(vma.vm_start)
    except exceptions.InvalidAddressException as error:
        vollog.warning("process %d: not all its regions could be read: %s", int(task.tgid), error)


def _blocks(layer: Any, start: int, size: int) -> Iterator[list[Piece]]:
    """Give the pages of a region that are in the image, a block at a time."""
    held: list[Piece] = []
    length = 0
    for one in _pieces(layer, start, size):
        held.append(one)
        length += one.length
        if length >= BLOCK:
            yield held
            tail = min(OVERLAP, one.length)
            skip = one.length - tail
            held, length = [Piece(one.address + skip, one.place + skip, tail, one.layer)], 0
    if length:
        yield held


def _pieces(layer: Any, start: int, size: int) -> Iterator[Piece]:
    for address, length, place, _, name in layer.mapping(start, size, ignore_errors=True):
        for done in range(0, length, BLOCK):
            yield Piece(address + done, place + done, min(BLOCK, length - done), name)


def _spaced(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, int]]:
    """Give each piece with the bytes of zeros before it, which stand for pages that are not in the image."""
    after = pieces[0].address
    for one in pieces:
        yield one, 0 if one.address == after else PAGE
        after = one.address + one.length


def _address(pieces: Sequence[Piece], offset: int) -> int:
    """Tell the address in the process of an offset in a block."""
    at = 0
    for one, gap in _spaced(pieces):
        at += gap
        if offset < at + one.length:
            return one.address + max(offset - at, 0)
        at += one.length
    return pieces[-1].address + pieces[-1].length


def _rows(
    named: tuple[int, str], start: int, pieces: Sequence[Piece], hits: Iterable[Hit], told: set[tuple[str, str, int]]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for hit in hits:
        address = _address(pieces, hit.offset)
        mark = (hit.source + hit.rule, hit.pattern, address)
        if mark in told:  # in the overlap of two blocks
            continue
        told.add(mark)
        words = (hit.rule, hit.source, *(_or_none(one) for one in (hit.severity, hit.technique, hit.description)))
        found = (_or_none(hit.pattern), format_hints.Hex(address), hit.length, _or_none(hit.excerpt))
        yield 0, (*named, *words, *found, format_hints.Hex(start))


def _or_none(words: str) -> Any:
    return words or renderers.NotApplicableValue()
