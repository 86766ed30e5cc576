"""What the program can do on a target, and how each thing it leaves there is put on record first.

`Host` is the seam: `ssh.SshHost` implements it over SSH, `replay.ReplayHost` from a recording. Everything it returns is
untrusted bytes. Nothing here knows of stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

MIB = 1 << 20
Piece: TypeAlias = "bytes | memoryview"
"""Bytes of a stream as they came; nothing writes to them any more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a command may run and how much it may say; what goes over is cut, and the cut is said."""

    seconds: float = 30.0
    bytes: int = 16 * MIB  # of stdout and of stderr, each
    idle: float | None = None  # seconds without a byte


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended, or was cut."""

    argv: tuple[str, ...]
    status: int | None  # None: it ended by a signal, or the connection or our limit ended it
    stdout: bytes
    stderr: bytes
    cut: str  # "" or why it was cut: "time", "bytes", "idle"
    started: str  # UTC by our clock
    seconds: float
    noise: bytes = b""  # what the account's shell or sudo said before the command itself began

    @property
    def ok(self) -> bool:
        """It ended by itself, with 0."""
        return self.status == 0 and not self.cut


@dataclass(frozen=True, slots=True)
class Identity:
    """Which boot of which kernel answers."""

    boot_id: str
    release: str


@dataclass(frozen=True, slots=True)
class Gone:
    """In the place of a host: the target can be asked no more, as the analyst says."""

    reason: str

    @property
    def words(self) -> str:
        """The reason as a result gives it."""
        return f"the target could be asked no more: {self.reason}"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is put on the target, with the commands that take it away and that prove it is gone.

    Written to the ledger *before* it happens, so that another run can take it away when this one was killed.
    """

    kind: str  # "folder", "file", "module", "mount", "setting", "process"
    subject: str  # "/dev/shm/…", "lime", "debugfs on /sys/kernel/debug"
    undo: tuple[str, ...]  # argv, run as root; () when it goes by itself
    gone: tuple[str, ...]  # argv, run as root: exits 0 when nothing of it is left
    details: str = ""
    deviation: str = ""  # what is done here otherwise than usual, because the analyst asked for it


class Recorder(Protocol):
    """The host's pen: the only way from a target to the ledger."""

    def command(self, argv: Sequence[str], *, root: bool) -> None:
        """A command is about to be run."""

    def intend(self, change: Change) -> int:
        """A change is about to be made; gives the event's sequence number. It is durable when this returns."""

    def restored(self, intent: int, change: Change, *, proven: bool, reason: str = "") -> None:
        """The change was undone and looked for; `proven` when nothing of it was found."""

    def connected(self, facts: dict[str, str]) -> None:
        """A connection was made: address, account, host key fingerprint and how it was checked, algorithms."""

    def dangling(self) -> Sequence[tuple[int, Change, str]]:
        """Changes on this target, intended and not proven undone, oldest first: (intent, change, boot id)."""


class Stream(Protocol):
    """A running command's output, as it comes."""

    def read(self, size: int = MIB) -> Piece:
        """Give at least one byte and at most `size`; b"" when stdout has ended. Unreachable when the link is lost."""

    def ended(self) -> Completed:
        """Wait for the end and give status and stderr (stdout is empty); call it after read gave b""."""

    def stop(self, signal: str = "INT") -> None:
        """Ask the command to end: signal its process on the target."""


class Channel(Protocol):
    """Bytes from a TCP port of the target's loopback."""

    def read(self, size: int = MIB) -> Piece:
        """Give at least one byte and at most `size`; b"" at the end. Unreachable when the link is lost."""


class Host(Protocol):
    """A target that answers."""

    label: str
    address: str  # at which this machine reaches it by TCP; "" when only another machine does

    def identity(self) -> Identity:
        """Read boot id and kernel release again."""

    def run(
        self, *argv: str, root: bool = False, stdin: bytes = b"", limits: Limits | None = None, expect: bool = False
    ) -> Completed:
        """Run a program and wait.

        argv[0] is an absolute path, or a bare name that is looked up in the system folders only. The environment is
        clean (PATH of the system folders, LC_ALL=C, TZ=UTC). `root`: through sudo unless the account is root.
        `expect`: anything but exit 0 within the limits raises CommandFailed.
        """

    def stream(
        self, *argv: str, root: bool = False, limits: Limits | None = None, stdin: bytes = b""
    ) -> AbstractContextManager[Stream]:
        """Run a program and read it as it runs; leaving the block ends it if it still runs."""

    def connect(self, port: int) -> AbstractContextManager[Channel]:
        """Open a channel to 127.0.0.1:port on the target."""

    def change(self, change: Change) -> AbstractContextManager[None]:
        """Record the change, run the block (which makes it), undo it, look, and record what was seen."""

    def workplace(self, *, programs: bool = False) -> AbstractContextManager[Path]:
        """Give a new root-owned 0700 folder on tmpfs, its name unguessable; gone, and seen to be gone, afterwards.

        With `programs`, on a tmpfs where programs may run (/run is often mounted noexec).
        """

    def put(self, content: bytes | Path, destination: Path, mode: int = 0o600) -> None:
        """Write a file below a workplace, as root; its digest is compared on the target where it can be."""

    def beside(self) -> AbstractContextManager[Host]:
        """Give another connection to the same target, for what runs at the same time; it is closed afterwards."""

    def restore(self) -> Iterator[tuple[Change, bool, str]]:
        """Take away what an interrupted run left on the target: (change, proven gone, reason)."""

    def close(self) -> None:
        """End the connection."""
