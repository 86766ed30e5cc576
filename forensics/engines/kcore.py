"""/proc/kcore over SSH: memory read with nothing on the target but a shell and `dd`; no module, no file, no taint.

What to read is the RAM map's (/proc/iomem, as the survey saw it), where it is in /proc/kcore its headers say. The
kernel keeps there whole pages only, so that the partial page at the end of a range is not to be had: it uses none. It
reads page by page and gives no range up; a page that is offline or poisoned it gives as zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from forensics import text
from forensics.engines import Materials, Paper, Wishes
from forensics.errors import HostKeyRefused, StageFailed, TargetError, UsageError
from forensics.guarding.shield import shielded
from forensics.host import MIB, Host, Limits
from forensics.kcore import headers, packing
from forensics.kcore.headers import FIRST_READ, LARGEST, PAGE, Headers, Piece
from forensics.kcore.merging import Merged, Reader
from forensics.kcore.stripes import STRIPE, Division, count
from forensics.lime import completeness
from forensics.model import JSON, Facts, MemoryRange, Preflight
from forensics.survey import preflight

STREAMS = 2
"""Connections at once, unless the analyst says otherwise; docs/benchmarks.md has the figures."""
MOST_STREAMS = 8

_MOST_PIECES = 2000  # so that the command stays below the 128 KiB that Linux gives one argument
_ZEROS = "/proc/kcore gives no range up, and zeros only for single pages that are offline or poisoned"


@dataclass(frozen=True, slots=True)
class Kcore:
    """The engine that reads /proc/kcore."""

    name: str = "kcore"
    file: str = "/proc/kcore"

    def check(self, facts: Facts, materials: Materials) -> Preflight:
        """Tell whether the kernel lets root read it."""
        del materials
        return preflight.kcore(facts)

    @contextmanager
    def prepare(self, host: Host, facts: Facts, materials: Materials) -> Iterator[KcorePrepared]:
        """Read the headers, and find in them what the RAM map names; nothing is put on the target."""
        dd = _dd(facts)
        told = self._headers(host, dd)
        pieces = headers.within(told.memory, facts.ram)
        if not pieces or len(pieces) > _MOST_PIECES:
            raise StageFailed(
                "what the RAM map names is not to be found in /proc/kcore",
                where=f"{host.label}:{self.file}",
                why=told.problem or f"{len(told.memory)} segments of memory, {len(pieces)} pieces that the map names",
                remedy="use another engine",
            )
        record = _record(facts, told, pieces) | {"file": self.file, "dd": dd}
        yield KcorePrepared(host, self.file, dd, pieces, materials.wishes, facts, record, _papers(told))

    def _headers(self, host: Host, dd: str) -> Headers:
        told = headers.read(self._beginning(host, dd, FIRST_READ))
        if FIRST_READ < told.needed <= LARGEST:
            told = headers.read(self._beginning(host, dd, told.needed))
        return told

    def _beginning(self, host: Host, dd: str, size: int) -> bytes:
        words = (*dd.split(" "), f"if={self.file}", f"bs={PAGE}", f"count={-(-size // PAGE)}")
        told = host.run(*words, root=True, limits=Limits(seconds=60, bytes=LARGEST + MIB))
        if told.ok and told.stdout:
            return told.stdout
        raise StageFailed(
            "the target does not let /proc/kcore be read",
            where=f"{host.label}:{self.file}",
            why=f"dd ended with {told.status}: {text.show(told.stderr.strip(), 300) or 'no word'}",
            remedy="lockdown=confidentiality and containers forbid it; use another engine",
        )


@dataclass
class KcorePrepared:
    """A target whose /proc/kcore was found to hold what the RAM map names."""

    host: Host
    file: str
    dd: str
    pieces: tuple[Piece, ...]
    wishes: Wishes
    facts: Facts
    record: dict[str, JSON]
    papers: list[Paper] = field(default_factory=list)

    @contextmanager
    def stream(self) -> Iterator[Merged]:
        """Begin to read on every connection; leaving the block ends what still runs."""
        packed, pack = _pack(self.wishes.compression, self.facts)
        readers: list[Reader] = []
        try:
            with ExitStack() as open_streams:
                hosts = self._connections(open_streams)
                division = Division(self.pieces, len(hosts))
                self.record |= {"streams": len(hosts), "stripe": STRIPE, "compression": packed or "none"}
                try:
                    for number, host in enumerate(hosts):
                        words = division.command(number, self.dd, self.file, pack)
                        running = open_streams.enter_context(host.stream(*words, root=True))
                        readers.append(Reader(running, packed))
                    yield Merged(division, readers)
                finally:
                    for reader in readers:
                        reader.leave()
        finally:
            self.record["readers"] = [reader.told() for reader in readers]

    def _connections(self, stack: ExitStack) -> list[Host]:
        """Give the connection that there is, and others; fewer than wished for where the target refuses them."""
        wanted = self.wishes.streams or STREAMS
        if not 0 < wanted <= MOST_STREAMS:
            raise UsageError(f"{wanted} streams are not possible", remedy=f"give 1 to {MOST_STREAMS}")
        useful = -(-count(self.pieces) // STRIPE)
        hosts = [self.host]
        try:
            while len(hosts) < min(wanted, useful):
                hosts.append(stack.enter_context(self.host.beside()))
                stack.enter_context(shielded(hosts[-1]))
        except HostKeyRefused:
            raise
        except TargetError as problem:
            self.record["connection_refused"] = str(problem)
        return hosts


def _dd(facts: Facts) -> str:
    if "dd" in facts.tools:
        return facts.tools["dd"]
    return f"{facts.tools['busybox']} dd" if "busybox" in facts.tools else "dd"


def _pack(wanted: str, facts: Facts) -> tuple[str, str]:
    """Give the name of what packs on the target, and its command; ("", "") for nothing."""
    there = [name for name in packing.WORDS if name in facts.tools]
    if wanted == "none" or (wanted == "auto" and not there):
        return "", ""
    name = there[0] if wanted == "auto" else wanted
    if name not in there:
        raise StageFailed(
            f"{text.show(name, 40)} cannot pack on this target",
            why=f"it has {', '.join(there) or 'none of ' + ', '.join(packing.WORDS)}",
            remedy="choose --compress auto, or none",
        )
    return name, " ".join((facts.tools[name], *packing.WORDS[name]))


def _record(facts: Facts, told: Headers, pieces: tuple[Piece, ...]) -> dict[str, JSON]:
    compared = completeness.compare([one.range for one in pieces], facts.ram)
    return {
        "pieces": [[one.range.start, one.range.end, one.offset] for one in pieces],
        "bytes_to_come": count(pieces),
        "segments_passed_over": told.passed_over,
        "not_in_kcore": _listed(compared.missing),
        "partial_pages_not_in_kcore": _listed(compared.remainder),
        "zero_fill_excluded": True,
        "zero_fill": _ZEROS,
    }


def _papers(told: Headers) -> list[Paper]:
    if not told.vmcoreinfo:
        return []
    return [Paper("vmcoreinfo.txt", "vmcoreinfo", "VMCOREINFO, from the notes of /proc/kcore", told.vmcoreinfo)]


def _listed(ranges: tuple[MemoryRange, ...]) -> list[JSON]:
    return [[one.start, one.end] for one in ranges]
