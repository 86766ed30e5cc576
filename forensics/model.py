"""The nouns that more than one package uses: frozen, typed, no input or output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest never travels without its algorithm; prints as `sha256:…`."""

    algorithm: str
    value: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read what `str` wrote; ValueError when there is no algorithm."""
        algorithm, separator, value = text.partition(":")
        if not (algorithm and separator and value):
            raise ValueError("not a digest with its algorithm: " + repr(text))
        return cls(algorithm, value)


class Role(StrEnum):
    """Where an exhibit comes from; its number begins with the value."""

    EVIDENCE = "E"
    INSTRUMENT = "I"
    DERIVED = "D"


class Outcome(StrEnum):
    """How an item ended. The six are never mixed up, and all but DONE have a reason."""

    DONE = "done"
    EMPTY = "empty"  # it worked, and there was nothing
    ABSENT = "absent"  # what it needs is not there
    PARTIAL = "partial"  # it gave something, and not all
    FAILED = "failed"  # it was tried, and broke
    NOT_RUN = "not run"  # it was not tried


class Verdict(StrEnum):
    """Whether a memory image holds what the target had."""

    COMPLETE = "complete"
    COMPLETE_WITH_GAPS = "complete-with-gaps"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How much a finding matters, the least first."""

    INFORMATION = "information"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A file on the case record."""

    number: str  # E0001
    kind: str  # "memory-image", "lime-module", "live-output", …
    title: str
    path: Path  # relative to the case folder
    size: int  # bytes
    digest: Digest
    target: str  # label, "" when it belongs to no target
    stage: str
    item: str  # which item of the stage gave it, "" when there is only one
    sources: tuple[str, ...] = ()  # numbers of the exhibits it was made from
    facts: Mapping[str, JSON] = field(default_factory=dict)
    entered: str = ""  # UTC, RFC 3339
    sequence: int = -1  # of the ledger event that entered it
    plain: Digest | None = None  # of what an encrypted file holds

    @property
    def role(self) -> Role:
        """Where it comes from."""
        return Role(self.number[0])


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that a stage gives to be entered as an exhibit; the pipeline numbers, hashes and keeps it."""

    path: Path  # in the stage's work folder; complete and closed
    role: Role
    kind: str
    title: str
    name: str = ""  # ends the file name in exhibits/; default: the name of `path`. Never a target's word
    item: str = ""
    sources: tuple[Exhibit, ...] = ()
    facts: Mapping[str, JSON] = field(default_factory=dict)
    digest: Digest | None = None  # as computed while the bytes passed; must agree with the disk
    plain: Mapping[str, JSON] | None = None  # of a file that was encrypted as it came: digest, size of what is in it


@dataclass(frozen=True, slots=True)
class Result:
    """How one item of a stage ended; yielded after the item's drafts. A resumed stage does not see to it again."""

    item: str
    outcome: Outcome
    reason: str = ""
    facts: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MemoryRange:
    """Physical addresses, both ends included, as /proc/iomem and LiME count."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Count its bytes."""
        return self.end - self.start + 1


@dataclass(frozen=True, slots=True)
class LiveProcess:
    """One line of the target's own process list."""

    pid: int
    ppid: int
    uid: int
    comm: str
    started: float  # seconds since boot (field 22 of /proc/PID/stat over CLK_TCK)
    kernel_thread: bool


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """Target's clock minus ours, in seconds, with half the round trip as uncertainty."""

    seconds: float
    uncertainty: float
    measured: str  # UTC by our clock


@dataclass(frozen=True, slots=True)
class Preflight:
    """Will a stage (or engine, or collector) work on this target, and why."""

    subject: str  # "acquire: lime", "collect: blktrace", …
    works: bool | None  # None: cannot be told
    why: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the survey learned of the target; all of it as reported by the target."""

    exhibits: tuple[Exhibit, ...]
    hostname: str
    release: str  # uname -r
    version: str  # uname -v
    machine: str  # uname -m
    distribution: str  # ID of os-release
    distribution_version: str  # VERSION_ID
    distribution_codename: str
    pretty_name: str
    boot_id: str
    machine_id: str
    uptime: float  # seconds
    proc_version: bytes  # exact
    cmdline: str
    ram: tuple[MemoryRange, ...]  # System RAM of /proc/iomem; empty when hidden
    memory_total: int  # bytes (MemTotal)
    memory_available: int  # bytes
    btf: Exhibit | None
    kallsyms: Exhibit | None
    kernel_offset: int | None  # KASLR slide when it can be told
    lockdown: str  # none, integrity, confidentiality, "" unknown
    signature_enforced: bool | None  # module.sig_enforce or lockdown
    secure_boot: bool | None
    modules_disabled: bool
    taint: int
    kptr_restrict: int | None
    five_level_paging: bool
    clock: ClockOffset
    processes: tuple[LiveProcess, ...]
    modules: tuple[str, ...]  # names in /proc/modules
    symbol_versions: Mapping[str, int]  # CRCs known for sure; empty when the target does not give them
    config: Mapping[str, str]  # CONFIG_… = value; empty when not found
    tools: Mapping[str, str]  # program -> absolute path on the target
    root_device: str  # kernel name of the disk under /, e.g. vda; "" unknown
    preflight: tuple[Preflight, ...]
    build_id: str = ""  # of the running kernel, hex; "" unknown
    vmcoreinfo: bytes = b""  # as /proc/kcore's notes have it
    places: Mapping[str, int] = field(default_factory=dict)  # physical address of "linux_banner" and "vmcoreinfo"
    other_banners: tuple[bytes, ...] = ()  # that an imported image holds besides, and any of which may be its kernel's


@dataclass(frozen=True, slots=True)
class LimeModule:
    """A LiME module for exactly the target's kernel."""

    exhibits: tuple[Exhibit, ...]
    module: Exhibit
    lime_version: str
    vermagic: str


