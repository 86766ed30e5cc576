"""Every request of the disk under /, traced for a set time, streamed and never stored on the target.

`blktrace` does it. Where lockdown closes debugfs, blktrace says success and brings nothing: there the kernel's own
tracer `blk` gives the same records through tracefs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from forensics import blockio
from forensics.blockio import ftrace, relayed
from forensics.collectors import MIB, Bench, Collector, Command, Judged, Output, Part, Reading, why
from forensics.collectors.block_io import tracer
from forensics.errors import CommandFailed, ToolMissing
from forensics.host import Change, Limits
from forensics.model import JSON, Outcome
from forensics.text import show

_DEVICE = re.compile(r"[a-z][a-z0-9]{1,30}(?:-[0-9]{1,6})?")
_CLOSED = ("integrity", "confidentiality")
"""Of lockdown: debugfs is closed."""
ACTIONS = (
    *("read", "write", "flush", "sync", "queue", "requeue", "issue", "complete"),
    *("fs", "pc", "notify", "ahead", "meta", "discard", "drv_data", "fua"),
)
"""Masks that blktrace(8) knows."""
_WAYS = ("auto", "relay", "ftrace")
_DEBUG = "/sys/kernel/debug"
_MOUNTED = f"grep -q ' {_DEBUG} debugfs ' /proc/self/mounts"


@dataclass(frozen=True, slots=True)
class Traced:
    """Which disks are traced, for how long, and how much the trace may be."""

    seconds: int = 30
    bytes: int = 256 * MIB
    device: str = ""  # kernel name; default: the disk under /
    devices: tuple[str, ...] = ()  # more of them, into the same trace; blktrace alone can
    actions: tuple[str, ...] = ()  # blktrace's masks, such as issue and complete; default: all. blktrace alone can
    buffer_kib: int = 512
    buffers: int = 8
    way: str = "auto"  # relay (blktrace), ftrace, or auto: ftrace where the kernel is locked down


class BlockIo(Collector[Traced]):
    """Requests of one disk, from queue to completion."""

    name = "block_io"
    title = "Block I/O"
    volatility = 50
    package = "blktrace"
    together = True
    settings = Traced

    @contextmanager
    def capture(self, bench: Bench, settings: Traced) -> Iterator[Callable[[], None]]:
        """Trace to our side by blktrace or by the kernel's tracer; leave no trace, mount or setting behind."""
        disks = chosen(settings, bench.facts.root_device)
        if settings.way == "ftrace" or (settings.way == "auto" and bench.facts.lockdown in _CLOSED):
            if len(disks) > 1 or settings.actions:
                why = "it is blktrace that takes several disks and masks of actions"
                raise CommandFailed("the kernel's own tracer traces one disk, and all of it", why=why)
            size = settings.buffer_kib * settings.buffers
            with tracer.capture(bench, disks[0], settings.seconds, settings.bytes, size) as work:
                yield work
            return
        if not bench.find("blktrace"):
            raise ToolMissing("the target has no blktrace")
        with self._relay(bench, settings, disks) as work:
            yield work

    @contextmanager
    def _relay(self, bench: Bench, settings: Traced, disks: Sequence[str]) -> Iterator[Callable[[], None]]:
        """Mount debugfs where it is not, and run blktrace."""
        limits = Limits(seconds=settings.seconds + 60, bytes=settings.bytes)
        with ExitStack() as stack:
            if not bench.host.run("sh", "-c", _MOUNTED).ok:
                stack.enter_context(bench.host.change(_mount()))
                bench.host.run("mount", "-t", "debugfs", "debugfs", _DEBUG, root=True, expect=True)
            for device in disks:
                if not bench.host.run(*_no_trace(device), root=True).ok:
                    raise CommandFailed(f"somebody traces {device} already", remedy="end that trace, or leave it alone")
            for device in disks:
                stack.enter_context(bench.host.change(_trace(device)))
            yield stack.enter_context(bench.stream(Command("trace", relay(settings, disks), limits)))

    def judge(self, parts: Mapping[str, Part]) -> Judged:
        """Judge by magic, events and the count of what was lost: blktrace's exit code is 0 when it captured nothing."""
        part = parts.get("trace")
        if part is None:
            return Judged(Outcome.FAILED, "no trace was taken")
        stats = parts.get("stats")
        by_tracer = stats is not None or "clock" in parts
        dropped = blockio.dropped(part.completed.stderr, piped=part.accepted)
        stream = part.path.read_bytes()
        if by_tracer:
            dropped = ftrace.lost(stats.path.read_bytes()) if stats else None
            stream = ftrace.records(stream)
        else:
            stream = relayed.records(stream)
        name = "the kernel's tracer" if by_tracer else "blktrace"
        try:
            trace = blockio.read([stream], dropped)
        except blockio.TraceRefused as error:
            return Judged(Outcome.FAILED, f"{error.why}; {why(part)}")
        facts: dict[str, JSON] = {"events": len(trace), "dropped": dropped, "unread_bytes": trace.unread}
        facts["way"] = "ftrace" if by_tracer else "relay"
        if part.completed.cut:
            return Judged(Outcome.PARTIAL if len(trace) else Outcome.FAILED, why(part), facts)
        if not len(trace):
            if part.accepted:
                return Judged(Outcome.EMPTY, f"{name} ran its time, and the disk was idle", facts)
            return Judged(Outcome.FAILED, f"not one event; {why(part)}", facts)
        return _short_of(facts, dropped, trace.unread, name)

    def read(self, output: Output) -> Reading:
        """Make the tables `block_io_…` and the pictures."""
        if "stats" in output.parts or "clock" in output.parts:
            return _by_tracer(output)
        said = output.facts.get("trace", {})
        well = said.get("status") == 0 and not said.get("cut")
        stream = relayed.records(output.part("trace"))
        report = blockio.interpret(stream, blockio.dropped(output.part("trace.stderr"), piped=well))
        return Reading(report.tables, {"trace": report.unread}, report.pictures)


