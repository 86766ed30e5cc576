"""One command on a target, from its first words to its end.

sshd gives every command to the account's login shell, whose start-up files may print, set variables and define
aliases. So the shell is asked only to become `/usr/bin/env -i … /bin/sh`, which says a random word and its process
number on both streams and then becomes the program: all before that word is noise, kept apart. The word is sent in two
halves, so that a shell that prints its commands (`set -x`) does not say it. Under sudo the same is done once more, as
root: only then is the program's stdin sent, so that sudo cannot take it for a password, nor the program the password
for data.
"""

from __future__ import annotations

import re
import secrets
import shlex
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import paramiko

from forensics import text
from forensics.errors import CommandFailed
from forensics.host import MIB, Completed, Limits, Piece
from forensics.model import utc
from forensics.ssh.link import Link
from forensics.ssh.sudo import SudoDialogue

FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
ENVIRONMENT = (f"PATH={':'.join(FOLDERS)}", "LC_ALL=C", "TZ=UTC", "HOME=/")

_BEGIN = 'umask 077; printf "%s%s %s\\n" "$1" "$2" "$$"; printf "%s%s\\n" "$1" "$2" >&2; shift 2; exec "$@"'
_NOISE = 1 << 20  # bytes that a shell may print before our first word
_TICK = 0.25  # seconds between two looks at the clock
_AFTER = 10.0  # seconds for the status after the output has ended


