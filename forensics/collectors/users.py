"""Who is logged in, and who was."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from forensics.collectors import Bounds, Collector, Command, Judged, Output, Part, Reading, judge_commands
from forensics.model import Outcome, utc
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_RECORD = struct.Struct("<hxxi32s4s32s256shhiii16s20s")
"""struct utmp of glibc on 64-bit Linux (utmp(5)): 384 bytes, 32-bit times."""
_KEPT = 500
"""Records of the login history that are taken: the last ones."""
_LIVE = frozenset({7})
"""USER_PROCESS"""
_FAILED = frozenset({6, 7})
"""btmp has LOGIN_PROCESS from sshd, and USER_PROCESS from login."""
_WHO = ("env", "LC_ALL=C.UTF-8", "who", "-u")
"""In the locale C, coreutils' who leaves the year out (hard_locale in who.c)."""
_NO_PROGRAM = 127
"""What env ends with where it does not find one."""
_DATE = re.compile(r" (?:(\d{4}-\d\d-\d\d \d\d:\d\d)|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d) ")
_COLUMNS = (Column("user"), Column("terminal"), Column("from"), Column("since", "time"))


class Users(Collector[Bounds]):
    """Sessions of utmp, or of the login manager where there is no utmp, and the last logins of wtmp."""

    name = "users"
    title = "Users"
    volatility = 40
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Read utmp, the end of wtmp, and ask `who` (which knows the login manager on systems without utmp)."""
        tail = ("tail", "-c", str(_RECORD.size * _KEPT), "/var/log/wtmp")
        return (
            Command("who", _WHO, settings.limits),
            Command("utmp", ("cat", "/run/utmp"), settings.limits, optional=True),
            Command("wtmp", tail, settings.limits, optional=True),
            Command("btmp", (*tail[:-1], "/var/log/btmp"), settings.limits, optional=True),
        )

    def judge(self, parts: Mapping[str, Part]) -> Judged:
        """Tell a target without `who`, which env has to say, from one where it failed."""
        who = parts.get("who")
        if who is None or who.completed.status != _NO_PROGRAM:
            return judge_commands(parts)
        kept = any(part.size for name, part in parts.items() if name in {"utmp", "wtmp"})
        return Judged(Outcome.PARTIAL if kept else Outcome.ABSENT, "the target has no who (package coreutils)")

    def read(self, output: Output) -> Reading:
        """Make the tables `users`, `logins` and `failed_logins`; a failed name may be a password typed too soon."""
        sessions, bad = _records(output.part("utmp"))
        unread = {"utmp": bad}
        if not output.part("utmp"):
            sessions, unread = _who(output.part("who"))
        logins, unread["wtmp"] = _records(output.part("wtmp"))
        failed, unread["btmp"] = _records(output.part("btmp"), _FAILED)
        return Reading(
            (
                Table("users", "Users who were logged in", _COLUMNS, tuple(sessions)),
                Table("logins", "Last logins on record", _COLUMNS, tuple(logins)),
                Table("failed_logins", "Last failed logins on record", _COLUMNS, tuple(failed)),
            ),
            unread,
        )


def _records(raw: bytes, kinds: frozenset[int] = _LIVE) -> tuple[list[tuple[Cell, ...]], int]:
    whole = len(raw) - len(raw) % _RECORD.size
    rows = list(_rows(raw[:whole], kinds))
    return rows, 1 if whole != len(raw) else 0


def _rows(raw: bytes, kinds: frozenset[int]) -> Iterator[tuple[Cell, ...]]:
    for kind, _, line, _, user, origin, _, _, _, seconds, _, _, _ in _RECORD.iter_unpack(raw):
        if kind in kinds:
            since = utc(datetime.fromtimestamp(seconds & 0xFFFFFFFF, UTC))
            yield _word(user), _word(line), _word(origin) or Absent("not told"), since


def _word(raw: bytes) -> str:
    return decode(raw.partition(b"\0")[0])


def _who(raw: bytes) -> tuple[list[tuple[Cell, ...]], dict[str, int]]:
    rows: list[tuple[Cell, ...]] = []
    bad = 0
    for line in map(decode, raw.splitlines()):
        dated = _DATE.search(line)
        who = line[: dated.start()].split() if dated else []
        if not dated or len(who) < 2:
            bad += 1
            continue
        since: Cell = Absent(f"who gave no year: {dated[0].strip()}")
        if dated[1]:
            try:
                since = utc(datetime.strptime(dated[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC))
            except ValueError:
                bad += 1
                continue
        last = line.split()[-1]
        origin: Cell = last[1:-1] if last.startswith("(") and last.endswith(")") else Absent("not told")
        rows.append((who[0], who[1], origin, since))
    return rows, {"who": bad}


COLLECTOR = Users()
