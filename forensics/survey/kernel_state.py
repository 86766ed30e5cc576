"""Pure readers of what a kernel says of itself: symbols, configuration, lockdown, signatures, paging, clock.

None (or "") is "it did not say"; nothing is filled in from what is usual.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Mapping

from forensics import clock
from forensics.model import ClockOffset
from forensics.survey.procfs import Mount, assignments
from forensics.survey.transcript import Answer

TEXT_BASE = 0xFFFFFFFF81000000
"""Where x86-64 kernels are linked to begin: __START_KERNEL_map + CONFIG_PHYSICAL_START's default, 16 MiB."""

START_KERNEL_MAP = 0xFFFFFFFF80000000
_LARGEST_CONFIG = 4 << 20


def symbol_addresses(kallsyms: bytes, names: Iterable[str]) -> dict[str, int]:
    """Give the addresses of these symbols of the kernel itself; hidden addresses (zeros) are left out."""
    wanted = b"|".join(re.escape(name.encode()) for name in names)
    lines = re.finditer(rb"^([0-9a-f]{16}) [A-Za-z] (" + wanted + rb")$", kallsyms, re.MULTILINE)
    return {line[2].decode(): int(line[1], 16) for line in lines if line[1].strip(b"0")}


def link_base(config: Mapping[str, str]) -> int:
    """Tell where the kernel was linked to begin."""
    start = config.get("CONFIG_PHYSICAL_START", "")
    return START_KERNEL_MAP + int(start, 16) if re.fullmatch(r"0x[0-9a-f]{1,8}", start) else TEXT_BASE


def slide(kallsyms: bytes, vmcoreinfo: bytes, config: Mapping[str, str]) -> int | None:
    """Tell how far KASLR moved the kernel: from VMCOREINFO's KERNELOFFSET, else from `_text` of kallsyms."""
    told = re.search(rb"\bKERNELOFFSET=([0-9a-f]{1,16})\n", vmcoreinfo)
    if told:
        return int(told[1], 16)
    start = symbol_addresses(kallsyms, ["_text"]).get("_text")
    return None if start is None else start - link_base(config)


def five_levels(vmcoreinfo: bytes, cpuinfo: bytes, cmdline: str, config: Mapping[str, str]) -> bool:
    """Tell whether page tables have five levels *now*.

    VMCOREINFO says so itself. Without it: the processor can (flag la57), and nothing has forbidden it.
    """
    told = re.search(rb"\bNUMBER\(pgtable_l5_enabled\)=(\d)\n", vmcoreinfo)
    if told:
        return told[1] != b"0"
    able = re.search(rb"^flags\s*:.*\bla57\b", cpuinfo, re.MULTILINE) is not None
    return able and "no5lvl" not in cmdline.split() and config.get("CONFIG_X86_5LEVEL", "y") == "y"


def configuration(content: bytes) -> Mapping[str, str]:
    """Read a kernel's .config, plain or gzipped; what is `not set` is "n". Empty when it is neither."""
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(_LARGEST_CONFIG)
        except (OSError, EOFError, zlib.error):
            return {}
    unset = re.finditer(rb"^# (CONFIG_[A-Za-z0-9_]+) is not set$", content, re.MULTILINE)
    told = {name: value for name, value in assignments(content).items() if name.startswith("CONFIG_")}
    return {line[1].decode(): "n" for line in unset} | told


def lockdown(content: bytes | None, config: Mapping[str, str]) -> str:
    """Give the mode in brackets of /sys/kernel/security/lockdown; "none" when the kernel was built without it."""
    chosen = re.search(rb"\[(none|integrity|confidentiality)\]", content or b"")
    if chosen:
        return chosen[1].decode()
    return "none" if config.get("CONFIG_SECURITY_LOCKDOWN_LSM") == "n" else ""


def signatures_enforced(parameter: bytes | None, mode: str, config: Mapping[str, str]) -> bool | None:
    """Tell whether only signed modules load: module.sig_enforce, or lockdown (kernel/module/signing.c)."""
    if mode in ("integrity", "confidentiality"):
        return True
    if parameter is not None and parameter.strip() in (b"Y", b"N"):
        return parameter.strip() == b"Y"
    return False if config.get("CONFIG_MODULE_SIG") == "n" else None


def secure_boot(answer: Answer | None) -> bool | None:
    """Read `find … SecureBoot-… -exec od -An -v -tu1`: four bytes of attributes and one of value; no EFI is no."""
    if answer is None:
        return None
    numbers = answer.said.stdout.split()
    if len(numbers) == 5:
        return numbers[4] == b"1"
    return False if b"/sys/firmware/efi" in answer.said.stderr and b"No such file" in answer.said.stderr else None


def real_system_map(content: bytes) -> bool:
    """Tell a System.map from the one line that Debian installs in its place."""
    return len(content.splitlines()) > 1000 and b" _text\n" in content


def clock_offset(answers: Iterable[Answer]) -> ClockOffset | None:
    """Compare `date +%s.%N` with our clock; None when there is no reading."""
    return clock.offset((answer.said.stdout, answer.said.started, answer.said.seconds) for answer in answers)


def root_mount(found: Iterable[Mount]) -> Mount | None:
    """Give what is mounted last on /."""
    return next((mount for mount in reversed(tuple(found)) if mount.target == "/"), None)


def whole_disk(sysfs_path: str) -> str:
    """Name the disk of a block device from its place in sysfs: …/block/vda/vda1 is on vda."""
    match = re.search(r"/block/([A-Za-z0-9_!.-]{1,64})(?:/|\s*$)", sysfs_path)
    return match[1] if match else ""
