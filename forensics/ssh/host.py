"""A target over SSH: `host.Host` with paramiko.

The connection is made at the first use, so that a run in which nothing needs the target opens none; it is made again
once it was lost, so that what was put on the target can be taken away. Programs are looked up in the system folders
only; every command has limits, and what we end does not run on unseen.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import paramiko

from forensics import text
from forensics.errors import CommandFailed, ForensicsError, SudoRefused, TargetError, ToolMissing
from forensics.host import MIB, Change, Completed, Identity, Limits, Piece, Recorder
from forensics.model import Target
from forensics.ssh.footprint import Footprint
from forensics.ssh.link import Link, Timing
from forensics.ssh.login import Secrets
from forensics.ssh.remote import FOLDERS, RemoteCommand
from forensics.ssh.sudo import SudoDialogue, refused

UNLIMITED = Limits(seconds=float("inf"), bytes=1 << 62)

_SHORT = 8  # a password that is shorter is no sign in a program's output
_FIND = 'for d in "$@"; do if [ -f "$d/$0" ]; then printf "%s" "$d/$0"; exit 0; fi; done; exit 1'
_END = """alive() { for p; do kill -s 0 -- "$p" 2>/dev/null && return 0; done; return 1; }
each() { s=$1; shift; for p; do kill -s "$s" -- "$p" 2>/dev/null; done; }
each TERM "$@"; i=0
while alive "$@" && [ $i -lt 40 ]; do
 i=$((i+1)); [ $i -eq 10 ] && each KILL "$@"; sleep 0.1 2>/dev/null || sleep 1
