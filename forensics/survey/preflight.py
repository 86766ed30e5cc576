"""What will work on a target, and why: told from the facts alone, before anything is changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forensics.model import Facts, Preflight

LIME_RESERVE = 32 << 20
"""Bytes of memory that should be available before a module and an SSH session are added."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the preflight asks beside the facts."""

    room: str = ""  # `stat -f -c "%n %T %S %a"`: path, type, block size, blocks available
    delay_accounting: str = ""  # kernel.task_delayacct, "" unknown
    has_btf: bool = False
    has_symbols: bool = False  # kallsyms with data symbols and their addresses
    sudo: str = ""  # MD5 of /usr/bin/sudo, "" where it could not be read
    sudo_listed: str = ""  # the MD5 that dpkg lists for it, "" where it lists none


def check(facts: Facts, around: Surroundings) -> tuple[Preflight, ...]:
    """Tell for each later stage, engine and collector whether it will work here."""
    return (
        build(facts),
        symbols(around),
        lime(facts),
        kcore(facts),
        workplace(around),
        prove(facts, around),
        *(collector(facts, name, needs) for name, needs in COLLECTORS.items()),
        blktrace(facts),
        iotop(facts, around),
        analyse(facts, around),
        *([sudo(around)] if "sudo" in facts.tools else []),
    )


def build(facts: Facts) -> Preflight:
    """Tell whether a LiME module can be built; the analyst's side decides, but for the architecture."""
    if facts.machine and facts.machine != "x86_64":
        return Preflight("build", works=False, why=f"the target is {facts.machine}; modules are built for x86_64 only")
    if facts.config.get("CONFIG_MODULES") == "n":
        return Preflight("build", works=False, why="the kernel was built without loadable modules")
    return Preflight("build", works=None, why=f"it needs the headers of {facts.release} on this side")


def symbols(around: Surroundings) -> Preflight:
    """Tell whether a symbol table can be made from the target's own BTF and kallsyms."""
    if not around.has_btf:
        return Preflight("symbols", works=False, why="the kernel gives no BTF (/sys/kernel/btf/vmlinux)")
    if not around.has_symbols:
        why = "kallsyms hides its addresses, or has no data symbols (init_task): CONFIG_KALLSYMS_ALL, kptr_restrict"
        return Preflight("symbols", works=False, why=why)
    return Preflight("symbols", works=True, why="the kernel gives BTF, and kallsyms with data symbols")


def lime(facts: Facts, signed_by: str = "") -> Preflight:
    """Tell whether the kernel will load LiME, which is unsigned unless the analyst had it signed."""
    refusal = _lime_refused(facts)
    unsigned = _unsigned_refused(facts)
    if refusal or (unsigned and not signed_by):
        return Preflight("acquire: lime", works=False, why=refusal or unsigned)
    if "insmod" not in facts.tools or "rmmod" not in facts.tools:
        return Preflight("acquire: lime", works=False, why="insmod and rmmod are not there: package kmod")
    if unsigned:
        why = f"the kernel loads only signed modules; whether it knows this key is seen when it is loaded: {signed_by}"
        return Preflight("acquire: lime", works=None, why=why)
    if facts.signature_enforced is None:
        return Preflight("acquire: lime", works=None, why="whether the kernel loads unsigned modules could not be read")
    if 0 < facts.memory_available < LIME_RESERVE:
        free = facts.memory_available >> 20
        return Preflight("acquire: lime", works=None, why=f"only {free} MiB of memory are available")
    return Preflight("acquire: lime", works=True, why="the kernel loads unsigned modules")


def _lime_refused(facts: Facts) -> str:
    if facts.config.get("CONFIG_MODULES") == "n":
        return "the kernel was built without loadable modules"
    if "lime" in facts.modules:
        return "a module named lime is loaded already: it is not ours"
    if facts.modules_disabled:
        return "the kernel loads no more modules until it is booted again (kernel.modules_disabled=1)"
    return ""


def _unsigned_refused(facts: Facts) -> str:
    sign = "sign it with a key that the target trusts: --module-key, --module-certificate"
    if facts.lockdown in ("integrity", "confidentiality"):
        return f"the kernel is locked down ({facts.lockdown}) and loads only signed modules ({sign})"
    if facts.signature_enforced:
        return f"the kernel loads only signed modules (module.sig_enforce=1), and LiME is not signed ({sign})"
    return ""


def kcore(facts: Facts) -> Preflight:
    """Tell whether memory can be read from /proc/kcore."""
    subject = "acquire: kcore"
    if facts.lockdown == "confidentiality":
        why = "the kernel is locked down (confidentiality), and lets nobody read /proc/kcore"
        return Preflight(subject, works=False, why=why)
    if facts.config.get("CONFIG_PROC_KCORE") == "n":
        return Preflight(subject, works=False, why="the kernel was built without /proc/kcore (CONFIG_PROC_KCORE)")
    if not facts.ram:
        why = "the RAM map (/proc/iomem) is hidden: nothing tells what to read"
        return Preflight(subject, works=False, why=why)
    if facts.tools and not {"dd", "busybox"} & set(facts.tools):
        return Preflight(subject, works=False, why="dd is not there: package coreutils")
    known = facts.config.get("CONFIG_PROC_KCORE") == "y" and facts.lockdown != ""
    good = "the kernel gives its memory in /proc/kcore: no module, no file"
    return Preflight(
        subject,
        works=True if known else None,
        why=good if known else "lockdown or the kernel's configuration could not be read",
    )


