"""Clocks: what the examiner's own says, whether it jumped and is kept right, and how far another is off from it."""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from forensics.model import ClockOffset

SLACK = 2.0
"""Seconds by which two readings may differ; for slewed clocks, a thousandth of the time between is added."""


def boot_id() -> str:
    """Name the boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def since_boot() -> int:
    """Count nanoseconds since this machine was booted, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def jump(moment: str, monotonic: int, boot: str) -> str:
    """Say by how much the wall clock jumped since an earlier reading; "" when it did not, as far as can be told."""
    passed = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    if boot != boot_id():
        return f"the clock went back by {-passed:.3f} s" if passed < 0 else ""
    real = (since_boot() - monotonic) / 1e9
    off = passed - real
    if abs(off) <= SLACK + real / 1000:
        return ""
    return f"the clock went {'forward' if off > 0 else 'back'} by {abs(off):.3f} s against the time that passed"


def offset(readings: Iterable[tuple[bytes, str, float]]) -> ClockOffset | None:
    """Compare another clock with ours: it minus the midpoint, half the round trip as uncertainty, in seconds.

    A reading is what `date +%s.%N` said, when we asked (UTC by our clock), and the seconds until it had answered. The
    one with the shortest round trip counts (RFC 5905, section 10); None when there is no reading.
    """
    told = [one for one in readings if re.fullmatch(rb"\d{1,12}\.\d{9}\n", one[0])]
    if not told:
        return None
    said, started, seconds = min(told, key=lambda one: one[2])
    half = seconds / 2
    off = float(said) - datetime.fromisoformat(started).timestamp() - half
    return ClockOffset(round(off, 6), round(half, 6), started)


class _Timex(ctypes.Structure):
    """The head of `struct timex` (include/uapi/linux/timex.h); what follows is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


_UNSYNCHRONISED = 0x40  # STA_UNSYNC


def keeping() -> str:
    """Say what our kernel knows of our clock: synchronised, with its largest error, or not; "" when it does not tell.

    adjtimex(2) with no modes only reads.
    """
    told = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "adjtimex") or libc.adjtimex(ctypes.byref(told)) < 0:
        return ""
    if told.status & _UNSYNCHRONISED:
        return "not synchronised"
    return f"synchronised, off by {told.maxerror / 1e6:.3f} s at most"
