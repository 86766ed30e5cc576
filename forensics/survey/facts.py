"""The facts of a survey, made by a pure function from its transcript, and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, replace
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from forensics import text
from forensics.errors import CaseError
from forensics.kcore import headers
from forensics.model import ClockOffset, Exhibit, Facts
from forensics.stage import Entered
from forensics.survey import kernel_identity, kernel_state, procfs
from forensics.survey.preflight import Surroundings, check
from forensics.survey.questions import KERNEL, SMALL_FILES, SYSTEM_FOLDERS
from forensics.survey.transcript import Answer

FORMAT = "forensics facts 1"
_EXHIBITS = ("btf", "kallsyms")


@dataclass(frozen=True, slots=True)
class Derived:
    """Facts without their exhibits, and for each that is not known, why."""

    facts: Facts
    unknown: Mapping[str, str]
    files: Mapping[str, str]  # kind to digest, of the exhibits that facts speak of


class _Answers:
    """Answers by name, and the small files."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.all = answers
        self.small = procfs.marked_files(self.stdout("small files"), SMALL_FILES)

    def last(self, name: str) -> Answer | None:
        return next((answer for answer in reversed(self.all) if answer.name == name), None)

    def stdout(self, name: str) -> bytes:
        answer = self.last(name)
        return answer.said.stdout if answer else b""

    def line(self, path: str) -> str:
        return text.decode(self.small.get(path, b"")).strip()

    def number(self, path: str) -> int | None:
        word = self.line(path)
        return int(word) if word.isascii() and word.isdigit() else None

    def copied(self, kind: str) -> str:
        """Give the digest of the file that an answer became, "" when it became none."""
        answer = self.last(kind)
        return str(answer.digest) if answer and answer.file else ""


def derive(answers: Sequence[Answer]) -> Derived:
    """Make the facts of what a target answered: the same answers give the same facts."""
    told = _Answers(answers)
    config = kernel_state.configuration(told.stdout("kernel-config"))
    bare = replace(_identity(told), config=config)
    known = replace(_kernel(told, bare), root_device=_root_device(told))
    around = Surroundings(
        room=text.decode(told.stdout("room")),
        delay_accounting=told.line(KERNEL + "task_delayacct"),
        has_btf=bool(told.copied("btf")),
        has_symbols=_has_symbols(told),
        sudo=_digest(told.stdout("sudo digest")),
        sudo_listed=_digest(told.stdout("sudo listed")),
    )
    files = {kind: digest for kind in _EXHIBITS if (digest := told.copied(kind))}
    return Derived(replace(known, preflight=check(known, around)), _unknown(told, known), files)


def _digest(said: bytes) -> str:
    """Give the MD5 at the beginning of a line of md5sum, "" where there is none."""
    word = said[:32]
    return word.decode() if re.fullmatch(rb"[0-9a-f]{32}", word) and said[32:33] == b" " else ""


def _identity(told: _Answers) -> Facts:
    release = procfs.assignments(told.small.get("/etc/os-release", b""))
    memory = procfs.fields(told.small.get("/proc/meminfo", b""))
    uptime = told.line("/proc/uptime").split(" ")[0]
    return Facts(
        exhibits=(),
        hostname=told.line(KERNEL + "hostname"),
        release=told.line(KERNEL + "osrelease"),
        version=told.line(KERNEL + "version"),
        machine=text.decode(told.stdout("machine")).strip(),
        distribution=release.get("ID", ""),
        distribution_version=release.get("VERSION_ID", ""),
        distribution_codename=release.get("VERSION_CODENAME", ""),
        pretty_name=release.get("PRETTY_NAME", ""),
        boot_id=told.line(KERNEL + "random/boot_id"),
        machine_id=told.line("/etc/machine-id"),
        uptime=float(uptime) if uptime.replace(".", "", 1).isdecimal() else 0.0,
        proc_version=told.stdout("proc-version"),
        cmdline=told.line("/proc/cmdline"),
        ram=procfs.system_ram(told.stdout("iomem")),
        memory_total=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        btf=None,
        kallsyms=None,
        kernel_offset=None,
        lockdown="",
        signature_enforced=None,
        secure_boot=None,
        modules_disabled=told.number(KERNEL + "modules_disabled") == 1,
        taint=told.number(KERNEL + "tainted") or 0,
        kptr_restrict=told.number(KERNEL + "kptr_restrict"),
        five_level_paging=False,
        clock=ClockOffset(0.0, float("inf"), ""),
        processes=procfs.processes(told.stdout("process stat"), told.stdout("process owners")),
        modules=procfs.module_names(told.small.get("/proc/modules", b"")),
        symbol_versions={},
        config={},
        tools=programs(told.stdout("programs")),
        root_device="",
        preflight=(),
    )


