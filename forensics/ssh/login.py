"""Secrets, and the login with exactly the identities that were configured.

Order: `none` (tells which methods the target allows), each identity in its order, then the password when one was given.
An agent signs only for identities that are configured; it is never forwarded, and no other key is offered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

from forensics import text
from forensics.errors import LoginRefused
from forensics.model import Target


class Secret:
    """A word that is not to be seen: neither `repr` nor `str` shows it, nor does a traceback with local variables."""

    __slots__ = ("_word",)

    def __init__(self, word: str) -> None:
        self._word = word

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")

    def reveal(self) -> str:
        """Give the word; call it only in the expression that hands it on."""
        return self._word

    def withhold(self, said: bytes) -> bytes:
        """Take the word out of what a target said, visibly."""
        return said.replace(self._word.encode(), b"[withheld]") if self._word else said


@dataclass(frozen=True, slots=True)
class Secrets:
    """The three secrets, each for its own use: none is ever tried for another."""

    login: Secret | None = None  # password of the account, over SSH
    sudo: Secret | None = None  # password that the target's sudo asks for
    passphrase: Secret | None = None  # of encrypted private key files


def authenticate(transport: paramiko.Transport, target: Target, secrets: Secrets, allowed: list[str]) -> str:
    """Log in, and tell by which method; LoginRefused names each that was tried."""
    tried: list[str] = []
    if transport.is_authenticated():
        return "none"
    used: list[str] = []
    for name, key in _keys(target, secrets, tried) if "publickey" in allowed else ():
        if _succeeds(transport, target, key, name, tried):
            used.append(name)
            if transport.is_authenticated():
                return " and ".join(used)
            break
    if secrets.login is not None and _password_succeeds(transport, target, secrets.login, tried):
        return " and ".join([*used, "password"])
    raise LoginRefused(
        f"{target.user} may not log in on {target.label}",
        where=f"{target.user}@{target.address}:{target.port}",
        why=f"tried: {'; '.join(tried) or 'nothing, for nothing was configured'}. "
        f"The target allows: {text.show(', '.join(allowed), 200)}",
        remedy="check the account, name the private key (IdentityFile), or give the login password",
    )


def allowed_methods(transport: paramiko.Transport, target: Target) -> list[str]:
    """Ask which methods the target allows the account; it shows its banner then, too."""
    try:
        return transport.auth_none(target.user)
    except paramiko.BadAuthenticationType as refusal:
        return list(refusal.allowed_types)
    except paramiko.AuthenticationException:
        return ["publickey", "password"]


def _keys(target: Target, secrets: Secrets, tried: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    """Give the configured identities' keys: by an agent when it has them, else from their files."""
    agent = paramiko.Agent() if target.agent else None
    try:
        held = {key.asbytes(): key for key in agent.get_keys()} if agent else {}
        for path in target.identities:
            public = _public_blob(path)
            if public in held:
                yield f"{path} by the agent", held[public]
            elif key := _private_key(path, secrets, tried):
                yield str(path), key
    finally:
        if agent:
            agent.close()


def _public_blob(path: Path) -> bytes | None:
    """Read the public half beside a private key file, if it is there."""
    public = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    try:
        return paramiko.pkey.PublicBlob.from_file(str(public)).key_blob
    except (OSError, ValueError):
        return None


def _private_key(path: Path, secrets: Secrets, tried: list[str]) -> paramiko.PKey | None:
    """Read a private key file (and the certificate beside it); None, and the reason in `tried`, when it cannot be."""
    try:
        return paramiko.PKey.from_path(str(path))
    except (TypeError, paramiko.PasswordRequiredException):
        if secrets.passphrase is None:
            tried.append(f"{path}: it is encrypted, and no passphrase was given")
            return None
    except (OSError, ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as problem:
        tried.append(f"{path}: cannot be read ({type(problem).__name__})")
        return None
    try:
        return paramiko.PKey.from_path(str(path), secrets.passphrase.reveal().encode())  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, paramiko.SSHException):
        tried.append(f"{path}: the passphrase does not open it")
        return None


def _succeeds(transport: paramiko.Transport, target: Target, key: paramiko.PKey, name: str, tried: list[str]) -> bool:
    try:
        transport.auth_publickey(target.user, key)
    except paramiko.AuthenticationException:
        tried.append(f"{name} ({key.get_name()}): not accepted")
        return False
    return True


def _password_succeeds(transport: paramiko.Transport, target: Target, password: Secret, tried: list[str]) -> bool:
    try:
        transport.auth_password(target.user, password.reveal())
    except paramiko.BadAuthenticationType:
        tried.append("password: the target does not take one")
    except paramiko.AuthenticationException:
        tried.append("password: not accepted")
    return transport.is_authenticated()
