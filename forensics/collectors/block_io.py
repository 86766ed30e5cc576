"""Every request of the disk under /, traced for a set time by `blktrace`, streamed and never stored on the target."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from forensics import blockio
from forensics.collectors import MIB, Bench, Collector, Command, Judged, Output, Part, Reading, why
from forensics.errors import CommandFailed
from forensics.host import Change, Limits
from forensics.model import Outcome

_DEVICE = re.compile(r"[a-z][a-z0-9]{1,30}(?:-[0-9]{1,6})?")
_DEBUG = "/sys/kernel/debug"
_MOUNTED = f"grep -q ' {_DEBUG} debugfs ' /proc/self/mounts"


@dataclass(frozen=True, slots=True)
class Traced:
    """How long a disk is traced, and how much the trace may be."""

    seconds: int = 30
    bytes: int = 256 * MIB
    device: str = ""  # kernel name; default: the disk under /
    buffer_kib: int = 512
    buffers: int = 8


class BlockIo(Collector[Traced]):
    """Requests of one disk, from queue to completion."""

    name = "block_io"
    title = "Block I/O"
    volatility = 50
    program = "blktrace"
    package = "blktrace"
    together = True
    settings = Traced

    @contextmanager
    def capture(self, bench: Bench, settings: Traced) -> Iterator[Callable[[], None]]:
        """Mount debugfs where it is not, trace to our side, and leave neither a trace nor a mount behind."""
        device = settings.device or bench.facts.root_device
        if not _DEVICE.fullmatch(device):
            raise CommandFailed("it is not known which disk is under /", remedy="give `device` in the plan")
        argv = ("blktrace", "-d", f"/dev/{device}", "-o", "-", "-w", str(settings.seconds))
        buffers = ("-b", str(settings.buffer_kib), "-n", str(settings.buffers))
        limits = Limits(seconds=settings.seconds + 60, bytes=settings.bytes)
        with ExitStack() as stack:
            if not bench.host.run("sh", "-c", _MOUNTED).ok:
                stack.enter_context(bench.host.change(_mount()))
                bench.host.run("mount", "-t", "debugfs", "debugfs", _DEBUG, root=True, expect=True)
            if not bench.host.run(*_no_trace(device), root=True).ok:
                raise CommandFailed(f"somebody traces {device} already", remedy="end that trace, or leave it alone")
            stack.enter_context(bench.host.change(_trace(device)))
            yield stack.enter_context(bench.stream(Command("trace", (*argv, *buffers), limits)))

    def judge(self, parts: Mapping[str, Part]) -> Judged:
        """Judge by magic, events and blktrace's own summary: its exit code is 0 when it captured nothing."""
        part = parts.get("trace")
        if part is None:
            return Judged(Outcome.FAILED, "no trace was taken")
        dropped = blockio.dropped(part.completed.stderr, piped=part.accepted)
        try:
            trace = blockio.read([part.path.read_bytes()], dropped)
        except blockio.TraceRefused as error:
            return Judged(Outcome.FAILED, f"{error.why}; {why(part)}")
        facts = {"events": len(trace), "dropped": dropped, "unread_bytes": trace.unread}
        if part.completed.cut:
            return Judged(Outcome.PARTIAL if len(trace) else Outcome.FAILED, why(part), facts)
        if not len(trace):
            if part.accepted:
                return Judged(Outcome.EMPTY, "blktrace ran its time, and the disk was idle", facts)
            return Judged(Outcome.FAILED, f"not one event; {why(part)}", facts)
        return _short_of(facts, dropped, trace.unread)

    def read(self, output: Output) -> Reading:
        """Make the tables `block_io_…` and the pictures."""
        said = output.facts.get("trace", {})
        well = said.get("status") == 0 and not said.get("cut")
        report = blockio.interpret(output.part("trace"), blockio.dropped(output.part("trace.stderr"), piped=well))
        return Reading(report.tables, {"trace": report.unread}, report.pictures)


def _short_of(facts: Mapping[str, int | None], dropped: int | None, unread: int) -> Judged:
    gaps = []
    if dropped is None:
        gaps.append("blktrace did not end well, so it is not known what was lost")
    if dropped:
        gaps.append(f"blktrace dropped {dropped} events: its buffers were full")
    if unread:
        gaps.append(f"{unread} bytes of the trace could not be read")
    return Judged(Outcome.PARTIAL if gaps else Outcome.DONE, "; ".join(gaps), dict(facts))


def _mount() -> Change:
    undo = ("sh", "-c", f"if {_MOUNTED}; then umount {_DEBUG}; fi")
    return Change("mount", f"debugfs on {_DEBUG}", undo, ("sh", "-c", f"! {_MOUNTED}"))


def _no_trace(device: str) -> tuple[str, ...]:
    """A device that is traced has a file `dropped` (kernel/trace/blktrace.c, do_blk_trace_setup)."""
    return ("test", "!", "-e", f"{_DEBUG}/block/{device}/dropped")


def _trace(device: str) -> Change:
    undo = ("sh", "-c", f"test ! -e {_DEBUG}/block/{device}/dropped || blktrace -d /dev/{device} -k")
    return Change("setting", f"block trace of {device}", undo, _no_trace(device))


COLLECTOR = BlockIo()