def _kernel(told: _Answers, known: Facts) -> Facts:
    mode = kernel_state.lockdown(told.small.get("/sys/kernel/security/lockdown"), known.config)
    parameter = told.small.get("/sys/module/module/parameters/sig_enforce")
    notes, cpuinfo = told.stdout("kcore notes"), told.small.get("/proc/cpuinfo", b"")
    clock = kernel_state.clock_offset(answer for answer in told.all if answer.name == "clock")
    return replace(
        known,
        kernel_offset=kernel_state.slide(told.stdout("kallsyms"), notes, known.config),
        lockdown=mode,
        signature_enforced=kernel_state.signatures_enforced(parameter, mode, known.config),
        secure_boot=kernel_state.secure_boot(told.last("secure boot")),
        five_level_paging=kernel_state.five_levels(notes, cpuinfo, known.cmdline, known.config),
        clock=clock or known.clock,
        build_id=kernel_identity.build_id(told.stdout("kernel notes"), notes),
        vmcoreinfo=headers.read(notes).vmcoreinfo,
        places=kernel_identity.places(
            told.stdout("kallsyms"), notes, told.stdout("iomem"), told.small.get("/sys/kernel/vmcoreinfo", b"")
        ),
    )


def _root_device(told: _Answers) -> str:
    """Name the disk: of the lowest device asked about, when one disk only is under it."""
    parts = [set(answer.said.stdout.split()) for answer in told.all if answer.name == "root parts"]
    if any(len(names) > 1 for names in parts):
        return ""
    return kernel_state.whole_disk(text.decode(told.stdout("root place")))


def _has_symbols(told: _Answers) -> bool:
    wanted = ("init_task", "init_files", "linux_banner")
    return len(kernel_state.symbol_addresses(told.stdout("kallsyms"), wanted)) == len(wanted)


def programs(found: bytes) -> Mapping[str, str]:
    """Read a list of absolute paths as program to path; the folder that comes first in the search order counts."""
    by_name: dict[str, str] = {}
    for path in sorted(text.decode(found).splitlines(), key=_order):
        folder, _, name = path.rpartition("/")
        if folder in SYSTEM_FOLDERS:
            by_name.setdefault(name, path)
    return by_name


def _order(path: str) -> int:
    folder = path.rpartition("/")[0]
    return SYSTEM_FOLDERS.index(folder) if folder in SYSTEM_FOLDERS else len(SYSTEM_FOLDERS)


