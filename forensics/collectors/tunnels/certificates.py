"""Certificates as PEM: what each says of itself, and its digest."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import warnings
from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from forensics.model import utc
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_BLOCK = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]{1,100000})-----END")
_COLUMNS = (
    Column("path"),
    Column("sha256"),
    Column("subject"),
    Column("issuer"),
    Column("not_before", "time"),
    Column("not_after", "time"),
    Column("self_signed", "yes/no"),
)


def read(files: dict[str, list[str]]) -> tuple[Table, int]:
    """Make the table `tunnel_certificates` of lines by path; blocks that are no certificate are counted."""
    rows: list[tuple[Cell, ...]] = []
    bad = 0
    for path, lines in files.items():
        text = "\n".join(lines).encode()
        begun = text.count(b"-----BEGIN ")
        found = list(_certificates(path, text))
        bad += max(0, begun - len(found))
        rows.extend(found)
    return Table("tunnel_certificates", "Certificates of tunnels", _COLUMNS, tuple(rows)), bad


def _certificates(path: str, text: bytes) -> Iterator[tuple[Cell, ...]]:
    for match in _BLOCK.finditer(text):
        try:
            raw = base64.b64decode(b"".join(match[1].split()), validate=True)
        except (binascii.Error, ValueError):
            continue
        yield path, hashlib.sha256(raw).hexdigest(), *_said(raw)


def _said(raw: bytes) -> tuple[Cell, ...]:
    """Give subject, issuer, times and whether it is its own issuer; what cannot be read is absent."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one = x509.load_der_x509_certificate(raw)
            subject, issuer = one.subject.rfc4514_string(), one.issuer.rfc4514_string()
            times = (one.not_valid_before_utc, one.not_valid_after_utc)
    except (ValueError, TypeError, x509.InvalidVersion, OverflowError) as error:
        none = Absent(f"not a certificate that can be read: {decode(str(error).encode())[:100]}")
        return none, none, none, none, none
    return subject, issuer, _moment(times[0]), _moment(times[1]), subject == issuer


def _moment(when: datetime) -> str:
    return utc(when)
