"""Whom the kernel would kill next, and how much memory is left, second by second."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics.collectors import MIB, Collector, Command, Output, Reading
from forensics.host import Limits
from forensics.model import utc
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_SCRIPT = r"""
end=$(($(date +%s) + $1)); top=$2
while now=$(date +%s); [ "$now" -lt "$end" ]; do
  set --
  for pid in $(grep -sH '' /proc/[0-9]*/oom_score | sort -t: -k2,2nr | head -n "$top" | cut -d/ -f3); do
    set -- "$@" "/proc/$pid/oom_score" "/proc/$pid/oom_score_adj" "/proc/$pid/status"
  done
  echo "@$now"
  grep -sHE '^(MemFree|MemAvailable|SwapFree):|^oom_kill ' /proc/meminfo /proc/vmstat
  grep -sHE '^-?[0-9]+$|^(Name|VmRSS|VmSwap):' "$@"
  sleep 1
done
"""
_LINE = re.compile(r"/proc/(\d{1,10})/(oom_score|oom_score_adj|status):(.*)", re.DOTALL)
_WHOLE = re.compile(r"/proc/(?:meminfo|vmstat):(MemFree|MemAvailable|SwapFree|oom_kill):? +(\d{1,15})(?: kB)?")
_TOP = (
    Column("time", "time"),
    Column("pid", "integer"),
    Column("comm"),
    Column("oom_score", "integer"),
    Column("oom_score_adj", "integer"),
    Column("rss", "bytes"),
    Column("swap", "bytes"),
)
_MEMORY = (
    Column("time", "time"),
    Column("available", "bytes"),
    Column("free", "bytes"),
    Column("swap_free", "bytes"),
    Column("kills", "integer"),
)
_GONE = Absent("the process had ended, or this kernel does not tell it")


@dataclass(frozen=True, slots=True)
class Watched:
    """How long the candidates are watched, and how many."""

    seconds: int = 20
    top: int = 10
    bytes: int = 16 * MIB


class OomWatch(Collector[Watched]):
    """The processes with the highest scores, and the memory that is left, once a second."""

    name = "oom_watch"
    title = "Candidates of the OOM killer"
    volatility = 53
    together = True
    settings = Watched

    def command(self, settings: Watched) -> tuple[Command, ...]:
        """Read the highest scores once a second with the target's own grep and sort; nothing is put on it."""
        limits = Limits(seconds=settings.seconds + 30, bytes=settings.bytes)
        argv = ("sh", "-c", _SCRIPT, "sh", str(settings.seconds), str(settings.top))
        return (Command("watch", argv, limits, accepts=(0, 1, 2)),)

    def read(self, output: Output) -> Reading:
        """Make `oom_watch` and `memory_watch`; times are the target's clock, in UTC."""
        samples: list[tuple[Cell, dict[str, Cell], dict[int, dict[str, Cell]]]] = []
        bad = 0
        for line in output.part("watch").splitlines():
            text = decode(line)
            if re.fullmatch(r"@\d{1,11}", text):
                samples.append((_moment(int(text[1:])), {}, {}))
            elif not samples or not _take(text, samples[-1][1], samples[-1][2]):
                bad += 1
        top = tuple(row for when, _, processes in samples for row in _rows(when, processes))
        memory = tuple(
            (when, *(whole.get(name, _GONE) for name in ("MemAvailable", "MemFree", "SwapFree", "oom_kill")))
            for when, whole, _ in samples
        )
        return Reading(
            (
                Table("oom_watch", "Whom the kernel would kill first, once a second", _TOP, top),
                Table("memory_watch", "Memory that was left, once a second", _MEMORY, memory),
            ),
            {"watch": bad},
        )


def _moment(seconds: int) -> Cell:
    return utc(datetime.fromtimestamp(seconds, UTC))


def _take(text: str, whole: dict[str, Cell], processes: dict[int, dict[str, Cell]]) -> bool:
    if match := _WHOLE.fullmatch(text):
        whole[match[1]] = int(match[2]) * (1 if match[1] == "oom_kill" else 1024)
        return True
    match = _LINE.fullmatch(text)
    value = _value(match[2], match[3]) if match else None
    if match is None or value is None:
        return False
    processes.setdefault(int(match[1]), {}).update([value])
    return True


def _value(file: str, words: str) -> tuple[str, Cell] | None:
    if file != "status":
        return (file, int(words)) if re.fullmatch(r"-?\d{1,9}", words, re.ASCII) else None
    if words.startswith("Name:"):
        return "comm", words.removeprefix("Name:").lstrip("\t")
    size = re.fullmatch(r"(VmRSS|VmSwap):\s*(\d{1,15}) kB", words, re.ASCII)
    return ("rss" if size[1] == "VmRSS" else "swap", int(size[2]) * 1024) if size else None


def _rows(when: Cell, processes: dict[int, dict[str, Cell]]) -> Iterator[tuple[Cell, ...]]:
    for pid, of in processes.items():
        yield when, pid, *(of.get(column.name, _GONE) for column in _TOP[2:])


COLLECTOR = OomWatch()
