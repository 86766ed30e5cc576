"""Whether a target's host key is the one that is known: decided before anything secret is sent.

Files are read as OpenSSH's sshd(8) describes them: hashed names, patterns, `[host]:port`, `@revoked`; a certificate
authority (`@cert-authority`) vouches for nothing here, as host certificates are not asked for.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import HostKeyRefused
from forensics.model import Target

SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line of a known hosts file that speaks of the target."""

    type: str
    blob: bytes
    revoked: bool
    where: str  # file:line


def fingerprint(blob: bytes) -> str:
    """Write a public key's fingerprint as `ssh-keygen -l` does."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def known_keys(target: Target) -> list[KnownKey]:
    """Find what the known hosts files say of a target, in their order; a file that is not there says nothing."""
    host = (target.host_key_alias or target.address).lower()
    plain = target.host_key_alias or target.port == SSH_PORT
    names = [host] if plain else [f"[{host}]:{target.port}", host]
    return [known for path in target.known_hosts for known in _read(path, names)]


def check_host_key(target: Target, key_type: str, blob: bytes) -> str:
    """Tell how the key was found to be right; HostKeyRefused when it was not.

    A key that the analyst names (`target.host_key`) must be the one that is shown, whatever the files say; a revoked
    key is refused even so.
    """
    shown = fingerprint(blob)
    known = known_keys(target)
    if revoked := next((one for one in known if one.revoked and one.blob == blob), None):
        raise _refusal(target, "is revoked", f"{shown} ({key_type}) is marked @revoked in {revoked.where}", "")
    valid = [one for one in known if not one.revoked]
    match = next((one for one in valid if one.blob == blob), None)
    if target.host_key:
        return _accepted_by_name(target, shown, valid, match)
    if match:
        return f"known: {match.where}"
    if valid:
        old = ", ".join(f"{fingerprint(one.blob)} ({one.type}, {one.where})" for one in valid)
        raise _refusal(target, "has changed", f"it shows {shown} ({key_type}), and known is {old}", shown)
    raise _refusal(target, "is unknown", f"it shows {shown} ({key_type}), and no known hosts file lists it", shown)


def _accepted_by_name(target: Target, shown: str, valid: list[KnownKey], match: KnownKey | None) -> str:
    if shown != target.host_key:
        why = f"it shows {shown}, and the run was told to accept {target.host_key}"
        raise _refusal(target, "is not the one that was named", why, "")
    if match:
        return f"named by the analyst, and known: {match.where}"
    if valid:
        old = ", ".join(f"{fingerprint(one.blob)} ({one.where})" for one in valid)
        return f"named by the analyst, although known is {old}"
    return "named by the analyst; no known hosts file lists it"


def _refusal(target: Target, what: str, why: str, shown: str) -> HostKeyRefused:
    compare = "compare it with the fingerprint that the machine's owner reads on its console (ssh-keygen -lf)"
    return HostKeyRefused(
        f"the host key of {target.label} {what}; nothing secret was sent",
        where=f"{target.address}:{target.port}",
        why=why,
        remedy=f"{compare}; if it is the same, run again with --host-key {shown}" if shown else compare,
    )


def _read(path: Path, names: list[str]) -> Iterator[KnownKey]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for number, line in enumerate(lines, 1):
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#") or marker == "@cert-authority":
            continue
        if not any(_names(fields[0], name) for name in names):
            continue
        try:
            blob = base64.b64decode(fields[2], validate=True)
        except binascii.Error:
            continue
        yield KnownKey(fields[1], blob, marker == "@revoked", f"{path}:{number}")


def _names(patterns: str, name: str) -> bool:
    """Tell whether a line's first field speaks of this name; a negated pattern that matches rules the line out."""
    if patterns.startswith("|1|"):
        return _hashed(patterns, name)
    found = False
    for pattern in patterns.lower().split(","):
        if fnmatch.fnmatchcase(name, pattern.removeprefix("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _hashed(field: str, name: str) -> bool:
    """Compare with `|1|salt|HMAC-SHA1(salt, name)` (OpenSSH hostfile.c)."""
    try:
        _, _, salt, mac = field.split("|")
        wanted = base64.b64decode(mac)
        return hmac.compare_digest(hmac.new(base64.b64decode(salt), name.encode(), "sha1").digest(), wanted)
    except (ValueError, binascii.Error):
        return False