def chosen(settings: Traced, root_device: str) -> tuple[str, ...]:
    """Give the disks to be traced, each once; CommandFailed when a setting is none that can be."""
    named = tuple(filter(None, (settings.device, *settings.devices))) or (root_device,)
    if strange := [one for one in named if not _DEVICE.fullmatch(one)]:
        words = f"{show(strange[0], 40)} is no disk's name" if strange[0] else "it is not known which disk is under /"
        raise CommandFailed(words, remedy="give `device` in the plan, as the kernel names it")
    if settings.way not in _WAYS:
        raise CommandFailed(f"block_io knows no way {show(settings.way, 40)}", remedy=f"one of {', '.join(_WAYS)}")
    if unknown := [one for one in settings.actions if one not in ACTIONS]:
        raise CommandFailed(f"blktrace has no mask {show(unknown[0], 40)}", remedy=f"some of {', '.join(ACTIONS)}")
    return tuple(dict.fromkeys(named))


def relay(settings: Traced, disks: Sequence[str]) -> tuple[str, ...]:
    """Give the words that run blktrace into its standard output."""
    devices = [word for disk in disks for word in ("-d", f"/dev/{disk}")]
    masks = [word for one in settings.actions for word in ("-a", one)]
    buffers = ("-b", str(settings.buffer_kib), "-n", str(settings.buffers))
    return ("blktrace", *devices, "-o", "-", "-w", str(settings.seconds), *masks, *buffers)


def _by_tracer(output: Output) -> Reading:
    """Read the kernel's tracer: names, clock and losses stand beside the trace."""
    stream, lost = ftrace.records(output.part("trace")), ftrace.lost(output.part("stats"))
    names = {
        **ftrace.names(output.part("processes")),
        **ftrace.names(output.part("names")),
        **ftrace.called(output.part("calls")),
    }
    report = blockio.interpret(stream, lost, names, ftrace.epoch(output.part("clock")))
    return Reading(report.tables, {"trace": report.unread}, report.pictures)


def _short_of(facts: Mapping[str, JSON], dropped: int | None, unread: int, name: str) -> Judged:
    gaps = []
    if dropped is None:
        gaps.append(f"{name} did not end well, so it is not known what was lost")
    if dropped:
        gaps.append(f"{name} dropped {dropped} events: its buffers were full")
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