class _Word:
    """A random word that a shell prints when it has begun."""

    def __init__(self) -> None:
        self._halves = secrets.token_hex(12), secrets.token_hex(12)
        whole = "".join(self._halves).encode()
        self.on_stdout = re.compile(re.escape(whole) + rb" (\d+)\n")
        self.on_stderr = whole + b"\n"

    def say_then(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Words that print it in a clean environment and then become `argv`."""
        return ("/usr/bin/env", "-i", *ENVIRONMENT, "/bin/sh", "-c", _BEGIN, "sh", *self._halves, *argv)


class _Errors(threading.Thread):
    """Drains stderr, so that it never stops stdout; keeps the first bytes."""

    def __init__(self, command: RemoteCommand, channel: paramiko.Channel, room: int) -> None:
        super().__init__(name="stderr", daemon=True)
        self._command = command
        self._channel = channel
        self._room = room
        self.said = bytearray()
        self.over = False
        self.last = time.monotonic()
        self.start()

    def run(self) -> None:
        """Read to the end."""
        while True:
            try:
                data = self._channel.recv_stderr(MIB)
            except TimeoutError:
                continue
            except (OSError, EOFError, paramiko.SSHException):
                return  # the reader of stdout says what it is
            if not data:
                return
            self.last = time.monotonic()
            free = self._room - len(self.said)
            self.said += data[:free]
            self.over = self.over or len(data) > free
            self._command.said_on_stderr(self.said)


class RemoteCommand:
    """A program that runs on the target; implements `host.Stream`."""

    def __init__(
        self, link: Link, argv: tuple[str, ...], dialogue: SudoDialogue | None, limits: Limits, stdin: bytes
    ) -> None:
        self.argv = argv
        self.link = link
        self.limits = limits
        self.session = 0  # process number that sshd started, and so of its process group
        self.pid = 0  # of the program itself
        self.cut = ""
        self._dialogue = dialogue
        self._outer = _Word()
        self._inner = _Word() if dialogue else self._outer
        self._began = False
        self._ended = False
        self._pending = b""
        self._noise = b""
        self._received = 0
        self._started = utc(datetime.now(UTC))
        self._clock = self._last = time.monotonic()
        self._channel = link.session()
        self._channel.settimeout(_TICK)
        self._errors = _Errors(self, self._channel, limits.bytes + _NOISE)
        self._open(stdin)

    @property
    def running(self) -> bool:
        """Its end was not seen, and the connection stands: its process number is its own."""
        return self._began and not self._channel.exit_status_ready()

    def runs_on(self) -> bool:
        """Tell whether it may still run; a program that has closed its output is given a moment."""
        if self._ended or self.cut:
            self._channel.status_event.wait(1.0)
        if not self._channel.status_event.is_set():
            return True
        return self._channel.recv_exit_status() == -1 and not self.link.answers()

    def read(self, size: int = MIB) -> Piece:
        """Give at least one byte and at most `size`; b"" when stdout has ended or a limit was met."""
        data: Piece
        if self._pending:
            data, self._pending = self._pending[:size], self._pending[size:]
        elif self._ended or self.cut:
            return b""
        else:
            data = self._receive(size)
        room = self.limits.bytes - self._received
        self._received += len(data)
        if len(data) > room:
            self.cut = "bytes"
            return data[:room]
        return data

    def ended(self, *, within: float | None = None) -> Completed:
        """Wait for the end; gives status and stderr, stdout is empty."""
        limit = time.monotonic() + within if within is not None else None
        while not self.cut and not self._channel.status_event.wait(_TICK):
            self._look()
            if limit and time.monotonic() > limit:
                self.cut = "time"
        self._errors.join(_AFTER if not self.cut else _TICK)
        return self._completed()

    def close(self) -> None:
        """Give the channel up; does not end the program."""
        self._channel.close()

    def said_on_stderr(self, said: bytearray) -> None:
        """Let sudo be heard as long as the program has not begun."""
        if self._dialogue is None or self._began:
            return
        _, begun, after = bytes(said).partition(self._outer.on_stderr)
        if begun and self._inner.on_stderr not in after:
            self._dialogue.hear(after, self._send, self._channel.shutdown_write)

    def _open(self, stdin: bytes) -> None:
        """Start, and read up to the word that says that the program itself begins."""
        within = self._inner.say_then(self.argv)
        words = self._outer.say_then((*self._dialogue.argv, *within)) if self._dialogue else within
        line = "exec " + shlex.join(words)
        try:
            self._channel.exec_command(line.encode("utf-8", "surrogateescape"))
        except (paramiko.SSHException, EOFError):
            raise self._not_begun("the server refused to run a command") from None
        head = bytearray()
        while not (match := self._inner.on_stdout.search(head)):
            data = self._receive(MIB)
            head += data
            if not data or len(head) > _NOISE:
                raise self._not_begun(bytes(head))
        first = self._outer.on_stdout.search(head) or match
        self._noise = bytes(head[: first.start()] + head[first.end() : match.start()])
        self._pending = bytes(head[match.end() :])
        self.session, self.pid, self._began = int(first[1]), int(match[1]), True
        self._clock = self._last = time.monotonic()
        self._feed(stdin)

    def _feed(self, stdin: bytes) -> None:
        """Send the program's stdin beside its output, so that neither waits for the other."""
        if not stdin:
            self._channel.shutdown_write()
            return
        threading.Thread(target=self._send_all, args=(stdin,), name="stdin", daemon=True).start()

    def _send_all(self, stdin: bytes) -> None:
        self._send(stdin)
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.shutdown_write()

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._channel.closed:
            try:
                view = view[self._channel.send(bytes(view[: MIB // 4])) :]
            except TimeoutError:
                continue
            except (OSError, EOFError, paramiko.SSHException):
                return  # the program has ended, or the link: its reader will say

    def _receive(self, size: int) -> Piece:
        while not self.cut:
            try:
                data: Piece = self._channel.recv(size)
            except TimeoutError:
                self._look()
                continue
            except (OSError, EOFError, paramiko.SSHException):
                raise self.link.lost() from None
            if data:
                self._last = time.monotonic()
                self.link.heard()
                if self._last - self._clock > self.limits.seconds or self._errors.over:
                    self._look()
                return data
            if not self._channel.eof_received and not self.link.answers():
                raise self.link.lost()
            self._ended = True
            break
        return b""

    def _look(self) -> None:
        """See whether a limit is met, or the connection lost."""
        now = time.monotonic()
        if not self.link.alive:
            raise self.link.lost()
        if not self._began:
            if now - self._clock > self.link.timing.opening:
                raise self._not_begun(f"nothing of ours ran within {self.link.timing.opening:.0f} s")
        elif now - self._clock > self.limits.seconds:
            self.cut = "time"
        elif self._errors.over:
            self.cut = "bytes"
        elif self.limits.idle is not None and now - max(self._last, self._errors.last) > self.limits.idle:
            self.cut = "idle"

    def _not_begun(self, heard: bytes | str) -> Exception:
        self._channel.close()
        self._errors.join(_TICK)
        said = bytes(self._errors.said)
        if self._dialogue and self._outer.on_stderr in said:
            return self._dialogue.refusal(said.partition(self._outer.on_stderr)[2], self.link.target.label)
        printed = heard if isinstance(heard, str) else f"it printed: {text.show(heard + said, 300)}"
        return CommandFailed(
            "the account's login shell did not run our command",
            where=f"{self.link.target.user}@{self.link.target.label}",
            why=printed,
            remedy="use an account with a shell, and a key that no forced command is bound to",
        )

    def _completed(self) -> Completed:
        status = self._channel.recv_exit_status() if self._channel.exit_status_ready() and not self.cut else -1
        if status == -1 and not self.cut and not self.link.answers():
            raise self.link.lost()
        before, _, stderr = bytes(self._errors.said).partition(self._inner.on_stderr)
        noise = self._noise + before.replace(self._outer.on_stderr, b"")
        strip: Callable[[bytes], bytes] = self._dialogue.strip if self._dialogue else bytes
        return Completed(
            argv=self.argv,
            status=None if status == -1 else status,
            stdout=b"",
            stderr=strip(stderr[: self.limits.bytes]),
            cut=self.cut or ("bytes" if self._errors.over else ""),
            started=self._started,
            seconds=time.monotonic() - self._clock,
            noise=strip(noise),
        )
