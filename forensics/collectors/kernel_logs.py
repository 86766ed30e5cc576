"""What is kept of the kernel's log on disk: the journal of all boots, and /var/log, rotated and packed files too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from forensics.collectors import MIB, Bench, Collector, Command, Judged, Output, Part, Reading, judge_commands
from forensics.host import Limits
from forensics.model import Outcome
from forensics.oom import lines, reports, tables
from forensics.oom.lines import Line
from forensics.tables import Absent, Cell, Column, Table

_FIELDS = "MESSAGE,SYSLOG_IDENTIFIER,_TRANSPORT,_SOURCE_MONOTONIC_TIMESTAMP"
_ALIKE = ("SYSLOG_IDENTIFIER=systemd-oomd", "SYSLOG_IDENTIFIER=earlyoom", "SYSLOG_IDENTIFIER=nohang")
_LOGS = r"""
for f in /var/log/kern.log* /var/log/messages* /var/log/syslog* /var/log/dmesg*; do
  [ -f "$f" ] || continue
  case $f in
    *.gz) set -- gzip -dc;; *.xz) set -- xz -dc;; *.bz2) set -- bzip2 -dc;; *.zst) set -- zstd -dc;; *) set -- cat;;
  esac
  case $f in */dmesg*) only=;; *) only=' kernel(\[[0-9]+\])?: | (systemd-oomd|earlyoom|nohang)(\[[0-9]+\])?: ';; esac
  "$@" <"$f" | grep -aE "$only" | grep -aHZ --label="$f" -A 5000 --no-group-separator -E \
    'invoked oom-killer|Manual OOM execution|[Kk]ill(ed)? process [0-9]|oom-kill:|systemd-oomd|earlyoom|nohang'
done
exit 0
"""
"""Of /var/log only the kernel's own lines from a report on are taken, and those of other killers."""
_EXTENT = (
    Column("source"),
    Column("lines", "integer"),
    Column("first"),
    Column("last"),
    Column("kills", "integer"),
)
_NO_TIME = Absent("the lines carry no time")


@dataclass(frozen=True, slots=True)
class Kept:
    """How far back the journal is read, and how much may come."""

    days: int = 60
    seconds: float = 120.0
    bytes: int = 32 * MIB


class KernelLogs(Collector[Kept]):
    """The kernel's log as the journal and syslog keep it."""

    name = "kernel_logs"
    title = "Kernel logs on disk"
    volatility = 60
    settings = Kept

    def command(self, settings: Kept) -> tuple[Command, ...]:
        """Ask the journal, newest first so that a cut loses the oldest; take the reports that /var/log has."""
        how = ("--no-pager", "-q", "-r", "-o", "json", f"--output-fields={_FIELDS}", "--since", f"-{settings.days}d")
        alike = tuple(word for one in _ALIKE for word in ("+", one))
        limits = Limits(seconds=settings.seconds, bytes=settings.bytes)
        return (
            Command("journal", ("journalctl", *how, "_TRANSPORT=kernel", *alike), limits, optional=True),
            Command("logs", ("sh", "-c", _LOGS), limits),
        )

    @contextmanager
    def capture(self, bench: Bench, settings: Kept) -> Iterator[Callable[[], None]]:
        """Leave the journal out where it is not."""
        journal, logs = self.command(settings)

        def work() -> None:
            if bench.find("journalctl"):
                bench.run(journal)
            bench.run(logs)

        yield work

    def judge(self, parts: Mapping[str, Part]) -> Judged:
        """Judge both: what the journal could not give is said, and one log is enough to have something."""
        journal = parts.get("journal")
        judged = judge_commands(parts)
        if journal is not None and journal.size:
            if not journal.accepted:
                return Judged(
                    Outcome.PARTIAL, f"the journal is not whole: {journal.completed.cut or 'journalctl failed'}"
                )
            return Judged(Outcome.DONE) if judged.outcome is Outcome.EMPTY else judged
        return judged

    def read(self, output: Output) -> Reading:
        """Make `oom_kills_logged`, `oom_tasks_logged`, `oom_zones_logged`, `oom_other_killers` and `kernel_logs`."""
        logs, bad_logs = lines.files(output.part("logs"))
        journal, bad_journal = lines.journal(output.part("journal"))
        sources: dict[str, list[Line]] = {"journal": journal[::-1]} if journal else {}
        sources |= logs
        read = {source: reports.read(found) for source, found in sources.items()}
        rows = tuple(_extent(source, found, len(read[source].reports)) for source, found in sources.items())
        unread = {"journal": bad_journal, "logs": bad_logs + sum(one.unread for one in read.values())}
        return Reading(
            (
                Table("kernel_logs", "Logs of the kernel that were read", _EXTENT, rows),
                *tables.made(read, ("oom_kills_logged", "oom_tasks_logged", "oom_zones_logged")),
                tables.others(sources),
            ),
            unread,
        )


def _extent(source: str, found: list[Line], kills: int) -> tuple[Cell, ...]:
    times = [one.at or one.logged for one in found if one.at or one.logged]
    return source, len(found), times[0] if times else _NO_TIME, times[-1] if times else _NO_TIME, kills


COLLECTOR = KernelLogs()
