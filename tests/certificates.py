"""Certificates to sign with, in PKCS#12 files, made by openssl: a root, and one that it vouches for."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

CONFIG = """
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[signing]
keyUsage = critical,digitalSignature,nonRepudiation
[server]
keyUsage = critical,keyEncipherment
"""
PASSWORD = "canary-of-a-password"


@dataclass(frozen=True)
class Certificate:
    file: Path
    roots: Path


def make(folder: Path, *, usage: str = "signing", begin: str = "", days: int = 365) -> Certificate:
    """Make them in a new folder; `begin` is the day on which they were made, for one that has expired."""
    folder.mkdir()
    (folder / "config").write_text(CONFIG)
    config = ["-config", str(folder / "config")]
    fake = ["faketime", begin] if begin else []

    def run(*words: str) -> None:
        subprocess.run([*fake, "openssl", *words], check=True, capture_output=True)

    key = ["-newkey", "rsa:2048", "-nodes"]
    run("req", "-x509", *key, *config, "-extensions", "ca", "-subj", "/CN=Test Root", "-days", "9000",
        "-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.pem"))  # fmt: skip
    run("req", "-new", *key, *config, "-subj", "/CN=Ada Examiner/O=Example",
        "-keyout", str(folder / "key.pem"), "-out", str(folder / "request.pem"))  # fmt: skip
    run("x509", "-req", "-in", str(folder / "request.pem"), "-CA", str(folder / "ca.pem"), "-CAkey",
        str(folder / "ca.key"), "-set_serial", "11", "-days", str(days), "-extfile", str(folder / "config"),
        "-extensions", usage, "-out", str(folder / "cert.pem"))  # fmt: skip
    run("pkcs12", "-export", "-in", str(folder / "cert.pem"), "-inkey", str(folder / "key.pem"), "-certfile",
        str(folder / "ca.pem"), "-passout", f"pass:{PASSWORD}", "-out", str(folder / "examiner.p12"))  # fmt: skip
    return Certificate(folder / "examiner.p12", folder / "ca.pem")
