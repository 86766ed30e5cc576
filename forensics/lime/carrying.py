"""How bytes from a port of the target's loopback come here: SSH forwarding, a command that copies them, or TLS.

sshd may forbid forwarding (Lynis advises that). Then a program of the target's own connects to the port and prints what
comes, in an SSH session like any other command: same encryption, same host key, nothing put on the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from forensics import text
from forensics.errors import CommandFailed, Refused, TargetError
from forensics.host import MIB, Channel, Host, Limits, Piece, Stream
from forensics.lime import tls
from forensics.model import JSON

WAYS = ("auto", "forward", "exec", "tls")
"""auto: forwarding, and a command where sshd forbids it. TLS only where it is asked for."""

_PYTHON = (
    "import os,socket,sys;s=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\n"
    "while d:=s.recv(262144):\n w=memoryview(d)\n while w:w=w[os.write(1,w):]"
)
_PERL = (
    "use Socket;socket(S,PF_INET,SOCK_STREAM,6)||die $!;connect(S,sockaddr_in($ARGV[0],INADDR_LOOPBACK))||die $!;"
    "while($n=sysread(S,$b,262144)){$o=0;while($o<$n){$w=syswrite(STDOUT,$b,$n-$o,$o)//die $!;$o+=$w}}"
    "die $! unless defined $n"
)
_BASH = 'exec 3<>"/dev/tcp/127.0.0.1/$1" && exec "$0" <&3'

# What is nearly everywhere and moves large pieces comes first. {…} is the absolute path of a program on the target.
CARRIERS: Mapping[str, tuple[str, ...]] = {
    "bash": ("{bash}", "--norc", "--noprofile", "-c", _BASH, "{cat}", "PORT"),
    "socat": ("{socat}", "-u", "-b", "262144", "TCP4:127.0.0.1:PORT", "STDOUT"),
    "perl": ("{perl}", "-e", _PERL, "PORT"),
    "python3": ("{python3}", "-I", "-c", _PYTHON, "PORT"),
    "busybox": ("{busybox}", "nc", "127.0.0.1", "PORT"),
    "ncat": ("{ncat}", "--recv-only", "127.0.0.1", "PORT"),
    "nc": ("{nc}", "127.0.0.1", "PORT"),
}


class Carrier(Protocol):
    """A way from the target's loopback to here."""

    def open(self, port: int) -> AbstractContextManager[Channel]:
        """Connect to the port, once; what it gives is read until its end."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """SSH forwarding: a channel straight to the port."""

    host: Host

    def open(self, port: int) -> AbstractContextManager[Channel]:
        """Connect to the port."""
        return self.host.connect(port)


@dataclass(frozen=True, slots=True)
class Copied:
    """A program on the target that connects and prints; its end is looked at when its output has ended."""

    host: Host
    words: tuple[str, ...]
    ends: list[JSON] = field(default_factory=list)

    @contextmanager
    def open(self, port: int) -> Iterator[Channel]:
        """Connect to the port."""
        with self.host.stream(*_at(self.words, port)) as running:
            yield Printed(running, self.ends)


@dataclass(frozen=True, slots=True)
class Printed:
    """A command's output as `host.Channel`; raises when the command says at its end that it could not give it all."""

    running: Stream
    ends: list[JSON]  # how it ended is added here

    def read(self, size: int = MIB) -> Piece:
        """Give at least one byte and at most `size`; b"" at the end."""
        if data := self.running.read(size):
            return data
        ended = self.running.ended()
        said = text.show(ended.stderr.strip(), 200)
        self.ends.append({"status": ended.status, "stderr": said})
        if ended.status == 0:
            return b""
        status = "a signal" if ended.status is None else f"status {ended.status}"
        raise CommandFailed(
            "the command on the target that gave memory broke off", why=f"it ended with {status}: {said or '-'}"
        )


def forwards(host: Host, port: int) -> bool:
    """Tell whether sshd forwards: asked for a port where nobody listens, it refuses by its rules or for want of one."""
    try:
        with host.connect(port):
            return True
    except Refused:
        return False
    except TargetError:
        return True


@contextmanager
def carrier(
    host: Host, port: int, way: str, aids: tuple[Mapping[str, str], Path], record: dict[str, JSON]
) -> Iterator[Carrier]:
    """Choose a way to the port, before anybody listens there, and keep it open; Refused when there is none.

    `aids`: where programs are on the target, and a workplace there.
    """
    tools, place = aids
    if way == "tls":
        with tls.tunnel(host, port, tools, place, record) as tunnel:
            yield tunnel
    elif way != "exec" and (way == "forward" or forwards(host, port)):
        record["carried_by"] = "SSH forwarding"
        yield Forwarded(host)
    else:
        name, words = _copier(host, port, tools)
        copied = Copied(host, words)
        record |= {"carried_by": f"{name}, in a session of its own", "carried_ends": copied.ends}
        yield copied


def _copier(host: Host, port: int, tools: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Choose a program that runs, and that says so when nobody listens."""
    known = {"cat": "/bin/cat", **tools}
    tried = []
    for name, words in CARRIERS.items():
        if name in tools:
            found = tuple(known[word[1:-1]] if word.startswith("{") else word for word in words)
            told = host.run(*_at(found, port), limits=Limits(seconds=10, bytes=MIB))
            if not told.cut and told.status not in {None, 0, 126, 127} and not told.stdout:
                return name, found
            tried.append(f"{name} (status {told.status}, where an error was to come)")
    raise Refused(
        "the target's SSH server forbids forwarding, and no program there can carry the port in its place",
        where=host.label,
        why=f"tried: {', '.join(tried)}" if tried else f"it has none of {', '.join(CARRIERS)}",
        remedy="allow forwarding for this account (AllowTcpForwarding), use --tls, or take --engine kcore",
    )


def _at(words: tuple[str, ...], port: int) -> tuple[str, ...]:
    return tuple(
        word.replace("PORT", str(port)) if word.endswith("PORT") or ":PORT" in word else word for word in words
    )
