"""One SSH connection: its algorithms, its host key, its login, and whether it still lives.

paramiko names weak algorithms at the end of its lists, and gives no sign of a peer that has fallen silent: both are
seen to here. Nothing secret is sent before the host key was found to be right.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass

import paramiko

from forensics import text
from forensics.errors import Refused, TargetError, Unreachable
from forensics.model import Target
from forensics.ssh.hostkeys import check_host_key, fingerprint, known_keys
from forensics.ssh.login import Secrets, allowed_methods, authenticate
from forensics.ssh.transport import WINDOW, Transport

CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
"""Fastest first: with paramiko AES-GCM moves 1.6 times what AES-CTR with a MAC does."""

MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
ADMINISTRATIVELY_PROHIBITED = 1  # RFC 4254, section 5.1

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what it has to say is raised, too


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait for what, in seconds."""

    connect: float = 20.0
    banner: float = 20.0
    login: float = 60.0
    channel: float = 30.0
    sessions: float = 3.0  # for a server that has no session free
    opening: float = 60.0  # until a command has begun: login shell, sudo and what it asks
    pulse: float = 10.0  # between two questions whether the target is still there
    silence: float = 60.0  # without an answer or a byte: the connection is lost


class Link:
    """A connection that is logged in; `facts` tell how it was made."""

    def __init__(self, target: Target, secrets: Secrets, timing: Timing) -> None:
        self.target = target
        self.timing = timing
        self._jump = Link(target.jump, Secrets(passphrase=secrets.passphrase), timing) if target.jump else None
        self._heard = time.monotonic()
        self._asked = threading.Event()
        try:
            self._transport = self._negotiate()
            self.facts = self._admit(secrets)
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._feel_pulse, name=f"pulse of {target.label}", daemon=True).start()

    @property
    def alive(self) -> bool:
        """The connection stands, and was heard of lately."""
        silent = time.monotonic() - self._heard > self.timing.silence
        return self._transport.is_active() and not silent

    def heard(self) -> None:
        """Note that bytes came."""
        self._heard = time.monotonic()

    def answers(self) -> bool:
        """Ask the target whether it is still there, and wait for the answer."""
        before = self._heard
        self._asked.set()
        while self.alive and self._heard == before:
            time.sleep(0.02)  # ends with the silence at the latest
        return self.alive

    def lost(self) -> Unreachable:
        """Tell how the connection ended; it is closed, so that no one waits on it."""
        ended = self._transport.get_exception() if not self._transport.is_active() else None
        silent = self._transport.is_active() or time.monotonic() - self._heard > self.timing.silence
        self.close()
        why = f"nothing was heard for {self.timing.silence:.0f} s" if silent else "the connection was closed"
        return Unreachable(
            f"the connection to {self.target.label} was lost",
            where=f"{self.target.address}:{self.target.port}",
            why=f"{why} ({text.show(str(ended), 200)})" if ended else why,
            remedy="see that the target and the network are up, then run again",
        )

    def session(self) -> paramiko.Channel:
        """Open a channel for one command; TargetError when the server opens none.

        A server with few sessions frees one a moment after its command was seen to end.
        """
        limit = time.monotonic() + self.timing.sessions
        while True:
            try:
                return self._open("session")
            except paramiko.ChannelException as refusal:
                if time.monotonic() > limit:
                    raise self._no_session(refusal) from None
            time.sleep(0.1)

    def _no_session(self, refusal: paramiko.ChannelException) -> TargetError:
        return TargetError(
            "the target's SSH server opens no further session",
            where=self.target.label,
            why=text.show(refusal.text, 200) or "it gave no reason",
            remedy="MaxSessions in its sshd_config must allow 4 sessions at a time (10 is its default)",
        )

    def to_loopback(self, port: int) -> paramiko.Channel:
        """Open a channel to a port of the target's loopback."""
        try:
            return self._open("direct-tcpip", ("127.0.0.1", port))
        except paramiko.ChannelException as refusal:
            raise self._not_forwarded("127.0.0.1", port, refusal) from None

    def close(self) -> None:
        """End the connection, and those that it goes through."""
        if transport := getattr(self, "_transport", None):
            transport.close()
        self._asked.set()
        if self._jump:
            self._jump.close()

    def _open(self, kind: str, destination: tuple[str, int] | None = None) -> paramiko.Channel:
        source = ("127.0.0.1", 0) if destination else None
        try:
            return self._transport.open_channel(
                kind, destination, source, window_size=WINDOW, timeout=self.timing.channel
            )
        except paramiko.ChannelException:
            raise
        except (paramiko.SSHException, EOFError, OSError):
            raise self.lost() from None

    def _not_forwarded(self, address: str, port: int, refusal: paramiko.ChannelException) -> Refused | TargetError:
        where = f"{self.target.label}, {address}:{port}"
        if refusal.code == ADMINISTRATIVELY_PROHIBITED:
            return Refused(
                "the target's SSH server does not allow forwarding",
                where=where,
                why=text.show(refusal.text, 200),
                remedy="AllowTcpForwarding (and PermitOpen) in its sshd_config must allow it for this account",
            )
        return TargetError("nothing answers at that port", where=where, why=text.show(refusal.text, 200))

    def _socket(self) -> socket.socket | paramiko.Channel:
        address, port = self.target.address, self.target.port
        try:
            if self._jump:
                return self._jump._open("direct-tcpip", (address, port))  # noqa: SLF001 - another Link
            plain = socket.create_connection((address, port), timeout=self.timing.connect)
        except OSError as problem:
            raise self._unreachable(str(problem)) from None
        except paramiko.ChannelException as refusal:
            assert self._jump is not None  # noqa: S101 - the only one that opens channels here
            raise self._jump._not_forwarded(address, port, refusal) from None  # noqa: SLF001
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return plain

    def _unreachable(self, why: str) -> Unreachable:
        return Unreachable(
            f"{self.target.label} cannot be reached",
            where=f"{self.target.address}:{self.target.port}",
            why=text.show(why, 300),
            remedy="check address and port, and that the target's SSH server runs",
        )

    def _negotiate(self) -> Transport:
        transport = Transport(self._socket())
        options = transport.get_security_options()
        options.ciphers = CIPHERS
        options.digests = MACS
        options.key_types = _host_key_order(self.target, tuple(options.key_types))
        transport.banner_timeout = self.timing.banner
        transport.handshake_timeout = self.timing.banner
        transport.auth_timeout = self.timing.login
        try:
            transport.start_client(timeout=self.timing.banner + self.timing.connect)
        except paramiko.ssh_exception.IncompatiblePeer as problem:
            raise self._weak(str(problem), transport.offered or {}) from None
        except (paramiko.SSHException, EOFError, OSError) as problem:
            raise self._unreachable(f"no SSH connection: {problem or type(problem).__name__}") from None
        return transport

    def _weak(self, problem: str, offered: dict[str, list[str]]) -> Refused:
        kinds = {
            "kex": "kex_algo_list",
            "host key": "server_key_algo_list",
            "cipher": "server_encrypt_algo_list",
            "mac": "server_mac_algo_list",
        }
        which = next((name for word, name in kinds.items() if f"{word}" in problem), "")
        listed = text.show(", ".join(offered.get(which, [])), 400)
        return Refused(
            f"{self.target.label} offers only algorithms that are too weak; no login was tried",
            where=f"{self.target.address}:{self.target.port}",
            why=f"{text.show(problem, 200)}; it offers {listed or 'what could not be read'}",
            remedy="let its SSH server allow AES-GCM or AES-CTR, HMAC-SHA2 and a key exchange with SHA-2",
        )

    def _admit(self, secrets: Secrets) -> dict[str, str]:
        transport, target = self._transport, self.target
        key = transport.get_remote_server_key()
        checked = check_host_key(target, key.get_name(), key.asbytes())
        facts = {
            "address": f"{target.address}:{target.port}",
            "account": target.user,
            "host key": fingerprint(key.asbytes()),
            "host key type": key.get_name(),
            "host key check": checked,
            "server version": text.show(transport.remote_version, 200),
            **self._algorithms(),
        }
        try:
            allowed = allowed_methods(transport, target)
            if banner := transport.get_banner():
                facts["banner"] = text.show(banner)
            facts["login"] = authenticate(transport, target, secrets, allowed)
        except (paramiko.SSHException, EOFError, OSError) as problem:
            raise self._unreachable(f"the connection broke while logging in: {type(problem).__name__}") from None
        if self._jump:
            facts["through"] = f"{self._jump.facts['address']} ({self._jump.facts['host key']})"
            facts["through host key check"] = self._jump.facts["host key check"]
        return facts

    def _algorithms(self) -> dict[str, str]:
        transport = self._transport
        theirs = (transport.offered or {}).get("kex_algo_list", [])
        ours = transport.get_security_options().kex
        cipher = transport.remote_cipher
        return {
            "key exchange": next((name for name in ours if name in theirs), "unknown"),
            "strict key exchange": "yes" if transport.agreed_on_strict_kex else "no: the server does not know it",
            "cipher": cipher,
            "mac": "in the cipher" if "gcm" in cipher else str(transport.remote_mac),
        }

    def _feel_pulse(self) -> None:
        """Ask again and again, until the transport ends or is silent for too long."""
        transport = self._transport
        while transport.is_active():
            self._asked.wait(self.timing.pulse)
            self._asked.clear()
            try:
                transport.global_request("keepalive@openssh.com", wait=True)
            except (paramiko.SSHException, EOFError, OSError):
                return
            if transport.is_active():
                self.heard()


def _host_key_order(target: Target, offered: tuple[str, ...]) -> tuple[str, ...]:
    """Ask first for a key of a type that is known, so that a known target is not taken for another."""
    known = {one.type for one in known_keys(target) if not one.revoked}
    wanted = [name for name in offered if name in known or (name.startswith("rsa-") and "ssh-rsa" in known)]
    return (*wanted, *(name for name in offered if name not in wanted))