def _unknown(told: _Answers, known: Facts) -> dict[str, str]:
    """Say for each fact that is not known why it is not."""
    hidden = "every address reads as zero"
    empty = {
        "ram": (not known.ram, _why(told, "iomem") or hidden),
        "btf": (not told.copied("btf"), _why(told, "btf")),
        "kallsyms": (
            not _has_symbols(told),
            _why(told, "kallsyms") or "init_task is not in it, or its address is zero",
        ),
        "config": (not known.config, _why(told, "kernel-config") or "it is no configuration"),
        "system_map": (not told.copied("system-map"), _why(told, "system-map") or "the file is only a note"),
        "kernel_offset": (known.kernel_offset is None, "neither VMCOREINFO nor kallsyms gives it"),
        "lockdown": (not known.lockdown, "/sys/kernel/security/lockdown could not be read"),
        "signature_enforced": (known.signature_enforced is None, "module.sig_enforce could not be read"),
        "secure_boot": (known.secure_boot is None, "the EFI variable SecureBoot could not be read"),
        "modules_disabled": (told.number(KERNEL + "modules_disabled") is None, "the sysctl could not be read"),
        "taint": (told.number(KERNEL + "tainted") is None, "the sysctl could not be read"),
        "kptr_restrict": (known.kptr_restrict is None, "the sysctl could not be read"),
        "clock": (not known.clock.measured, _why(told, "clock") or "date gave no time"),
        "processes": (not known.processes, _why(told, "process stat") or "no line could be read"),
        "root_device": (not known.root_device, "no single disk is known to be under /"),
        "build_id": (not known.build_id, _why(told, "kernel notes") or "neither its notes nor VMCOREINFO have one"),
        "vmcoreinfo": (not known.vmcoreinfo, _why(told, "kcore notes") or "the notes of /proc/kcore have none"),
        "symbol_versions": (True, "a running kernel does not give the CRCs of its symbols"),
    }
    return {name: why for name, (missing, why) in empty.items() if missing}


def _why(told: _Answers, name: str) -> str:
    answer = told.last(name)
    return answer.why_not if answer else "it was not asked for"


def _model() -> type[BaseModel]:
    """Make the JSON form of Facts from Facts itself: every field but those that are exhibits."""
    told = {name: kind for name, kind in get_type_hints(Facts).items() if name not in ("exhibits", *_EXHIBITS)}
    definitions: dict[str, Any] = {
        one.name: (told[one.name], _default(one)) for one in fields(Facts) if one.name in told
    }
    strict = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings", extra="forbid")
    return create_model("FactsOnDisk", __config__=strict, **definitions)


def _default(one: Field[Any]) -> Any:
    """Give what a fact is that facts of an earlier version of this program do not have; `...` when they have it."""
    if one.default is not MISSING:
        return one.default
    return ... if one.default_factory is MISSING else one.default_factory()


_ON_DISK = _model()


def to_json(derived: Derived) -> bytes:
    """Write facts as JSON: {"format", "facts", "unknown", "files"}."""
    shown = {name: getattr(derived.facts, name) for name in _ON_DISK.model_fields}
    facts = json.loads(_ON_DISK(**shown).model_dump_json())
    whole = {"format": FORMAT, "facts": facts, "unknown": dict(derived.unknown), "files": dict(derived.files)}
    return json.dumps(whole, indent=1).encode("ascii") + b"\n"


def from_json(content: bytes, entered: Entered) -> Facts:
    """Read what `to_json` wrote, with the exhibits it speaks of; CaseError when it is not that."""
    try:
        whole = json.loads(content)
        if whole.get("format") != FORMAT:
            raise CaseError("these facts are of another format", why=f"{whole.get('format')!r} is not {FORMAT!r}")
        told = _ON_DISK.model_validate_json(json.dumps(whole["facts"]))
        named = {kind: _exhibit(entered, kind, whole["files"].get(kind)) for kind in _EXHIBITS}
    except (ValidationError, ValueError, KeyError, AttributeError) as error:
        raise CaseError("the facts of the survey cannot be read", why=str(error)[:500]) from error
    shown = {name: getattr(told, name) for name in _ON_DISK.model_fields}
    return Facts(exhibits=entered.exhibits, btf=named["btf"], kallsyms=named["kallsyms"], **shown)


def _exhibit(entered: Entered, kind: str, digest: str | None) -> Exhibit | None:
    of_kind = (exhibit for exhibit in reversed(entered.exhibits) if exhibit.kind == kind)
    return next((exhibit for exhibit in of_kind if str(exhibit.digest) == digest), None)
