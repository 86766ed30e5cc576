"""Signatures by a person's own SSH key, through `ssh-keygen -Y`: a key file, an agent, a hardware key.

Format and namespaces: PROTOCOL.sshsig of OpenSSH. A signature counts here only after `ssh-keygen -Y verify` took it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics import tools
from forensics.errors import CaseError, UsageError

NAMESPACE = "custody-seal@forensics"
"""A signature made for anything else is none of ours."""
RECEIPT = "custody-receipt@forensics"
BAG = "custody-bag@forensics"
PATIENCE = 180.0
"""Seconds for a person to touch a hardware key or to answer an agent."""
_AGENT = "agent:"
_ARMOUR = re.compile(r"-----BEGIN SSH SIGNATURE-----([A-Za-z0-9+/=\s]+)-----END SSH SIGNATURE-----")
_PUBLIC = re.compile(r"([a-z0-9@.-]+) ([A-Za-z0-9+/=]+)(?: .*)?")


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs: where it is, and its public half."""

    place: str  # a private key's file, or agent:SHA256:…
    public: str  # algorithm and key, as in a .pub file
    fingerprint: str  # SHA256:…


def signer(words: str) -> Signer:
    """Find a key by the file of its private half, or as agent:SHA256:… among the keys that the agent holds.

    Raises UsageError when there is no such key.
    """
    public = _from_agent(words.removeprefix(_AGENT)) if words.startswith(_AGENT) else _from_file(Path(words))
    place = words if words.startswith(_AGENT) else str(Path(words).absolute())
    return Signer(place, public, fingerprint(public))


def fingerprint(public: str) -> str:
    """Give a public key's fingerprint as OpenSSH prints it; UsageError when it is no public key."""
    found = _PUBLIC.fullmatch(public.strip())
    try:
        key = base64.b64decode(found[2], validate=True) if found else b""
    except binascii.Error:
        key = b""
    if not key:
        raise UsageError("not an SSH public key", where=public[:60])
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode("ascii").rstrip("=")


def sign(key: Signer, content: bytes, namespace: str = NAMESPACE, *, ask: bool = False) -> str:
    """Sign bytes and give the armoured signature, after it was checked; `ask`: a passphrase may be asked for.

    Raises CaseError when the key did not sign: absent, refused, its passphrase wrong or not to be asked for.
    """
    with tempfile.TemporaryDirectory(prefix="forensics-") as folder:
        where = Path(folder) / "key.pub"
        where.write_text(key.public + "\n", encoding="ascii")
        chosen = ["-U", "-f", str(where)] if key.place.startswith(_AGENT) else ["-f", key.place]
        done = _keygen(["-Y", "sign", "-n", namespace, *chosen], content, ask=ask)
    armoured = done.stdout.decode("ascii", "replace")
    why = _reason(done) if done.returncode else refused(armoured, content, key.public, namespace)
    if why:
        raise CaseError("the key did not sign", where=f"{key.place} ({key.fingerprint})", why=why)
    return armoured


def refused(armoured: str, content: bytes, public: str, namespace: str = NAMESPACE) -> str:
    """Say why a signature by this key over these bytes is not taken; "" when it is good."""
    with tempfile.TemporaryDirectory(prefix="forensics-") as folder:
        allowed, signature = Path(folder) / "allowed", Path(folder) / "signature"
        allowed.write_text(allow("signer", public, namespace), encoding="ascii")
        signature.write_text(armoured, encoding="ascii", errors="replace")
        words = ["-Y", "verify", "-f", str(allowed), "-I", "signer", "-n", namespace, "-s", str(signature)]
        done = _keygen(words, content, ask=False)
    return _reason(done) if done.returncode else ""


def embedded(armoured: str) -> str:
    """Give the public key that a signature names as its own (PROTOCOL.sshsig), as in a .pub file; nothing is checked.

    Raises UsageError for what is no SSH signature.
    """
    found = _ARMOUR.search(armoured)
    try:
        blob = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
        if blob[:10] != b"SSHSIG\0\0\0\1":
            raise UsageError("not an SSH signature", remedy="it begins with -----BEGIN SSH SIGNATURE-----")
        key, _ = _string(blob, 10)
        kind, _ = _string(key, 0)
        return f"{kind.decode('ascii')} {base64.b64encode(key).decode('ascii')}"
    except (ValueError, struct.error) as error:
        raise UsageError("not an SSH signature", why=str(error)) from error


def _string(blob: bytes, at: int) -> tuple[bytes, int]:
    """Read a string of RFC 4251, section 5, and where it ends."""
    (length,) = struct.unpack_from(">I", blob, at)
    content = blob[at + 4 : at + 4 + length]
    if len(content) != length:
        raise ValueError("it is cut short")
    return content, at + 4 + length


def allow(principal: str, public: str, *namespaces: str) -> str:
    """Write a line of an allowed-signers file (ssh-keygen(1), ALLOWED SIGNERS), bound to our namespaces.

    Without any named, they are those of a case's own file: seals and receipts.
    """
    kind, key = public.split()[:2]
    return f'{principal} namespaces="{",".join(namespaces or (NAMESPACE, RECEIPT))}" {kind} {key}\n'


def _from_file(path: Path) -> str:
    if not path.is_file():
        raise UsageError("there is no such key", where=str(path), remedy="name a private key file, or agent:SHA256:…")
    told = _keygen(["-y", "-P", "", "-f", str(path)], b"", ask=False)
    beside = path.with_name(path.name + ".pub")
    if told.returncode == 0:
        text = told.stdout.decode("utf-8", "replace")
    elif beside.is_file():
        text = beside.read_text(encoding="utf-8", errors="replace")
    else:
        raise UsageError("not a private key, or its public half is missing", where=str(path), why=_reason(told))
    return _plain(text)


def _from_agent(wanted: str) -> str:
    done = _run([str(tools.require("ssh-add")), "-L"], b"", os.environ)
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        if _PUBLIC.fullmatch(line) and fingerprint(line) == wanted:
            return _plain(line)
    raise UsageError(
        "the agent does not hold this key", where=wanted, why=_reason(done), remedy="ssh-add -l lists them"
    )


def _plain(text: str) -> str:
    found = _PUBLIC.match(text.strip())
    return f"{found[1]} {found[2]}" if found else text.strip()


def _keygen(words: Sequence[str], content: bytes, *, ask: bool) -> subprocess.CompletedProcess[bytes]:
    quiet = {} if ask else {"SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":"}
    return _run([str(tools.require("ssh-keygen")), *words], content, {**os.environ, **quiet, "LC_ALL": "C"}, ask=ask)


def _run(
    command: Sequence[str], content: bytes, environment: Mapping[str, str], *, ask: bool = False
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            command,
            input=content,
            capture_output=not ask,
            stdout=subprocess.PIPE if ask else None,
            env=dict(environment),
            timeout=PATIENCE,
            check=False,
            start_new_session=not ask,
        )
    except subprocess.TimeoutExpired as late:
        why = f"no answer within {PATIENCE:.0f} s"
        raise CaseError("the key did not sign", where=str(command[0]), why=why) from late


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stderr or b"").decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else f"{Path(done.args[0]).name} ended with {done.returncode}"
