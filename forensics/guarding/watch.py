"""The target's load and free memory, seen again and again while its memory is read; what is too much ends the reading.

One command asks all the time, so that the ledger has one entry of it and the target one small process.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from forensics import text
from forensics.errors import ForensicsError, HostKeyRefused, Unreachable
from forensics.host import Host, Stream
from forensics.model import JSON

FLOOR = 32 << 20
"""Bytes of available memory below which no acquisition begins; half as much ends one that runs."""

MOST_LOAD = 20.0
"""The load of one minute, by processor, above which an acquisition is ended."""

EVERY = 2.0
"""Seconds between two looks."""

_PATIENCE = 3  # looks in a row that have to be too much: a moment's peak is none
_MOST = 1 << 16  # bytes of one look
_END = b"@over\n"
_SCRIPT = """grep -c '^cpu[0-9]' /proc/stat
while cat /proc/loadavg /proc/meminfo && echo @over; do sleep "$0" || exit; done
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a target must keep, and may be burdened with."""

    memory: int = FLOOR  # bytes available before it begins; 0: not looked at
    load: float = MOST_LOAD  # by processor; 0: not looked at


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw; None what it did not tell."""

    load: float | None
    available: int | None  # bytes


def read(said: bytes) -> Look:
    """Read /proc/loadavg and /proc/meminfo, one behind the other; kernels before 3.14 have no MemAvailable."""
    words = text.decode(said)
    load = re.search(r"^(\d{1,6}\.\d{2}) \d+\.\d{2} \d+\.\d{2} ", words, re.MULTILINE)
    lines = re.findall(r"^(\w+): +(\d{1,15}) kB$", words, re.MULTILINE)
    sizes = {name: int(size) << 10 for name, size in lines}
    free = [sizes[name] for name in ("MemFree", "Buffers", "Cached") if name in sizes]
    available = sizes.get("MemAvailable", sum(free) if free else None)
    return Look(float(load[1]) if load else None, available)


def too_little(host: Host, bounds: Bounds) -> str:
    """Say why no acquisition may begin now; "" when it may."""
    if not bounds.memory:
        return ""
    seen = read(host.run("cat", "/proc/meminfo").stdout)
    if seen.available is None or seen.available >= bounds.memory:
        return ""
    return (
        f"the target has {seen.available >> 20} MiB of memory available, and {bounds.memory >> 20} are asked for "
        f"before an acquisition begins (--min-memory): the OOM killer could be called"
    )


@dataclass
class Watch:
    """What was seen so far; `reason` says why the acquisition has to end, and is "" as long as it need not."""

    bounds: Bounds
    reason: str = ""
    problem: str = ""  # why nobody watches any more
    processors: int = 1
    looks: int = 0
    lowest: int | None = None
    highest: float = 0.0
    _strained: list[str] = field(default_factory=list)

    def take(self, said: bytes) -> None:
        """Take what one look saw."""
        seen = read(said)
        self.looks += 1
        if seen.available is not None:
            self.lowest = seen.available if self.lowest is None else min(self.lowest, seen.available)
        self.highest = max(self.highest, seen.load or 0.0)
        strain = self._strain(seen)
        self._strained = [*self._strained, strain] if strain else []
        if len(self._strained) >= _PATIENCE and not self.reason:
            self.reason = f"it was ended to spare the target: {strain}"

    def told(self) -> dict[str, JSON]:
        """Put it as the acquisition record has it."""
        return {
            "looks": self.looks,
            "every_seconds": EVERY,
            "processors": self.processors,
            "least_memory_available": self.lowest,
            "highest_load": self.highest,
            "bounds": {"memory": self.bounds.memory // 2, "load_per_processor": self.bounds.load},
            "ended_because": self.reason,
            "problem": self.problem,
        }

    def _strain(self, seen: Look) -> str:
        least, most = self.bounds.memory // 2, self.bounds.load * self.processors
        if seen.available is not None and seen.available < least:
            return (
                f"{seen.available >> 10} KiB of memory were available, less than {least >> 10} (half of --min-memory)"
            )
        if self.bounds.load and seen.load is not None and seen.load > most:
            return f"its load was {seen.load:.1f}, more than {most:.1f} (--max-load for each of its processors)"
        return ""


@contextmanager
def watching(host: Host, bounds: Bounds) -> Iterator[Watch]:
    """Watch while the block runs; that it cannot be watched does not forbid the acquisition, and is on record."""
    watch, over, eyes = Watch(bounds), threading.Event(), ThreadPoolExecutor(1, "watch")
    with ExitStack() as running:
        running.callback(eyes.shutdown)
        try:
            stream = running.enter_context(host.stream("/bin/sh", "-c", _SCRIPT, f"{EVERY:g}"))
            running.callback(over.set)
            eyes.submit(_see, stream, watch, over)
        except (HostKeyRefused, Unreachable):
            raise
        except ForensicsError as problem:
            watch.problem = str(problem)
        yield watch


def _see(stream: Stream, watch: Watch, over: threading.Event) -> None:
    said = b""
    try:
        while data := stream.read():
            said += data
            *looks, said = said.split(_END)
            for look in looks:
                if not watch.looks and (count := look.partition(b"\n")[0]).isdigit():
                    watch.processors = max(int(count[:6]), 1)
                watch.take(look)
            said = said[-_MOST:]
        ended = stream.ended()
        problem = f"the watch ended with {ended.status}: {text.show(ended.stderr.strip(), 200)}"
    except (ForensicsError, OSError, EOFError) as lost:
        problem = str(lost)
    if not over.is_set():
        watch.problem = problem
