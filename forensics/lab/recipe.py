"""What a lab is to be: everything that the analyst can choose."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from importlib import resources

from forensics.errors import UsageError

HIDDEN_MODULE = "hidden-module"
"""The one fact that a machine may refuse, and for which headers of its kernel are needed."""

FACTS = (
    "deleted-executable", "forged-name", "listening-socket", "shell-history", "io-burst", "oom-kill", "hidden-process",
    HIDDEN_MODULE,
)  # fmt: skip
"""What an incident plants, by the name that the truth file uses."""

QUIET_DISK = ("io-burst",)
"""Leave these out, and nothing of the incident writes to the disk once the machine has booted."""

FLAVOURS = ("cloud-amd64", "amd64")
ACCELERATORS = ("tcg", "kvm", "auto")

PACKAGES = (
    "blktrace", "cron", "dbus", "init", "iotop", "iproute2", "kmod", "less", "libpam-systemd", "lsof",
    "openssh-server", "procps", "psmisc", "python3", "sudo", "sysstat", "udev",
)  # fmt: skip

APART = ("buster", "bullseye")
"""Suites that a bootstrap gives a /bin apart from /usr/bin, and that an installer does not."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A machine and what is planted on it; the same recipe with the same seed gives the same names and numbers."""

    suite: str = "bookworm"
    flavour: str = "cloud-amd64"
    mirror: str = ""  # "": as mmdebstrap itself knows it
    disk: int = 3072  # MiB, sparse
    memory: int = 256  # MiB
    cpu: str = "max,la57=off"  # as QEMU reads it
    cpus: int = 2
    accel: str = "tcg"  # tcg, kvm, or auto: kvm where this guest really boots with it
    append: str = ""  # to the kernel command line
    packages: tuple[str, ...] = ()  # of Debian, beside those that every lab has
    seed: int = 0
    incident: bool = True  # False: near misses instead
    without: tuple[str, ...] = ()  # facts that are left out

    def __post_init__(self) -> None:
        unknown = [fact for fact in self.without if fact not in FACTS]
        if unknown:
            raise UsageError(f"no such fact: {', '.join(unknown)}", remedy=f"one of: {', '.join(FACTS)}")
        if self.flavour not in FLAVOURS:
            raise UsageError(f"no such kernel flavour: {self.flavour}", remedy=f"one of: {', '.join(FLAVOURS)}")
        if self.accel not in ACCELERATORS:
            raise UsageError(f"no such accelerator: {self.accel}", remedy=f"one of: {', '.join(ACCELERATORS)}")
        odd = [name for name in self.packages if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name)]
        if odd:
            raise UsageError(f"not the name of a Debian package: {odd[0]!r}")
        if not self.suite.replace("-", "").isalnum() or self.suite.startswith("-"):
            raise UsageError(f"not the name of a suite: {self.suite!r}")

    @property
    def planted(self) -> tuple[str, ...]:
        """Facts of the incident that this lab has."""
        return tuple(fact for fact in FACTS if self.incident and fact not in self.without)

    @property
    def is_to_be_merged(self) -> bool:
        """Tell whether /bin has to be made a link to /usr/bin, as on a machine that was installed."""
        return self.suite in APART

    @property
    def image_digest(self) -> str:
        """Name the image that this machine boots from, in 24 hex digits: labs whose disk begins alike share it."""
        setup = resources.files("forensics.lab").joinpath("guest", "setup.sh").read_text(encoding="utf-8")
        merged = ["merged-usr"] if self.is_to_be_merged else []
        parts = [*merged, self.suite, self.flavour, self.mirror, self.disk, *PACKAGES, *self.packages, setup]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]

    def as_json(self) -> dict[str, str | int | bool | list[str]]:
        """Give the recipe as the state file keeps it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
