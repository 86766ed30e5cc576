"""Time stamps by an outside authority (RFC 3161), asked for over HTTP and checked with `openssl ts`.

A stamp shows that its authority saw these bytes not later than its time. It counts here only when nonce, imprint, the
authority's certificate (critical extendedKeyUsage timeStamping) and its chain to a root that was given were checked.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from forensics import tools
from forensics.errors import CaseError, UsageError

SYSTEM_ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")
PATIENCE = 20.0
"""Seconds for an authority to answer."""
LIMIT = 1 << 18
"""Bytes of an answer; a token has a few thousand."""
_TIME = re.compile(r"^Time stamp: (.*)$", re.MULTILINE)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Stamp:
    """An authority's answer: the whole response in DER, its time, and the roots it was checked against, in PEM."""

    response: bytes
    time: str  # UTC, RFC 3339
    roots: str


def stamp(content: bytes, url: str, roots: Path | None = None) -> Stamp:
    """Have an authority put its time on these bytes; only their SHA-256 and a nonce are sent.

    `roots` are the certificates in PEM that are trusted for it (default: those of this system). Raises CaseError when
    it cannot be reached, refuses, or its answer does not hold.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError("not an authority's address", where=url, remedy="http://… or https://…")
    trusted = roots or SYSTEM_ROOTS
    with tempfile.TemporaryDirectory(prefix="forensics-") as folder:
        place = Path(folder)
        data, query, answer = place / "data", place / "query.tsq", place / "answer.tsr"
        data.write_bytes(content)
        _openssl(["-query", "-data", str(data), "-sha256", "-cert", "-out", str(query)], url)
        answer.write_bytes(ask(query.read_bytes(), url, roots))
        _openssl(["-verify", "-data", str(data), "-in", str(answer), "-CAfile", str(trusted)], url)
        moment = _time(_openssl(["-reply", "-in", str(answer), "-text"], url), url)
        kept = _roots(answer, trusted, url) if roots is None else "".join(_PEM.findall(_text(trusted)))
        return Stamp(answer.read_bytes(), moment, kept)


def ask(query: bytes, url: str, roots: Path | None = None) -> bytes:
    """Send a query (RFC 3161, in DER) and give the response, once nonce, imprint and certificates were checked.

    Raises CaseError when the authority cannot be reached, refuses, or its answer does not hold.
    """
    with tempfile.TemporaryDirectory(prefix="forensics-") as folder:
        asked, answer = Path(folder) / "query.tsq", Path(folder) / "answer.tsr"
        asked.write_bytes(query)
        answer.write_bytes(_send(query, url))
        trusted = str(roots or SYSTEM_ROOTS)
        _openssl(["-verify", "-queryfile", str(asked), "-in", str(answer), "-CAfile", trusted], url)
        return answer.read_bytes()


def _send(query: bytes, url: str) -> bytes:
    request = urllib.request.Request(url, query, {"Content-Type": "application/timestamp-query"})  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:  # noqa: S310 - checked above
            answer: bytes = reply.read(LIMIT + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise CaseError("the time stamp authority gave no answer", where=url, why=str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise CaseError("the time stamp authority gave no answer", where=url, why=str(error)) from error
    if len(answer) > LIMIT:
        raise CaseError("the time stamp authority gave no answer", where=url, why=f"more than {LIMIT} bytes came")
    return answer


def _openssl(words: Sequence[str], url: str) -> str:
    command = [str(tools.require("openssl")), "ts", *words]
    done = subprocess.run(
        command, capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL, env={"LC_ALL": "C"}
    )
    if done.returncode:
        raise CaseError("the time stamp does not hold", where=url, why=reason(done.stderr))
    return done.stdout.decode("utf-8", "replace")


def reason(stderr: bytes) -> str:
    """Give what OpenSSL says of an error without its file and line."""
    lines = [one for one in stderr.decode("utf-8", "replace").splitlines() if ":error:" in one]
    parts = lines[-1].split(":") if lines else []
    told = [one for one in (parts[3:4] + parts[6:] if parts else []) if one.strip()]
    return ": ".join(told) or "openssl did not accept it"


def _time(text: str, url: str) -> str:
    found = _TIME.search(text)
    if found is None:
        raise CaseError("the time stamp does not hold", where=url, why="it names no time")
    whole = re.sub(r"\.\d+", "", found[1].strip())
    moment = datetime.strptime(whole, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _roots(answer: Path, bundle: Path, url: str) -> str:
    """Give the system's roots that the token's certificates name as issuer, to travel with the stamp."""
    token = answer.with_suffix(".p7")
    _openssl(["-reply", "-in", str(answer), "-token_out", "-out", str(token)], url)
    told = subprocess.run(
        [str(tools.require("openssl")), "pkcs7", "-inform", "DER", "-in", str(token), "-print_certs"],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    issuers = {one.issuer for one in x509.load_pem_x509_certificates(told.stdout)}
    parts = _PEM.findall(_text(bundle))
    return "".join(one for one in parts if x509.load_pem_x509_certificate(one.encode()).subject in issuers)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise UsageError("the authority's roots cannot be read", where=str(path), why=str(error.strerror)) from error
