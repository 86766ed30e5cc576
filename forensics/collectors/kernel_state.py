"""What the kernel says of itself: taint, lockdown, the settings that intruders turn, and code for every program."""

from __future__ import annotations

import re
from collections.abc import Iterator

from forensics import records
from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.tables import Cell, Column, Table

_K, _N, _F = "/proc/sys/kernel/", "/proc/sys/net/", "/proc/sys/fs/"
_FILES = (
    *(
        _K + name
        for name in ("tainted", "modules_disabled", "kptr_restrict", "dmesg_restrict", "core_pattern", "modprobe")
    ),
    *(_K + name for name in ("hotplug", "yama/ptrace_scope", "randomize_va_space", "sysrq", "kexec_load_disabled")),
    *(
        _K + name
        for name in ("unprivileged_bpf_disabled", "perf_event_paranoid", "ftrace_enabled", "panic", "panic_on_oops")
    ),
    *(
        _K + name
        for name in ("unprivileged_userns_clone", "apparmor_restrict_unprivileged_userns", "io_uring_disabled")
    ),
    *(_N + name for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "core/bpf_jit_harden")),
    *(_F + name for name in ("suid_dumpable", "protected_hardlinks", "protected_symlinks", "protected_fifos")),
    *("/proc/sys/dev/tty/ldisc_autoload", "/sys/kernel/security/lockdown", "/sys/kernel/security/lsm"),
    *("/sys/kernel/uevent_helper", "/sys/module/module/parameters/sig_enforce", "/etc/ld.so.preload"),
)
_MODULES = (
    "find",
    "/sys/module",
    "-mindepth",
    "2",
    "-maxdepth",
    "2",
    "-name",
    "taint",
    "-exec",
    "grep",
    "-sH",
    ".",
    "{}",
    "+",
)
TAINT = (
    ("P", "a module that is not under a free licence was loaded"),
    ("F", "a module was loaded by force"),
    ("S", "the kernel runs on hardware, or a way, that it is not made for"),
    ("R", "a module was unloaded by force"),
    ("M", "the processor reported an error of its own"),
    ("B", "a page was found in a state that it must not have"),
    ("U", "a program asked for this mark"),
    ("D", "the kernel had an oops or a bug"),
    ("A", "a table of the firmware was overridden"),
    ("W", "the kernel warned"),
    ("C", "a module of the staging tree was loaded"),
    ("I", "a fault of the firmware is worked round"),
    ("O", "a module was loaded that is not part of this kernel"),
    ("E", "a module was loaded whose signature is not known"),
    ("L", "a processor hung (soft lockup)"),
    ("K", "the kernel was patched while it ran"),
    ("X", "a mark of the distribution's own"),
    ("T", "the kernel was built with its structures in random order"),
    ("N", "a test inside the kernel was run"),
)
"""Bits of /proc/sys/kernel/tainted (Documentation/admin-guide/tainted-kernels.rst), lowest first."""
_SETTINGS = (Column("name"), Column("value"))
_BITS = (Column("bit", "integer"), Column("letter"), Column("meaning"))
_LETTERS = (Column("module"), Column("taint"))


class KernelState(Collector[Bounds]):
    """Taint of the kernel and of its modules, lockdown, and settings of defence."""

    name = "kernel_state"
    title = "State of the kernel"
    volatility = 21
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Read files of /proc and /sys; nothing of binfmt_misc, for reading that would mount it."""
        return (
            Command("settings", ("grep", "-sH", "", *_FILES), settings.limits, accepts=(0, 1, 2)),
            Command("modules", _MODULES, settings.limits, accepts=(0, 1), optional=True),
        )

    def read(self, output: Output) -> Reading:
        """Make `kernel_settings`, `kernel_taint` and `module_taint`."""
        pairs, bad = records.named(output.part("settings"))
        modules, bad_modules = records.named(output.part("modules"))
        tainted = next((value for path, value in pairs if path.endswith("/tainted")), "")
        marks = [(path.split("/")[3], letters) for path, letters in modules if path.count("/") == 4]
        settings: tuple[tuple[Cell, ...], ...] = tuple((_name(path), value) for path, value in pairs)
        return Reading(
            (
                Table("kernel_settings", "Settings of the kernel", _SETTINGS, settings),
                Table("kernel_taint", "Taint of the kernel", _BITS, tuple(_bits(tainted))),
                Table("module_taint", "Modules that taint the kernel", _LETTERS, tuple(marks)),
            ),
            {"settings": bad, "modules": bad_modules + len(modules) - len(marks)},
        )


def _name(path: str) -> str:
    return path.removeprefix("/proc/sys/").replace("/", ".") if path.startswith("/proc/sys/") else path


def _bits(tainted: str) -> Iterator[tuple[Cell, ...]]:
    number = int(tainted) if re.fullmatch(r"\d{1,10}", tainted, re.ASCII) else 0
    for bit in range(number.bit_length()):
        if number >> bit & 1:
            letter, meaning = TAINT[bit] if bit < len(TAINT) else ("?", "a mark that is newer than this program")
            yield bit, letter, meaning


COLLECTOR = KernelState()
