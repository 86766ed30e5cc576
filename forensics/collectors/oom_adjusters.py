"""Who shields processes from the OOM killer: units, cron lines, start scripts that set an adjustment."""

from __future__ import annotations

import re

from forensics import records
from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.tables import Absent, Cell, Column, Table

_WORDS = r"oom_adj|oom_score_adj|OOMScoreAdjust|(^|[[:space:]/])choom[[:space:]]"
_PLACES = (
    *("/etc/crontab", "/etc/anacrontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly"),
    *(
        "/etc/cron.monthly",
        "/var/spool/cron",
        "/var/spool/at",
        "/etc/rc.local",
        "/etc/rc.d",
        "/etc/init.d",
        "/etc/init",
    ),
    *(
        "/etc/systemd",
        "/run/systemd/system",
        "/run/systemd/generator",
        "/usr/local/lib/systemd",
        "/usr/lib/systemd/system",
    ),
    *(
        "/usr/lib/systemd/user",
        "/lib/systemd/system",
        "/etc/profile",
        "/etc/profile.d",
        "/etc/default",
        "/etc/sysconfig",
    ),
)
_KINDS = (("cron", r"/etc/(?:ana)?cron|/var/spool/"), ("unit of the distribution", r"/(?:usr/)?lib/systemd/"),
          ("unit", r"/(?:etc|run|usr/local/lib)/systemd/"), ("script", r"/etc/(?:rc|init|profile)"))  # fmt: skip
_VALUE = re.compile(r"OOMScoreAdjust\s*=\s*(-?\d{1,5})|choom\b.*?-n\s*(-?\d{1,5})|(-?\d{1,5})['\"]?\s*(?:>|\|\s*tee)")
_COLUMNS = (Column("kind"), Column("path"), Column("value", "integer"), Column("text"))


class OomAdjusters(Collector[Bounds]):
    """Lines of settings and scripts that write an adjustment for the OOM killer."""

    name = "oom_adjusters"
    title = "Who writes oom_score_adj"
    volatility = 70
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Search the usual places, without following links; nothing found is exit code 1, a missing place 2."""
        argv = ("grep", "-rsHZI", "-D", "skip", "-E", _WORDS, *_PLACES)
        return (Command("lines", argv, settings.limits, accepts=(0, 1, 2)),)

    def read(self, output: Output) -> Reading:
        """Make the table `oom_adjusters`; /lib that is /usr/lib is told once, comments are left out."""
        pairs, bad = records.grepped(output.part("lines"))
        found: dict[tuple[str, str], None] = {}
        for path, text in pairs:
            if not text.lstrip().startswith(("#", ";")):
                found.setdefault((re.sub(r"^/lib/", "/usr/lib/", path), text.strip()))
        rows = tuple((_kind(path), path, _value(text), text) for path, text in found)
        return Reading(
            (Table("oom_adjusters", "Who sets adjustments for the OOM killer", _COLUMNS, rows),), {"lines": bad}
        )


def _kind(path: str) -> str:
    return next((kind for kind, pattern in _KINDS if re.match(pattern, path)), "other")


def _value(text: str) -> Cell:
    match = _VALUE.search(text[:2000])
    return int(next(filter(None, match.groups()))) if match else Absent("the line does not tell it plainly")


COLLECTOR = OomAdjusters()
