"""Which processes read and wrote, held memory and waited for the disk, second by second, as `pidstat` tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics.collectors import MIB, Collector, Command, Output, Reading
from forensics.host import Limits
from forensics.model import utc
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_FIELDS: Mapping[str, Column] = {
    "minflt/s": Column("minor_faults_per_s", "number"),
    "majflt/s": Column("major_faults_per_s", "number"),
    "RSS": Column("rss_kib", "number"),
    "%MEM": Column("memory_percent", "number"),
    "kB_rd/s": Column("read_kib_per_s", "number"),
    "kB_wr/s": Column("written_kib_per_s", "number"),
    "kB_ccwr/s": Column("cancelled_kib_per_s", "number"),
    "iodelay": Column("delay_ticks", "number"),
}
"""pidstat(1): by the words of its header, for versions put them differently."""
_COLUMNS = (Column("time", "time"), Column("uid", "integer"), Column("pid", "integer"), *_FIELDS.values())


@dataclass(frozen=True, slots=True)
class Sampled:
    """How long pidstat watches."""

    seconds: int = 20
    bytes: int = 32 * MIB


class Pidstat(Collector[Sampled]):
    """Processes that did something, once a second: reads, writes, memory, time that they waited for the disk."""

    name = "pidstat"
    title = "Disk and memory by process"
    volatility = 52
    program = "pidstat"
    package = "sysstat"
    together = True
    settings = Sampled

    def command(self, settings: Sampled) -> tuple[Command, ...]:
        """Sample once a second, with the time since 1970 and whole command lines; root sees every process's reads."""
        argv = ("pidstat", "-d", "-r", "-h", "-H", "-l", "1", str(settings.seconds))
        return (Command("pidstat", argv, Limits(seconds=settings.seconds * 2 + 30, bytes=settings.bytes)),)

    def read(self, output: Output) -> Reading:
        """Make the table `pidstat`; what a process's line does not tell, or -1, is absent.

        A line that is none of its own belongs to the command before it, which may have line ends in it.
        """
        rows: list[tuple[Cell, ...]] = []
        bad = 0
        head: list[str] = []
        for number, line in enumerate(output.part("pidstat").splitlines()):
            words = decode(line)
            if words.startswith("#"):
                head = words[1:].split()
            elif words.strip() and not (number == 0 and words.startswith("Linux ")):
                row = _row(head, words)
                if row:
                    rows.append(row)
                elif rows:  # the command's words go on in the next line
                    rows[-1] = (*rows[-1][:-1], f"{rows[-1][-1]}\n{words}")
                else:
                    bad += 1
        table = Table("pidstat", "Disk and memory by process", (*_COLUMNS, Column("command")), tuple(rows))
        return Reading((table,), {"pidstat": bad})


def _row(head: Sequence[str], words: str) -> tuple[Cell, ...] | None:
    """Read one process's line by its header; None when it is none."""
    parts = words.split(maxsplit=max(0, len(head) - 1))
    if len(parts) != len(head) or head[-1:] != ["Command"]:
        return None
    cells = dict(zip(head, parts, strict=True))
    try:
        known = utc(datetime.fromtimestamp(int(cells["Time"]), UTC)), int(cells["UID"]), int(cells["PID"])
        told = [_number(cells[name]) if name in cells else Absent("not told") for name in _FIELDS]
    except (KeyError, ValueError, OverflowError, OSError):
        return None
    return (*known, *told, cells["Command"].strip())


def _number(word: str) -> Cell:
    value = float(word)
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - what JSON cannot hold
        raise ValueError(word)
    return Absent("the kernel did not tell it") if value < 0 else value


COLLECTOR = Pidstat()
