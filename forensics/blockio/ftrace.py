"""What stands beside a trace of ftrace's `blk` tracer: it has no notes in it (kernel/trace/blktrace.c, blk_log_…_bin).

The stream is records of version 7 with sequence numbers of 0; names of processes, the wall clock and the count of lost
events are read from files of tracefs and of /proc.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from forensics.text import decode

_LOST = re.compile(rb"CPU:\d{1,5} \[LOST \d{1,20} EVENTS\]\n")
"""Written between records where a reader came late (kernel/trace/trace_output.c, print_trace_line)."""
_COUNTED = re.compile(rb"^(?:overrun|commit overrun|dropped events): (\d{1,19})$", re.MULTILINE)
_NAMED = re.compile(rb"\s*(\d{1,10})\s+(\S.*?)\s*")
_CALLED = re.compile(
    rb": task_(?:newtask: pid=(\d{1,10}) comm=(.*?) clone_flags=|rename: pid=(\d{1,10}) oldcomm=.*? newcomm=(.*?) oom_)"
)
_NOW = re.compile(rb"^now at (\d{1,19}) nsecs$", re.MULTILINE)
_WALL = re.compile(rb"^(\d{1,11})\.(\d{9})$", re.MULTILINE)


def records(stream: bytes) -> bytes:
    """Give the stream without the lines that say what was lost."""
    return _LOST.sub(b"", stream)


def lost(stats: bytes) -> int | None:
    """Add up the lost events of all processors' `per_cpu/cpuN/stats`; None when there are none of them."""
    found = _COUNTED.findall(stats)
    return sum(map(int, found)) if found else None


def names(saved: bytes) -> Mapping[int, str]:
    """Read `saved_cmdlines`: number and name of each process, one a line."""
    read = (_NAMED.fullmatch(line) for line in saved.splitlines())
    return {int(match[1]): decode(match[2]) for match in read if match}


def called(events: bytes) -> Mapping[int, str]:
    """Read the names that processes took while it was traced: the kernel's events task_newtask and task_rename."""
    found: dict[int, str] = {}
    for new, first, renamed, name in _CALLED.findall(events):
        found[int(new or renamed)] = decode(first or name)
    return found


def epoch(clock: bytes) -> int | None:
    """Give the nanoseconds since 1970 at monotonic zero: `now at …` of /proc/timer_list between two `date +%s.%N`."""
    walls = [int(seconds) * 1_000_000_000 + int(rest) for seconds, rest in _WALL.findall(clock)]
    now = _NOW.search(clock)
    return sum(walls) // len(walls) - int(now[1]) if now and len(walls) == 2 else None