done
! alive "$@"
"""


def connect(target: Target, recorder: Recorder, secrets: Secrets, timing: Timing | None = None) -> SshHost:
    """Give a host that connects at its first use; errors of the connection come then."""
    return SshHost(target, recorder, secrets, timing or Timing())


class SshHost:
    """A target that answers over SSH; see `host.Host` for what each method promises."""

    def __init__(self, target: Target, recorder: Recorder, secrets: Secrets, timing: Timing) -> None:
        self.label = target.label
        self.address = "" if target.jump else target.address
        self._target = target
        self._recorder = recorder
        self._secrets = secrets
        self._timing = timing
        self._link: Link | None = None
        self._lock = threading.RLock()
        self._found: dict[str, str | None] = {}
        self._is_root: bool | None = None
        self._sudo_refused = False
        self._footprint = Footprint(self, recorder)

    def identity(self) -> Identity:
        """Read boot id and kernel release again."""
        told = self.run("cat", "/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/osrelease", expect=True)
        boot_id, _, release = text.decode(told.stdout).strip().partition("\n")
        if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", boot_id) or not release:
            raise TargetError("the target does not tell which boot it is", where=self.label, why=text.show(boot_id, 60))
        return Identity(boot_id, text.show(release, 200))

    def run(
        self, *argv: str, root: bool = False, stdin: bytes = b"", limits: Limits | None = None, expect: bool = False
    ) -> Completed:
        """Run a program and wait. ToolMissing when a bare name is in none of the system folders.

        The sudo password is withheld from stderr, and from stdout unless it is so short that it may be there by chance.
        """
        with self._running(argv, root=root, limits=limits or Limits(), stdin=stdin) as command:
            parts = []
            while data := command.read():
                parts.append(data)
            ended = replace(command.ended(), stdout=self._withheld(b"".join(parts)))
        if expect and not ended.ok:
            raise self._failed(ended)
        return ended

    @contextmanager
    def stream(
        self, *argv: str, root: bool = False, limits: Limits | None = None, stdin: bytes = b""
    ) -> Iterator[RemoteStream]:
        """Run a program and read it as it runs; without `limits` it has none. What it prints is given as it is."""
        with self._running(argv, root=root, limits=limits or UNLIMITED, stdin=stdin) as command:
            yield RemoteStream(self, command, root=root)

    @contextmanager
    def connect(self, port: int) -> Iterator[LoopbackChannel]:
        """Open a channel to 127.0.0.1:port; Refused when forwarding is forbidden, TargetError when nothing answers."""
        link = self._linked()
        channel = link.to_loopback(port)
        try:
            yield LoopbackChannel(link, channel)
        finally:
            channel.close()

    @contextmanager
    def change(self, change: Change) -> Iterator[None]:
        """Record the change, run the block (which makes it), undo it, look, and record what was seen.

        TargetError when it cannot be proven gone, unless the block itself raised: then that is raised.
        """
        with self._footprint.change(change):
            yield

    @contextmanager
    def workplace(self, *, programs: bool = False) -> Iterator[Path]:
        """Give a new root-owned 0700 folder on tmpfs; with `programs`, on one where they may run."""
        with self._footprint.workplace(programs=programs) as place:
            yield place

    def put(self, content: bytes | Path, destination: Path, mode: int = 0o600) -> None:
        """Write a new file below a workplace; CommandFailed when it does not arrive as it was sent."""
        self._footprint.put(content, destination, mode)

    @contextmanager
    def beside(self) -> Iterator[SshHost]:
        """Give another connection to the same target, made at once; it is closed afterwards."""
        other = SshHost(self._target, self._recorder, self._secrets, self._timing)
        other._found, other._is_root, other._sudo_refused = dict(self._found), self._is_root, self._sudo_refused
        try:
            other._linked()
            yield other
        finally:
            other.close()

    def restore(self) -> Iterator[tuple[Change, bool, str]]:
        """Take away what an interrupted run left on the target: (change, proven gone, reason)."""
        return self._footprint.restore()

    def find(self, program: str) -> str | None:
        """Tell where in the system folders a program is; None when it is in none of them."""
        if program not in self._found:
            told = self._plain("/bin/sh", "-c", _FIND, program, *FOLDERS)
            places = {f"{folder}/{program}" for folder in FOLDERS}
            answer = text.decode(told.stdout)
            self._found[program] = answer if told.ok and answer in places else None
        return self._found[program]

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            if self._link:
                self._link.close()
            self._link = None

    def signal(self, command: RemoteCommand, name: str, *, root: bool) -> None:
        """Send one signal to a command's process, which runs as long as its end was not seen."""
        if command.running:
            self._plain("/bin/sh", "-c", 'kill -s "$0" -- "$1"', name, str(command.pid), root=root)

    def _linked(self) -> Link:
        with self._lock:
            if self._link is None or not self._link.alive:
                self.close()
                self._link = Link(self._target, self._secrets, self._timing)
                self._recorder.connected(dict(self._link.facts))
            return self._link

    @contextmanager
    def _running(self, argv: tuple[str, ...], *, root: bool, limits: Limits, stdin: bytes) -> Iterator[RemoteCommand]:
        """Start a command; see to it that it has ended when the block is left, however it is left."""
        words = self._resolved(argv)
        dialogue = self._dialogue() if root else None
        link = self._linked()
        self._record(words, root=root)
        try:
            command = RemoteCommand(link, words, dialogue, limits, stdin)
        except SudoRefused:
            self._sudo_refused = dialogue is not None and dialogue.wrong_password
            raise
        try:
            yield command
        finally:
            try:
                self._end(command, root=root)
            finally:
                command.close()

    def _record(self, words: tuple[str, ...], *, root: bool) -> None:
        """Put a command on record; what undoes a change is so since the change was, and is done on a full disk too."""
        try:
            self._recorder.command(words, root=root)
        except ForensicsError:
            if not self._footprint.undoing:
                raise

    def _resolved(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not argv or any("\0" in word for word in argv):
            raise ValueError(f"not a command: {argv!r}")
        program, *words = argv
        if program.startswith("/"):
            return argv
        if "/" in program or program.startswith("-"):
            raise ValueError(f"neither an absolute path nor a bare name: {program}")
        place = self.find(program)
        if place is None:
            raise ToolMissing(
                f"{program} is not on the target", where=self.label, why=f"looked in {', '.join(FOLDERS)}"
            )
        return (place, *words)

    def _dialogue(self) -> SudoDialogue | None:
        """Give the way to root: none is needed when the account is root."""
        if self._is_root is None:
            told = self._plain("/usr/bin/id", "-u")
            self._is_root = told.ok and told.stdout.strip() == b"0"
        if self._is_root:
            return None
        if self._sudo_refused:
            why = "the sudo password was not accepted before, and is not tried again"
            raise refused(self.label, why, "give the right sudo password")
        return SudoDialogue(self._secrets.sudo)

    def _plain(self, *argv: str, root: bool = False) -> Completed:
        """Run one of our own small commands."""
        return self.run(*argv, root=root, limits=Limits(seconds=20, bytes=MIB))

    def _end(self, command: RemoteCommand, *, root: bool) -> None:
        """End a command that still runs: its process group and itself; what may survive is put on record.

        Without its connection a process number may be another's by now: then it is only looked for.
        """
        if not command.runs_on():
            return
        if not command.running:
            self._footprint.left_running(command.pid, command.argv, "the connection was lost while it ran")
            return
        try:
            with self._footprint.undo():
                ended = self._plain("/bin/sh", "-c", _END, "sh", f"-{command.session}", str(command.pid), root=root)
            why = "" if ended.ok else "it did not end when it was killed"
            command.runs_on()  # takes note of the end
        except ForensicsError as problem:
            why = f"it could not be ended: {problem}"
        if why:
            self._footprint.left_running(command.pid, command.argv, why)

    def _withheld(self, said: bytes) -> bytes:
        password = self._secrets.sudo
        return password.withhold(said) if password and len(password.reveal()) >= _SHORT else said

    def _failed(self, ended: Completed) -> CommandFailed:
        status = "a signal ended it" if ended.status is None else f"it ended with status {ended.status}"
        words = text.show((ended.stderr or ended.stdout).strip(), 400)
        return CommandFailed(
            f"a command on the target failed: {text.show(' '.join(ended.argv), 200)}",
            where=self.label,
            why=(f"it was cut by our limit ({ended.cut})" if ended.cut else status) + (f": {words}" if words else ""),
        )


class RemoteStream:
    """A running command's output, as it comes; `host.Stream`."""

    def __init__(self, host: SshHost, command: RemoteCommand, *, root: bool) -> None:
        self._host = host
        self._command = command
        self._root = root

    def read(self, size: int = MIB) -> Piece:
        """Give at least one byte and at most `size`; b"" at the end of stdout, or when a limit was met."""
        return self._command.read(size)

    def ended(self) -> Completed:
        """Wait for the end and give status and stderr; what is over a limit is ended when the block is left."""
        return self._command.ended()

    def stop(self, signal: str = "INT") -> None:
        """Signal the command's process on the target."""
        self._host.signal(self._command, signal, root=self._root)


class LoopbackChannel:
    """Bytes from a port of the target's loopback; `host.Channel`."""

    def __init__(self, link: Link, channel: paramiko.Channel) -> None:
        self._link = link
        self._channel = channel
        channel.settimeout(0.25)

    def read(self, size: int = MIB) -> Piece:
        """Give at least one byte and at most `size`; b"" at the end. Unreachable when the link is lost."""
        while True:
            try:
                data: Piece = self._channel.recv(size)
            except TimeoutError:
                if not self._link.alive:
                    raise self._link.lost() from None
                continue
            except (OSError, EOFError, paramiko.SSHException):
                raise self._link.lost() from None
            if data:
                self._link.heard()
            elif not self._channel.eof_received and not self._link.answers():
                raise self._link.lost()
            return data