def workplace(around: Surroundings) -> Preflight:
    """Tell whether there is a tmpfs to work on, so that nothing is written to the target's disk."""
    lines = re.findall(r"^(/\S+) (\S+) (\d{1,12}) (\d{1,15})$", around.room, re.MULTILINE)
    tmpfs = [(path, int(size) * int(blocks) >> 20) for path, kind, size, blocks in lines if kind == "tmpfs"]
    if not lines:
        return Preflight("workplace", works=None, why="the file systems' room could not be read")
    if not tmpfs:
        return Preflight("workplace", works=False, why="neither /dev/shm nor /run nor /tmp is a tmpfs")
    path, free = max(tmpfs, key=lambda one: one[1])
    return Preflight("workplace", works=free >= 1, why=f"{path} is a tmpfs with {free} MiB to spare")


def prove(facts: Facts, around: Surroundings) -> Preflight:
    """Tell whether an image can be compared with the RAM map, and a process list be read from it."""
    if not facts.ram:
        return Preflight(
            "prove", works=False, why="the RAM map (/proc/iomem) is hidden: no image can be called complete"
        )
    return _readable("prove", around, "the RAM map and a symbol table are at hand")


def analyse(_: Facts, around: Surroundings) -> Preflight:
    """Tell whether Volatility will read the image."""
    return _readable("analyse", around, "there is a symbol table")


def _readable(subject: str, around: Surroundings, good: str) -> Preflight:
    if not (around.has_btf and around.has_symbols):
        return Preflight(subject, works=None, why="no symbol table can be made from the target's own BTF and kallsyms")
    return Preflight(subject, works=True, why=good)


COLLECTORS: Mapping[str, Sequence[tuple[str, str]]] = {
    "processes": [],
    "sockets": [("ss", "iproute2")],
    "modules": [],
    "mounts": [],
    "users": [("who", "coreutils")],
    "load": [],
    "oom": [],
    "kernel_log": [("dmesg", "util-linux")],
    "iostat": [("iostat", "sysstat")],
    "lynis": [("sh", "dash")],
}
"""What each collector runs on the target beside cat, find and grep: (program, the Debian package that has it)."""


def collector(facts: Facts, name: str, needs: Sequence[tuple[str, str]]) -> Preflight:
    """Tell whether the programs are there that a collector runs."""
    missing = [f"{program} (package {package})" for program, package in needs if program not in facts.tools]
    if missing:
        return Preflight(f"collect: {name}", works=False, why=f"not installed: {', '.join(missing)}")
    shown = ", ".join(facts.tools[program] for program, _ in needs)
    return Preflight(f"collect: {name}", works=True, why=shown or "it needs only what every system has")


def blktrace(facts: Facts) -> Preflight:
    """Tell whether block I/O can be traced: under lockdown blktrace brings nothing, and the kernel's tracer does."""
    subject = "collect: blktrace"
    if facts.config.get("CONFIG_BLK_DEV_IO_TRACE") == "n":
        return Preflight(subject, works=False, why="the kernel was built without CONFIG_BLK_DEV_IO_TRACE")
    if facts.lockdown == "confidentiality":
        return Preflight(subject, works=False, why="the kernel is locked down (confidentiality): tracefs is closed too")
    if facts.lockdown == "integrity":
        why = (
            "the kernel is locked down (integrity): debugfs is closed, its own tracer blk is asked in place of blktrace"
        )
        return Preflight(subject, works=True if facts.root_device else None, why=why)
    if "blktrace" not in facts.tools:
        return Preflight(subject, works=False, why="not installed: blktrace (package blktrace)")
    if not facts.root_device:
        return Preflight(subject, works=None, why="the disk under / is not known; a device has to be named")
    return Preflight(subject, works=True, why=f"{facts.tools['blktrace']} on /dev/{facts.root_device}")


def iotop(facts: Facts, around: Surroundings) -> Preflight:
    """Tell whether iotop is there, and whether the kernel accounts for delays."""
    row = collector(facts, "iotop", [("iotop", "iotop")])
    if row.works and around.delay_accounting == "0":
        return Preflight(row.subject, works=True, why=f"{row.why}; waiting times are off (kernel.task_delayacct=0)")
    return row


def sudo(around: Surroundings) -> Preflight:
    """Warn of a sudo that is not its package's: whoever put it there may keep the password that it was given."""
    if not around.sudo or not around.sudo_listed:
        missing = "it could not be read" if not around.sudo else "dpkg there lists no digest of it"
        return Preflight("sudo", works=None, why=f"whether it is its package's is not known: {missing}")
    if around.sudo != around.sudo_listed:
        why = f"/usr/bin/sudo has MD5 {around.sudo}, its package lists {around.sudo_listed}: it is another program"
        return Preflight("sudo", works=False, why=f"{why}; a password that it was given has to be changed")
    return Preflight("sudo", works=True, why=f"MD5 {around.sudo}, as its package lists it; both are the target's word")


def show(rows: Sequence[Preflight]) -> list[tuple[str, str, str]]:
    """Give (subject, "yes" | "no" | "cannot be told", why) for each row, in order."""
    words = {True: "yes", False: "no", None: "cannot be told"}
    return [(row.subject, words[row.works], row.why) for row in rows]
