"""A port of the target's loopback over TLS, by the target's own stunnel: where the analyst chooses it (--tls).

Keys and certificates are made for this one acquisition. Both sides take exactly the other's certificate and no other,
whoever signed it. stunnel reads its files on tmpfs, shuts itself in an empty folder there (chroot) and becomes nobody;
what it says on stderr is the transcript. Whether the sender ends with 0 proves nothing: what counts is what arrived.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from forensics import text
from forensics.errors import Refused, StageFailed, TargetError
from forensics.host import MIB, Change, Host
from forensics.lime import ports
from forensics.model import JSON

PROGRAMS = ("stunnel4", "stunnel", "stunnel5")
"""stunnel's names, by distribution."""

_OPENING = 20.0  # seconds for stunnel to listen, and for the connection
_NAME = "forensics"
_SETTINGS = """foreground = yes
pid =
syslog = no
debug = info
chroot = {place}/jail
setuid = 65534
setgid = 65534
[memory]
accept = {address}:{outer}
connect = 127.0.0.1:{port}
cert = {place}/server.crt
key = {place}/server.key
verifyPeer = yes
CAfile = {place}/client.crt
sslVersionMin = TLSv1.2
TIMEOUTclose = 0
"""
# The path is of a folder with 128 random bits in its name: no stunnel but ours has it among its words.
_EACH = """ours() { for d in /proc/[0-9]*; do
 { read -r c <"$d/comm"; } 2>/dev/null || continue
 case $c in stunnel*) grep -qsF -- "$0" "$d/cmdline" && echo "${d#/proc/}";; esac
done; }
"""
_END = (
    _EACH
    + "for p in $(ours); do kill -s TERM $p; done; i=0\n"
    + (
        'while [ -n "$(ours)" ] && [ "$i" -lt 20 ]; do i=$((i+1)); sleep 0.2 2>/dev/null || sleep 1; done\n'
        "for p in $(ours); do kill -s KILL $p; done; sleep 0.2 2>/dev/null || sleep 1\n"
    )
)
_GONE = _EACH + '[ -z "$(ours)" ]'


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate that signs itself, and its key; in PEM."""

    certificate: bytes
    key: bytes

    @property
    def der(self) -> bytes:
        """The certificate as it travels."""
        return x509.load_pem_x509_certificate(self.certificate).public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> str:
        """The digest by which it is known on record."""
        return f"sha256:{hashlib.sha256(self.der).hexdigest()}"


def pair(role: str) -> Pair:
    """Make a key on P-256 and a certificate of it, good for two days: clocks differ."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{_NAME} {role}")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{role}.{_NAME}.invalid")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A stunnel that runs on the target; each `open` is one TLS connection to it."""

    address: str
    outer: int
    server: Pair
    client: Pair
    record: dict[str, JSON] = field(default_factory=dict)

    @contextmanager
    def open(self, port: int) -> Iterator[Encrypted]:
        """Connect through it; StageFailed when the other side is not who it has to be, or nobody answers."""
        del port  # it is in stunnel's settings
        try:
            plain = socket.create_connection((self.address, self.outer), timeout=_OPENING)
            wrapped = _context(self.server, self.client).wrap_socket(plain, suppress_ragged_eofs=False)
        except (OSError, ValueError) as problem:
            raise self._refused(str(problem)) from None
        with wrapped:
            if wrapped.getpeercert(binary_form=True) != self.server.der:
                raise self._refused("its certificate is not the one that was put there")
            self.record["tls"] = {"version": wrapped.version(), "cipher": str((wrapped.cipher() or ("",))[0])}
            yield Encrypted(wrapped)

    def _refused(self, why: str) -> StageFailed:
        return StageFailed(
            "there is no TLS connection to the target's memory port",
            where=f"{self.address}:{self.outer}",
            why=text.show(why, 300),
            remedy="let this machine through the target's packet filter to that port, or go without --tls",
        )


@dataclass(frozen=True, slots=True)
class Encrypted:
    """Bytes that came over TLS; `host.Channel`."""

    wrapped: ssl.SSLSocket

    def read(self, size: int = MIB) -> bytes:
        """Give at least one byte and at most `size`; b"" at the end, which the other side has to have said."""
        while True:
            try:
                return self.wrapped.recv(size)
            except TimeoutError:
                continue
            except (ssl.SSLError, OSError) as problem:
                raise StageFailed("the TLS connection to the target broke", why=text.show(str(problem), 300)) from None


@contextmanager
def tunnel(host: Host, port: int, tools: Mapping[str, str], place: Path, record: dict[str, JSON]) -> Iterator[Tunnel]:
    """Run stunnel before a port of the loopback; afterwards it has ended, and was looked for."""
    program = next((tools[name] for name in PROGRAMS if name in tools), "")
    if not program or not host.address:
        raise Refused(
            "the memory port cannot be reached over TLS",
            where=host.label,
            why="stunnel is not there" if host.address else "the target is reached through another machine only",
            remedy="go without --tls: the port is then carried by SSH",
        )
    outer, server, client = ports.free(host, port), pair("server"), pair("client")
    address = "127.0.0.1" if host.address.startswith("127.") else "0.0.0.0"  # noqa: S104 - pinned on both sides
    _furnish(
        host, place, {"server.crt": server.certificate, "server.key": server.key, "client.crt": client.certificate}
    )
    settings = place / "stunnel.conf"
    words = _SETTINGS.format(place=place, address=address, outer=outer, port=port)
    host.put(words.encode(), settings)
    told: dict[str, JSON] = {"server": server.fingerprint, "client": client.fingerprint, "port": outer}
    record |= {"carried_by": f"TLS, by {program} on port {outer}", "certificates": told}
    change = Change(
        kind="process",
        subject=f"stunnel on {address}:{outer}, in {place}/jail",
        undo=("/bin/sh", "-c", _END, str(settings)),
        gone=("/bin/sh", "-c", _GONE, str(settings)),
        details="ends when memory has come; as nobody, its certificates pinned on both sides",
    )
    with host.change(change), host.stream(program, str(settings), root=True) as running:
        try:
            _wait(host, outer)
            yield Tunnel(host.address, outer, server, client, record)
        finally:
            with suppress(TargetError):
                running.stop("TERM")
                record["stunnel_log"] = [text.show(line, 300) for line in running.ended().stderr.splitlines()[-40:]]


def _furnish(host: Host, place: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        host.put(content, place / name)
    host.run("mkdir", "-m", "711", "--", str(place / "jail"), root=True, expect=True)


def _wait(host: Host, port: int) -> None:
    limit = time.monotonic() + _OPENING
    while not ports.listeners(host, port):
        if time.monotonic() > limit:
            raise StageFailed(
                "stunnel does not listen on the target",
                where=f"{host.label}, port {port}",
                why=f"nothing listened there within {_OPENING:.0f} s",
                remedy="see its log in the acquisition record, or go without --tls",
            )
        time.sleep(0.2)


def _context(server: Pair, client: Pair) -> ssl.SSLContext:
    """Trust the one certificate, and show the other; the key is in memory only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python sets it since 3.10, for OpenSSL 3 to be as forgiving as older ones: a stream that was cut then ends well.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.check_hostname = False  # the certificate itself is compared
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=server.certificate.decode())
    memory = os.memfd_create("client")
    try:
        os.write(memory, client.key + client.certificate)
        context.load_cert_chain(f"/proc/self/fd/{memory}")
    finally:
        os.close(memory)
    return context
