"""What is run by the clock: timers of systemd, crontabs, anacron, at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from forensics import records
from forensics.collectors import Bench, Bounds, Collector, Command, Output, Reading
from forensics.tables import Absent, Cell, Column, Table

_ASKED = "Id,Unit,TimersCalendar,TimersMonotonic,NextElapseUSecRealtime,LastTriggerUSec,FragmentPath,ActiveState"
_CRONTABS = ("/etc/crontab", "/etc/anacrontab", "/etc/cron.d", "/var/spool/cron", "/var/spool/at")
_FOLDERS = ("/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly")
_CRON_LINE = re.compile(r"(@\w{4,10}|(?:\S+\s+){4}\S+)\s+(.*)")
_VARIABLE = re.compile(r"\s*[A-Za-z_]\w*\s*=")
_TIMERS = (
    Column("timer"),
    Column("starts"),
    Column("when"),
    Column("next"),
    Column("last"),
    Column("state"),
    Column("file"),
)
_CRON = (Column("path"), Column("user"), Column("when"), Column("command"))
_NONE = Absent("systemd does not tell it")


class Schedules(Collector[Bounds]):
    """Timers and cron."""

    name = "schedules"
    title = "Timers and cron"
    volatility = 71
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Ask systemd for its timers, read the crontabs, list the folders of scripts."""
        limits = settings.limits
        wanted = ("systemctl", "show", "--no-pager", f"--property={_ASKED}", "*.timer")
        listed = ("find", *_FOLDERS, "-mindepth", "1", "-type", "f", "-printf", r"%p\t%m\0")
        return (
            Command("timers", wanted, limits, optional=True),
            Command("crontabs", ("grep", "-rsHZI", "-D", "skip", "", *_CRONTABS), limits, accepts=(0, 1, 2)),
            Command("scripts", listed, limits, accepts=(0, 1), optional=True),
        )

    @contextmanager
    def capture(self, bench: Bench, settings: Bounds) -> Iterator[Callable[[], None]]:
        """Leave systemd out where it is not."""
        timers, *others = self.command(settings)

        def work() -> None:
            if bench.find("systemctl"):
                bench.run(timers)
            for command in others:
                bench.run(command)

        yield work

    def read(self, output: Output) -> Reading:
        """Make `timers` and `cron`; comments and empty lines are left out, at jobs are told by their file."""
        found, bad_timers = records.blocks(output.part("timers"))
        lines, bad_lines = records.grepped(output.part("crontabs"))
        scripts, bad_scripts = records.fields(output.part("scripts"), 2)
        cron = [row for path, text in lines for row in _cron(path, text)]
        cron += [
            (path, "root", path.rpartition("/")[0].rpartition(".")[2], f"(a script, mode {mode})")
            for path, mode in scripts
            if not path.endswith("/.placeholder")
        ]
        return Reading(
            (
                Table("timers", "Timers", _TIMERS, tuple(_timer(block) for block in found)),
                Table("cron", "Cron, anacron and at", _CRON, tuple(dict.fromkeys(cron))),
            ),
            {"timers": bad_timers, "crontabs": bad_lines, "scripts": bad_scripts},
        )


def _timer(block: dict[str, str]) -> tuple[Cell, ...]:
    when = "; ".join(filter(None, (block.get("TimersCalendar", ""), block.get("TimersMonotonic", "")))).replace(
        "\n", "; "
    )
    names = ("NextElapseUSecRealtime", "LastTriggerUSec", "ActiveState", "FragmentPath")
    rest = (block.get(name) or _NONE for name in names)
    return (block.get("Id") or _NONE, block.get("Unit") or _NONE, when or _NONE, *rest)


def _cron(path: str, text: str) -> Iterator[tuple[Cell, ...]]:
    """Read one line of a crontab: those of /etc name the account, those of the spool are called after it."""
    line = text.strip()
    if "/at" in path.removeprefix("/var/spool") and not path.endswith("/.SEQ"):
        yield path, Absent("an at job runs as its file's owner"), "once", "(an at job; its text is in the exhibit)"
        return
    if not line or line.startswith("#") or _VARIABLE.match(line) or path.endswith("/.SEQ"):
        return
    if path.endswith("anacrontab"):
        period, _, rest = line.partition("\t")
        yield path, "root", period.split()[0], rest.strip() or line
        return
    match = _CRON_LINE.fullmatch(line)
    if match is None:
        yield path, Absent("not a line of a crontab"), Absent("not a line of a crontab"), line
        return
    when, command = " ".join(match[1].split()), match[2]
    user, _, rest = command.partition(" ") if path.startswith("/etc/") else (path.rpartition("/")[2], "", command)
    yield path, user, when, rest.strip() or command


COLLECTOR = Schedules()
