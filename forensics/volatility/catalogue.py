"""Which plugins there are, which run when nothing else is asked for, and which take long."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forensics.errors import StageFailed
from forensics.model import JSON
from forensics.volatility.process import run_module

DEFAULT: tuple[str, ...] = (
    "linux.pslist.PsList",
    "linux.pstree.PsTree",
    "linux.psscan.PsScan",
    "linux.psaux.PsAux",
    "linux.pidhashtable.PIDHashTable",
    "linux.kthreads.Kthreads",
    "linux.envars.Envars",
    "linux.bash.Bash",
    "linux.lsof.Lsof",
    "linux.sockstat.Sockstat",
    "linux.ip.Addr",
    "linux.ip.Link",
    "linux.lsmod.Lsmod",
    "linux.malware.check_modules.Check_modules",
    "linux.malware.hidden_modules.Hidden_modules",
    "linux.malware.modxview.Modxview",
    "linux.malware.check_syscall.Check_syscall",
    "linux.malware.check_idt.Check_idt",
    "linux.malware.check_afinfo.Check_afinfo",
    "linux.malware.check_creds.Check_creds",
    "linux.malware.tty_check.Tty_Check",
    "linux.malware.keyboard_notifiers.Keyboard_notifiers",
    "linux.malware.netfilter.Netfilter",
    "linux.malware.malfind.Malfind",
    "linux.malware.process_spoofing.ProcessSpoofing",
    "linux.capabilities.Capabilities",
    "linux.ptrace.Ptrace",
    "linux.ebpf.EBPF",
    "linux.kmsg.Kmsg",
    "linux.boottime.Boottime",
    "linux.mountinfo.MountInfo",
    "linux.iomem.IOMem",
    "linux.vmcoreinfo.VMCoreInfo",
    "linux.forensics.processes.ProcessViews",
    "linux.forensics.modules.ModuleViews",
    "linux.forensics.routes.Routes",
    "linux.forensics.oom.OomState",
)
"""Run unless a plan says otherwise: what the findings and the report need, and what costs little beside."""

YARA = "linux.forensics.yarascan.YaraScan"
"""Runs where an analyst gives rules."""

_LONGEST = (
    YARA,
    "linux.pagecache.Files",
    "linux.malware.malfind.Malfind",
    "linux.psscan.PsScan",
    "linux.malware.check_syscall.Check_syscall",
    "linux.library_list.LibraryList",
    "linux.kallsyms.Kallsyms",
    "linux.lsof.Lsof",
    "linux.sockstat.Sockstat",
    "linux.sockscan.Sockscan",
    "linux.proc.Maps",
    "linux.kthreads.Kthreads",
    "linux.malware.check_idt.Check_idt",
    "linux.elfs.Elfs",
    "linux.mountinfo.MountInfo",
)


def by_length(names: Sequence[str]) -> list[str]:
    """Put the plugins that are known to take long first, so that none of them ends alone."""
    order = {name: place for place, name in enumerate(_LONGEST)}
    return sorted(names, key=lambda name: order.get(name, len(order)))


@dataclass(frozen=True, slots=True)
class AskedPlugin:
    """A plugin that is to run, under the name that its result is to have, and the arguments that it is given."""

    item: str  # the plugin's name; behind a ~ the number of the time, where it runs more than once
    arguments: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Available:
    """A plugin, what it is for, and why it does not run by itself ("" when it does)."""

    name: str
    purpose: str
    why_not: str
    default: bool


def available(plugin_folders: Sequence[Path] = ()) -> tuple[Available, ...]:
    """List every Linux plugin of Volatility and of the given folders; StageFailed when Volatility does not start."""
    with tempfile.TemporaryDirectory() as folder:
        asked = json.dumps([str(one.resolve()) for one in plugin_folders])
        ended = run_module("forensics.volatility.listed", Path(folder), asked)
    if ended.returncode:
        raise StageFailed(
            "Volatility's plugins cannot be listed",
            why=ended.stderr.strip()[-500:],
            remedy="forensics doctor tells which packages are missing",
        )
    return tuple(Available(name, purpose, why, name in DEFAULT) for name, purpose, why in json.loads(ended.stdout))
