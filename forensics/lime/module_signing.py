"""A signature appended to a module, as the kernel's scripts/sign-file appends it, for kernels that load no other.

module | PKCS#7 (CMS, detached, DER; no certificates, no attributes) | struct module_signature | a line that marks it
(include/linux/module_signature.h). openssl makes it: sign-file comes with the headers, and these may come from the
machine under investigation, which is not to see the private key.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from forensics.errors import StageFailed, ToolMissing
from forensics.ssh import Secret
from forensics.text import show

MARK = b"~Module signature appended~\n"
TRAILER = struct.Struct(">BBBBB3xI")  # algorithm, hash, kind, lengths of signer and key id, length of the signature
_PKCS7 = 2  # PKEY_ID_PKCS7
_HASHES = ("sha256", "sha384", "sha512")
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Signer:
    """With what a module is signed."""

    key: Path  # PEM
    certificate: Path  # PEM or DER
    passphrase: Secret | None = None
    hash: str = "sha256"


def hash_of(config: Mapping[str, str]) -> str:
    """Choose the hash that a kernel's own modules are signed with, for it has that one; SHA-256 when nothing tells."""
    told = config.get("CONFIG_MODULE_SIG_HASH", "").strip('"')
    return told if told in _HASHES else "sha256"


def sign(module: Path, output: Path, signer: Signer) -> str:
    """Write a signed copy of a module to a new file; gives whose signature it is, in words. StageFailed."""
    content = module.read_bytes()
    if content.endswith(MARK):
        raise _failed(signer, "the module is signed already")
    with tempfile.TemporaryDirectory(prefix="forensics-") as name:
        certificate, signature = Path(name) / "signer.pem", Path(name) / "signature"
        said = _certificate(signer, certificate)
        command = ["openssl", "cms", "-sign", "-binary", "-noattr", "-nosmimecap", "-nocerts", "-outform", "DER"]
        command += ["-md", signer.hash, "-signer", str(certificate), "-inkey", str(signer.key.absolute())]
        _run([*command, "-in", str(module.absolute()), "-out", str(signature)], signer)
        made = signature.read_bytes()
    with output.open("xb") as file:
        file.write(content + made + TRAILER.pack(0, 0, _PKCS7, 0, 0, len(made)) + MARK)
    return said


def _certificate(signer: Signer, copy: Path) -> str:
    """Write the certificate as PEM, and say whose it is."""
    data = signer.certificate.read_bytes()
    try:
        pem = data.lstrip().startswith(b"-----BEGIN")
        found = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
        subject = found.subject.rfc4514_string()
    except ValueError as error:
        raise _failed(signer, f"{signer.certificate} is no X.509 certificate: {error}") from None
    copy.write_bytes(found.public_bytes(Encoding.PEM))
    digest = hashlib.sha256(found.public_bytes(Encoding.DER)).hexdigest()
    return f"{show(subject, 200)} (certificate sha256:{digest})"


def _run(command: list[str], signer: Signer) -> None:
    """Run openssl; the passphrase goes through a pipe, and an encrypted key without one fails instead of asking."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        pipe.write(f"{signer.passphrase.reveal() if signer.passphrase else ''}\n")
    try:
        done = subprocess.run(
            [*command, "-passin", f"fd:{reading}"], check=False, capture_output=True, timeout=_SECONDS,
            pass_fds=(reading,), stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise ToolMissing("openssl is not on this machine", remedy="apt-get install openssl") from None
    finally:
        os.close(reading)
    if done.returncode != 0:
        raise _failed(signer, show(b" ".join(done.stderr.split()), 400))


def _failed(signer: Signer, why: str) -> StageFailed:
    return StageFailed(
        "the module could not be signed",
        where=str(signer.key),
        why=why,
        remedy="--module-key names a private key in PEM, --module-certificate its certificate, "
        "--module-passphrase-fd N the descriptor that its passphrase comes from",
    )
