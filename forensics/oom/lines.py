"""Lines of a kernel's log, whoever wrote them down: dmesg, dmesg -T, syslog, the journal, a crash store."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics.model import utc
from forensics.text import decode

_SYSLOG = re.compile(
    r"(?P<logged>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|"
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    r" (?P<host>\S{1,255}) (?:[a-z0-9]{2,8}\.[a-z]{3,6} )?(?P<program>[^\s:\[]{1,64})(?:\[\d{1,10}\])?: ?(?P<text>.*)",
    re.DOTALL,
)
"""RFC 3164, section 4.1, also with facility and priority as busybox writes them, and rsyslog's with RFC 3339 times."""
_PRIORITY = re.compile(r"<\d{1,3}>|[a-z0-7]{3,8} *:(?:emerg|alert|crit|err|warn|notice|info|debug) *: ")
"""As the kernel writes it, and as `dmesg -x` does."""
_ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{1,9}[+-]\d\d:?\d\d) (?!\S{1,255} kernel: )")
"""`dmesg --time-format iso`; the comma tells it from rsyslog's."""
_SINCE_BOOT = re.compile(r"\[ *(\d{1,12}\.\d{1,9})\](?:\[ *[TC]\d{1,10}\])? ?")
_CALENDAR = re.compile(r"\[([^\]\d]{0,40}[^\]]{0,40}\d\d:\d\d:\d\d \d{4})\] ?")
"""dmesg -T writes days and months in the reader's language."""


_KERNEL = re.compile(r"Linux version \d|invoked oom-killer: |\b[Kk]ill(?:ed)? process \d")


@dataclass(frozen=True, slots=True)
class Line:
    """One message; what the log does not tell is None or ""."""

    text: str
    time: float | None = None  # seconds since boot, as the kernel stamped it
    at: str = ""  # RFC 3339, UTC, where the log tells date, time and zone
    logged: str = ""  # time as the log has it
    program: str = "kernel"


def parse(raw: bytes) -> Line:
    """Read one line of any of these logs; total."""
    text, logged, at, program = decode(raw.removeprefix(BOM_UTF8).rstrip(b"\r\n")), "", "", "kernel"
    if match := _ISO.match(text):
        return Line(text[match.end() :], None, _instant(match[1]), match[1], program)
    if match := _SYSLOG.fullmatch(text):
        logged, program, text = match["logged"], match["program"], match["text"]
        at = _instant(logged)
    if match := _PRIORITY.match(text):
        text = text[match.end() :]
    text = text.removeprefix("kernel: ")
    if match := _SINCE_BOOT.match(text):
        return Line(text[match.end() :], float(match[1]), at, logged, program)
    if match := _CALENDAR.match(text):
        return Line(text[match.end() :], None, at, match[1], program)
    return Line(text, None, at, logged, program)


def ring(raw: bytes) -> tuple[list[Line], int]:
    """Read what `dmesg` printed; lines without the kernel's time that continue no other are counted.

    A kernel that puts no times before its messages (printk.time=0) has none at all, and then none is missed.
    """
    found: list[Line] = []
    unread = 0
    read = [(line, parse(line)) for line in raw.splitlines()]
    timed = any(one.time is not None or one.logged for _, one in read)
    if not timed and any(_KERNEL.search(one.text) for _, one in read):
        return [one for line, one in read if line.strip()], 0
    for line, one in read:
        if one.time is not None or one.logged:
            found.append(one)
        elif found and line[:1].isspace():  # dmesg indents the further lines of one message
            found.append(Line(decode(line.strip()), found[-1].time, logged=found[-1].logged))
        else:
            unread += 1
    return found, unread


def files(raw: bytes) -> tuple[dict[str, list[Line]], int]:
    r"""Read what `grep -Z` printed of several files, `path\0line`; a line without a path is counted."""
    found: dict[str, list[Line]] = {}
    unread = 0
    for line in raw.splitlines():
        path, nul, rest = line.partition(b"\0")
        if nul:
            found.setdefault(decode(path), []).append(parse(rest))
        else:
            unread += 1
    return found, unread


def journal(raw: bytes) -> tuple[list[Line], int]:
    """Read `journalctl -o json`; records that are none are counted."""
    found: list[Line] = []
    unread = 0
    for line in filter(None, raw.split(b"\n")):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and "MESSAGE" in value:
            found.extend(_records(value))
        else:
            unread += 1
    return found, unread


def messages(rows: Iterable[tuple[float | None, str]]) -> list[Line]:
    """Give messages of the kernel's ring (seconds since boot, text), such as those found in memory."""
    return [Line(text, time) for time, whole in rows for text in whole.split("\n")]


def _records(value: Mapping[str, object]) -> Iterator[Line]:
    message = value["MESSAGE"]
    if isinstance(message, list):  # bytes that are no UTF-8 (systemd, JOURNAL_EXPORT_FORMATS)
        message = decode(bytes(one & 0xFF for one in message if isinstance(one, int)))
    stamp, at = _count(value.get("__REALTIME_TIMESTAMP")), ""
    if stamp is not None and stamp < 1 << 55:
        at = utc(datetime.fromtimestamp(stamp / 1e6, UTC))
    since = _count(value.get("_SOURCE_MONOTONIC_TIMESTAMP"))
    time = None if since is None else since / 1e6
    program = str(value.get("SYSLOG_IDENTIFIER") or "kernel")
    for text in str(message).split("\n"):
        yield Line(text, time, at, at, program)


def _count(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _instant(words: str) -> str:
    """Give the moment when the words tell zone and all, else ""."""
    if not re.search(r"(?:Z|[+-]\d\d:?\d\d)$", words) or "T" not in words:
        return ""
    try:
        return utc(datetime.fromisoformat(words))
    except (ValueError, OverflowError):
        return ""
