"""What an image says of its own machine: the kernel's banner, and facts made of nothing else."""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from pathlib import Path

from forensics.model import ClockOffset, Facts, MemoryRange
from forensics.survey import facts as survey_facts
from forensics.survey import kernel_identity
from forensics.survey.facts import Derived

_BANNER = re.compile(rb"Linux version [0-9]+\.[0-9]+[^\x00\n]{8,400}\n\x00")
_WORDS = re.compile(r"Linux version (\S+) .*?(#\d.*)$")
_UNKNOWN = "nothing but the image is known of this machine"


def find(image: Path) -> bytes:
    """Find the first kernel banner in a file, its line end included; b"" when there is none."""
    if not image.stat().st_size:
        return b""
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _BANNER.search(content)
        return found[0].rstrip(b"\0") if found else b""


def facts(banner: bytes, ram: Sequence[MemoryRange], vmcoreinfo: bytes = b"") -> bytes:
    """Make facts.json of a banner: release and version are the image's own words, all else is unknown.

    VMCOREINFO, where the file brings it, tells the kernel's build id.
    """
    words = _WORDS.match(banner.decode("utf-8", "backslashreplace").strip())
    release, version = (words[1], words[2]) if words else ("", "")
    known = Facts(
        exhibits=(), hostname="", release=release, version=version, machine="", distribution="",
        distribution_version="", distribution_codename="", pretty_name="", boot_id="", machine_id="", uptime=0.0,
        proc_version=banner, cmdline="", ram=tuple(ram), memory_total=0, memory_available=0, btf=None, kallsyms=None,
        kernel_offset=None, lockdown="", signature_enforced=None, secure_boot=None, modules_disabled=False, taint=0,
        kptr_restrict=None, five_level_paging=False, clock=ClockOffset(0.0, 0.0, ""), processes=(), modules=(),
        symbol_versions={}, config={}, tools={}, root_device="", preflight=(),
        build_id=kernel_identity.build_id(b"", vmcoreinfo), vmcoreinfo=vmcoreinfo,
    )  # fmt: skip
    unknown = dict.fromkeys(("processes", "clock", "lockdown", "secure_boot", "modules", "config"), _UNKNOWN)
    return survey_facts.to_json(Derived(known, unknown, {}))
