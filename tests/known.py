"""Facts of a made-up target, and a desk to work at, for stages that are tried without a survey."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from forensics.model import ClockOffset, Digest, Draft, Exhibit, Facts, MemoryRange, Result
from forensics.progress import Silent
from forensics.stage import Desk, Entered

RELEASE = "6.1.0-99-test-amd64"
RAM = (MemoryRange(0x1000, 0x9FBFF), MemoryRange(0x100000, 0x4FFFFF))


def facts(**changes: Any) -> Facts:
    """Give facts that say little, but for what is asked."""
    plain = Facts(
        exhibits=(),
        hostname="target",
        release=RELEASE,
        version="#1 SMP PREEMPT_DYNAMIC Debian 6.1.99-1 (2026-01-01)",
        machine="x86_64",
        distribution="debian",
        distribution_version="12",
        distribution_codename="",
        pretty_name="",
        boot_id="",
        machine_id="",
        uptime=100.0,
        proc_version=b"Linux version 6.1.0-99-test-amd64\n",
        cmdline="",
        ram=RAM,
        memory_total=5 << 20,
        memory_available=1 << 30,
        btf=None,
        kallsyms=None,
        kernel_offset=None,
        lockdown="none",
        signature_enforced=False,
        secure_boot=None,
        modules_disabled=False,
        taint=0,
        kptr_restrict=None,
        five_level_paging=False,
        clock=ClockOffset(0.0, 0.0, ""),
        processes=(),
        modules=(),
        symbol_versions={},
        config={},
        tools={"insmod": "/usr/sbin/insmod", "rmmod": "/usr/sbin/rmmod"},
        root_device="",
        preflight=(),
    )
    return replace(plain, **changes)


def desk(case: Path, name: str) -> Desk:
    """Give a desk with an empty work folder."""
    work = case / name
    work.mkdir(parents=True)
    return Desk(work, case, {}, "target", {}, (), Silent())


def entered(case: Path, work: Iterable[Draft | Result]) -> Entered:
    """Enter what a stage gives, as the pipeline does: the digest of a draft has to be that of the file."""
    exhibits: list[Exhibit] = []
    results: list[Result] = []
    for one in work:
        if isinstance(one, Result):
            results.append(one)
            continue
        digest = Digest("sha256", hashlib.sha256(one.path.read_bytes()).hexdigest())
        assert one.digest in (None, digest)
        number = f"{one.role.value}{len(exhibits) + 1:04d}"
        size = one.path.stat().st_size
        place = one.path.relative_to(case)
        exhibits.append(
            Exhibit(number, one.kind, one.title, place, size, digest, "target", "", one.item, (), one.facts)
        )
    return Entered(tuple(exhibits), tuple(results), case)
