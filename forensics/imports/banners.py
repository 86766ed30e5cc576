"""What an image says of its own machine: the kernel's banner, and facts made of nothing else."""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from forensics.model import ClockOffset, Facts, MemoryRange
from forensics.survey import facts as survey_facts
from forensics.survey import kernel_identity
from forensics.survey.facts import Derived

_BANNER = re.compile(rb"Linux version [0-9]+\.[0-9]+[^\x00\n]{8,400}\n\x00")
_NUMBER = re.compile(rb" #[0-9]+ ")
_LOOKED_AT, _MOST = 1000, 8  # banners
_WORDS = re.compile(r"Linux version (\S+) .*?(#\d.*)$")
_UNKNOWN = "nothing but the image is known of this machine"


def find(image: Path, vmcoreinfo: bytes = b"") -> tuple[bytes, ...]:
    """Find the kernel banners in a file, each once with its line end, the likeliest first; () when there is none.

    Kernels from 6.1 hold a draft of their banner too, from before their number was known ("# SMP" for "#1 SMP": the
    weak linux_banner of init/version.c), and a host of virtual machines holds its guests'. The release that VMCOREINFO
    tells decides, where the file brings it; which one is the kernel's is in the end for a symbol table to show.
    """
    if not image.stat().st_size:
        return ()
    told = re.search(rb"^OSRELEASE=(.*)$", vmcoreinfo, re.MULTILINE)
    release = b"Linux version " + told[1].strip() + b" " if told else b""
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = dict.fromkeys(one[0].rstrip(b"\0") for one in islice(_BANNER.finditer(content), _LOOKED_AT))
    likely = sorted(found, key=lambda one: (not one.startswith(release), not _NUMBER.search(one)))
    return tuple(likely[:_MOST])


def facts(banners: Sequence[bytes], ram: Sequence[MemoryRange], vmcoreinfo: bytes = b"") -> bytes:
    """Make facts.json of the banners: release and version are the first one's own words, all else is unknown.

    VMCOREINFO, where the file brings it, tells the kernel's build id.
    """
    banner = banners[0] if banners else b""
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
        other_banners=tuple(banners[1:]),
    )  # fmt: skip
    unknown = dict.fromkeys(("processes", "clock", "lockdown", "secure_boot", "modules", "config"), _UNKNOWN)
    return survey_facts.to_json(Derived(known, unknown, {}))
