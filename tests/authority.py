"""A time stamp authority on loopback, answered by `openssl ts`, and SSH keys to sign with."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """
[tsa]
default_tsa = one
[one]
dir = {folder}
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
certs = {folder}/ca.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[stamping]
extendedKeyUsage = critical,timeStamping
[other]
extendedKeyUsage = serverAuth
"""


def ssh_key(folder: Path, name: str = "id", passphrase: str = "") -> Path:
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "a test key", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


@dataclass
class Authority:
    """`fault`: "nonce" answers an older query, "hash" another imprint, "short" cuts its answer, "refuse" has status 2,
    "status" HTTP 500, "slow" comes after five seconds."""

    folder: Path
    url: str = ""
    fault: str = ""
    asked: int = 0

    @property
    def roots(self) -> Path:
        return self.folder / "ca.pem"

    def answer(self, query: bytes) -> bytes:
        asked = self.folder / "query"
        if self.fault != "nonce" or not asked.exists():
            asked.write_bytes(query)
        if self.fault == "hash":
            imprint = query.index(b"\x04\x20") + 2  # an OCTET STRING of 32 bytes
            asked.write_bytes(query[:imprint] + bytes(32) + query[imprint + 32 :])
        if self.fault == "slow":
            time.sleep(5)
        if self.fault == "refuse":
            return bytes.fromhex("30053003020102")
        config = ["-config", str(self.folder / "config"), "-section", "one"]
        words = ["openssl", "ts", "-reply", *config, "-queryfile", str(asked), "-out", str(self.folder / "answer")]
        subprocess.run(words, check=True, capture_output=True)
        content = (self.folder / "answer").read_bytes()
        return content[:-40] if self.fault == "short" else content


def make(folder: Path, usage: str = "stamping", days: str = "3650", begin: str = "") -> Authority:
    """Make a root and a stamping certificate; `usage` "other": one that may not stamp."""
    folder.mkdir()
    (folder / "config").write_text(CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    config = ["-config", str(folder / "config")]
    fake = ["faketime", begin] if begin else []

    def run(*words: str) -> None:
        subprocess.run([*fake, "openssl", *words], check=True, capture_output=True)

    key = ["-newkey", "rsa:2048", "-nodes"]
    run(
        *["req", "-x509", *key, *config, "-extensions", "ca", "-subj", "/CN=Test Root", "-days", "9000"],
        *["-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.pem")],
    )
    run(
        *["req", "-new", *key, *config, "-subj", "/CN=Test Authority"],
        *["-keyout", str(folder / "tsa.key"), "-out", str(folder / "tsa.csr")],
    )
    run(
        *[
            "x509",
            "-req",
            "-in",
            str(folder / "tsa.csr"),
            "-CA",
            str(folder / "ca.pem"),
            "-CAkey",
            str(folder / "ca.key"),
        ],
        *["-set_serial", "7", "-days", days, "-extfile", str(folder / "config"), "-extensions", usage],
        *["-out", str(folder / "tsa.pem")],
    )
    return Authority(folder)


@contextmanager
def serving(authority: Authority) -> Iterator[Authority]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            authority.asked += 1
            query = self.rfile.read(int(self.headers["Content-Length"]))
            content = authority.answer(query)
            self.send_response(500 if authority.fault == "status" else 200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(content)))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked is gone
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    authority.url = f"http://127.0.0.1:{server.server_address[1]}/tsa"
    try:
        yield authority
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
