"""Block I/O through tracefs, by the kernel's own tracer `blk`: where lockdown closes debugfs, and so blktrace's files.

The tracer is the kernel's only one of its kind, and choosing it empties the buffer of all: so nothing is begun where
another tracer or an event is on, or the buffer holds something. Every setting that is touched is read before, is
written to the ledger with what it was, and is compared afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from forensics.collectors import MIB, Bench, Command
from forensics.errors import CommandFailed
from forensics.host import Change, Limits
from forensics.text import decode, show

TRACING = "/sys/kernel/tracing"
_MOUNTED = f"grep -q ' {TRACING} tracefs ' /proc/self/mounts"
_KEPT = (
    "tracing_on",
    "trace_clock",
    "options/bin",
    "options/context-info",
    "saved_cmdlines_size",
    "buffer_size_kb",
)
_NAMES = 4096
_NAMING = "instances/forensics"
"""A buffer of its own, in which processes that begin meanwhile leave their names."""
_VALUES = {
    "tracing_on": re.compile(r"([01])"),
    "trace_clock": re.compile(r".*\[([a-z0-9_-]{1,32})\].*"),
    "options/bin": re.compile(r"([01])"),
    "options/context-info": re.compile(r"([01])"),
    "saved_cmdlines_size": re.compile(r"(\d{1,7})"),
    "buffer_size_kb": re.compile(r"(?:\d{1,4} \(expanded: )?(\d{1,9})\)?"),
}
"""How each is read, and written back; a buffer that was never used has its size in brackets."""


@contextmanager
def capture(bench: Bench, device: str, seconds: int, limit: int, buffer_kib: int) -> Iterator[Callable[[], None]]:
    """Set the tracer up, give the work that reads it, keep names, clock and counts, and put all settings back."""
    with ExitStack() as stack:
        if not bench.host.run("sh", "-c", _MOUNTED).ok:
            stack.enter_context(bench.host.change(_mount()))
            bench.host.run("mount", "-t", "tracefs", "nodev", TRACING, root=True, expect=True)
        before = _state(bench, device)
        stack.enter_context(bench.host.change(_settings(before, device)))
        bench.host.run("sh", "-c", _begin(buffer_kib), root=True, expect=True)
        bench.run(Command("processes", ("sh", "-c", _PROCESSES), _FEW, optional=True))
        bench.run(Command("clock", ("sh", "-c", _CLOCK), _FEW, optional=True))
        with bench.stream(Command("trace", ("sh", "-c", _read(device, seconds)), Limits(seconds + 60, limit))) as drain:
            yield drain
        for part, files in _BESIDE.items():
            bench.run(Command(part, ("sh", "-c", f"cat {TRACING}/{files}"), _FEW, optional=True))


_BESIDE = {"names": "saved_cmdlines", "calls": f"{_NAMING}/trace", "stats": "per_cpu/cpu*/stats"}
_FEW = Limits(seconds=30, bytes=16 * MIB)
_PROCESSES = (
    'cd /proc; for t in [0-9]*/task/[0-9]*; do read -r c <$t/comm && echo "${t##*/} $c"; done 2>/dev/null; true'
)
_CLOCK = "date +%s.%N; grep '^now at' /proc/timer_list; date +%s.%N"


def _state(bench: Bench, device: str) -> Mapping[str, str]:
    """Read every setting that will be touched; CommandFailed when somebody traces, or the kernel cannot."""
    asked = [*_KEPT, "current_tracer", "available_tracers", "events/enable"]
    ask = "; ".join(f'echo "{name} $(head -n 1 {TRACING}/{name})"' for name in asked)
    more = f'[ -e {TRACING}/{_NAMING} ] && echo "naming 1"; '
    more += f'echo "entries $(cat {TRACING}/per_cpu/cpu*/stats | grep -c "^entries: [1-9]")"'
    enable = f'echo "enable $(cat {_enable(device)})"'
    said = bench.host.run("sh", "-c", f"{ask}; {more}; {enable}", root=True)
    pairs = (line.partition(" ") for line in decode(said.stdout).splitlines())
    told = {name: value.strip() for name, _, value in pairs}
    if "blk" not in told.get("available_tracers", "").split():
        words = show(said.stderr.strip()[:300]) or "it has none"
        raise CommandFailed("the kernel's tracer blk cannot be used", why=words)
    told.setdefault("naming", "0")
    idle = {"naming": "0", "current_tracer": "nop", "events/enable": "0", "entries": "0", "enable": "0"}
    busy = {name: told.get(name, "unknown") for name, value in idle.items() if told.get(name) != value}
    if busy:
        why = ", ".join(f"{name} is {show(value, 40)}" for name, value in busy.items())
        raise CommandFailed("somebody traces this kernel already", why=why, remedy="leave it alone, or end it")
    read = {name: _VALUES[name].fullmatch(told.get(name, "")) for name in _KEPT}
    if strange := [name for name, match in read.items() if not match]:
        raise CommandFailed("a setting of the tracer cannot be read, so it could not be put back", where=strange[0])
    return {name: match[1] for name, match in read.items() if match}


def _enable(device: str) -> str:
    return f"/sys/class/block/{device}/trace/enable"


def _begin(buffer_kib: int) -> str:
    wanted = {
        "tracing_on": "0", "trace_clock": "mono", "buffer_size_kb": str(buffer_kib), "saved_cmdlines_size": str(_NAMES),
        "current_tracer": "blk", "options/bin": "1", "options/context-info": "0",
    }  # fmt: skip
    lines = [f"echo {value} >{TRACING}/{name}" for name, value in wanted.items()]
    naming = [f"mkdir {TRACING}/{_NAMING}"]
    naming += [f"echo 1 >{TRACING}/{_NAMING}/events/task/{event}/enable" for event in ("task_newtask", "task_rename")]
    return "; ".join(["set -e", *naming, *lines, f"echo 1 >{TRACING}/tracing_on"])  # it takes over what options are set


def _read(device: str, seconds: int) -> str:
    """Read for so long, stop the events, read what is left, and end; exit 0 when the reader lasted to the end."""
    enable, some = _enable(device), f"grep -hq '^entries: [1-9]' {TRACING}/per_cpu/cpu*/stats"
    return (
        f"cat {TRACING}/trace_pipe & reader=$!; echo 1 >{enable} || exit 3; sleep {seconds}; echo 0 >{enable}; "
        f"left=100; while [ $left -gt 0 ] && {some}; do sleep 0.2; left=$((left-1)); done; "
        "sleep 0.3; kill $reader 2>/dev/null; wait $reader; [ $? -eq 143 ]"
    )


def _settings(before: Mapping[str, str], device: str) -> Change:
    """Say how all is put back, and how that is seen."""
    off = f"echo 0 >{_enable(device)}; echo 0 >{TRACING}/tracing_on; echo nop >{TRACING}/current_tracer"
    back = "; ".join(f"echo {before[name]} >{TRACING}/{name}" for name in reversed(_KEPT))
    none = f"if [ -e {TRACING}/{_NAMING} ]; then rmdir {TRACING}/{_NAMING}; fi"
    undo = f"if [ -e {TRACING}/current_tracer ]; then {off}; {back}; {none}; fi"
    same = [f"grep -qx nop {TRACING}/current_tracer", f"grep -qx 0 {_enable(device)}", f"[ ! -e {TRACING}/{_NAMING} ]"]
    size, now = int(before["buffer_size_kb"]), f"$(cat {TRACING}/buffer_size_kb)"
    same.append(f"[ {now} -ge {size} ] && [ {now} -le {size + 4} ]")  # it is rounded to pages
    for name in _KEPT[:-1]:
        pattern = rf"\[{before[name]}\]" if name == "trace_clock" else rf"^{before[name]}$"
        same.append(f"grep -q '{pattern}' {TRACING}/{name}")
    gone = f"[ ! -e {TRACING}/current_tracer ] || {{ {' && '.join(same)}; }}"
    told = ", ".join(f"{name} {value}" for name, value in before.items())
    return Change("setting", f"tracer blk of {device}", ("sh", "-c", undo), ("sh", "-c", gone), told)


def _mount() -> Change:
    undo = ("sh", "-c", f"if {_MOUNTED}; then umount {TRACING}; fi")
    return Change("mount", f"tracefs on {TRACING}", undo, ("sh", "-c", f"! {_MOUNTED}"))