@dataclass(frozen=True, slots=True)
class NotBuilt:
    """There is no module, and why."""

    exhibits: tuple[Exhibit, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """An ISF for the target's kernel, and others that may serve where the image shows that it does not fit."""

    exhibits: tuple[Exhibit, ...]
    table: Exhibit
    others: tuple[Exhibit, ...] = ()  # in the order in which they are tried

    @property
    def ladder(self) -> tuple[Exhibit, ...]:
        """All of them, in the order in which they are tried."""
        return (self.table, *self.others)

    def fitting(self, number: str) -> Exhibit:
        """Give the one of this number, which the proof found to fit; the first where it found none."""
        return next((one for one in self.ladder if one.number == number), self.table)


@dataclass(frozen=True, slots=True)
class NoSymbols:
    """There is no symbol table, and why."""

    exhibits: tuple[Exhibit, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class MemoryImage:
    """Memory in LiME format as it was received; whether it is complete is the proof's to say."""

    exhibits: tuple[Exhibit, ...]
    image: Exhibit
    engine: str
    started: str  # UTC
    ended: str  # UTC
    ended_well: bool  # the stream came to the end that its headers promise
    reason: str  # why not


@dataclass(frozen=True, slots=True)
class NotAcquired:
    """There is no image, and why: every engine tried, with its reason."""

    exhibits: tuple[Exhibit, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The verdict on an image, with its reasons."""

    exhibits: tuple[Exhibit, ...]
    verdict: Verdict
    reasons: tuple[str, ...]
    usable: bool  # a process list could be read from it
    table: str = ""  # number of the symbol table that fits it; "" when none did, or none was tried


@dataclass(frozen=True, slots=True)
class LiveEvidence:
    """What the collectors brought, each with its outcome."""

    exhibits: tuple[Exhibit, ...]
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """The ledger's head at a moment when every exhibit had its recorded digest."""

    exhibits: tuple[Exhibit, ...]  # none: a seal is no exhibit
    head: Digest
    sequence: int


@dataclass(frozen=True, slots=True)
class Analysis:
    """Plugin results, each with its outcome."""

    exhibits: tuple[Exhibit, ...]
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A statement with the exhibits it rests on and the words to repeat it."""

    rule: str
    severity: Severity
    title: str
    statement: str
    exhibits: tuple[str, ...]  # numbers
    repeat: str  # a command or a sentence
    technique: str = ""  # ATT&CK, where it is plain
    facts: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interpretation:
    """Tables, pictures and findings made from what was collected and analysed."""

    exhibits: tuple[Exhibit, ...]
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The case as of one ledger entry, as HTML and PDF."""

    exhibits: tuple[Exhibit, ...]
    as_of: int  # sequence number of the ledger entry


@dataclass(frozen=True, slots=True)
class Target:
    """A machine under investigation: its label, and the account and host key by which it is reached."""

    label: str
    address: str
    port: int
    user: str
    identities: tuple[Path, ...] = ()  # private key files, in the order offered
    known_hosts: tuple[Path, ...] = ()
    host_key: str = ""  # SHA256:… that the analyst accepts for this run
    host_key_alias: str = ""  # name under which known_hosts lists it
    agent: bool = False  # an agent may sign for the identities
    jump: Target | None = None  # reached through this one


@dataclass(frozen=True, slots=True)
class Examiner:
    """Who works on the case."""

    name: str
    role: str = ""
    contact: str = ""
    organisation: str = ""
    key: str = ""  # fingerprint of the signing key


def utc(moment: datetime) -> str:
    """Write an aware datetime as RFC 3339 in UTC with microseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
