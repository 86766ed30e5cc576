"""The analyst's own clock: what it says, and whether it jumped."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

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
