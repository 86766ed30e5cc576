"""A report's signature: PAdES (ETSI EN 319 142-1), with a time stamp B-T, invisible, over the whole document.

It is put behind the unsigned file as an increment, so that the bytes of the unsigned one stay as they are. It allows
no change afterwards (DocMDP 1). What was signed is read again and checked before anyone is told that it is signed.
The certificate and its key come from a PKCS#12 file or from a PKCS#11 token; neither they nor a password are recorded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asn1crypto import tsp, x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields, signers
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from forensics import stamping
from forensics.errors import CaseError, Refused, ToolMissing, UsageError
from forensics.ssh.login import Secret

FIELD = "Examiner"
logging.getLogger("pyhanko").setLevel(logging.CRITICAL)  # it writes of every certificate that it cannot place
_USES = {"digital_signature", "non_repudiation"}


class Credentials:
    """Who signs: a certificate whose key is at hand. Not a dataclass: nothing of it is ever written down by accident."""

    def __init__(self, signer: Any) -> None:
        """Take a signer of pyHanko; Refused when its certificate may not sign now."""
        self.signer = signer
        self.certificate: x509.Certificate = signer.signing_cert
        _check(self.certificate)

    @property
    def subject(self) -> str:
        """Whose certificate it is, as it says itself."""
        return str(self.certificate.subject.human_friendly)

    @property
    def issuer(self) -> str:
        """Who gave it."""
        return str(self.certificate.issuer.human_friendly)

    @property
    def digest(self) -> str:
        """SHA-256 of the certificate in DER: its fingerprint."""
        return f"sha256:{hashlib.sha256(self.certificate.dump()).hexdigest()}"

    @property
    def until(self) -> str:
        """Until when it holds, UTC."""
        return _moment(self.certificate.not_valid_after)


@dataclass(frozen=True, slots=True)
class Stamper:
    """An authority that puts an outside time on the signature."""

    url: str
    roots: Path | None = None  # certificates trusted for it, PEM; None: this system's


@dataclass(frozen=True, slots=True)
class Signature:
    """What was found in the signed file when it was read again."""

    stamped: str  # time that the authority gave, UTC; "" without one


def from_file(path: Path, password: Secret | None) -> Credentials:
    """Read certificate and key from a PKCS#12 file; CaseError when the password is wrong or no key is in it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError("the certificate cannot be read", where=str(path), why=error.strerror or str(error)) from error
    word = password.reveal().encode() if password else None
    try:
        signer = signers.SimpleSigner.load_pkcs12_data(content, [], passphrase=word)
    except (ValueError, AttributeError, TypeError):
        raise CaseError(
            "the certificate's file does not open, and nothing was signed",
            where=str(path),
            why="it is no PKCS#12 file with certificate and key, or the password is another",
            remedy="--certificate-password-fd N gives the password",
        ) from None
    return Credentials(signer)


def from_token(module: Path, token: str, label: str, pin: Secret | None) -> Credentials:
    """Use a key on a PKCS#11 token, by the token's and the certificate's label; it stays open until the process ends."""
    if importlib.util.find_spec("pkcs11") is None:
        remedy = "install python-pkcs11 beside this program, or use a PKCS#12 file with --certificate"
        raise ToolMissing("no token can be used: the Python package python-pkcs11 is not installed", remedy=remedy)
    if not module.is_file():
        raise UsageError(
            "there is no such PKCS#11 module", where=str(module), remedy="the library of the token's maker"
        )
    from pyhanko.config.pkcs11 import TokenCriteria  # noqa: PLC0415 - only where there are tokens
    from pyhanko.sign.pkcs11 import PKCS11Signer, open_pkcs11_session  # noqa: PLC0415

    try:
        criteria = TokenCriteria(label=token)
        session = open_pkcs11_session(str(module), token_criteria=criteria, user_pin=pin.reveal() if pin else None)
        return Credentials(PKCS11Signer(session, cert_label=label))
    except Refused:
        raise
    except Exception as problem:  # noqa: BLE001 - whatever a maker's library says: it may hold the PIN
        why = type(problem).__name__
        raise CaseError("the token does not sign", where=f"{module}, token {token}", why=why) from None


def sign(unsigned: Path, signed: Path, credentials: Credentials, *, reason: str, stamper: Stamper | None) -> Signature:
    """Write a signed copy to a new file, and read it again; there is no such file when anything of it fails."""
    about = signers.PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        reason=reason,
        name=credentials.subject,
        subfilter=fields.SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES,
    )
    hand = signers.PdfSigner(
        about,
        credentials.signer,
        timestamper=_Authority(stamper) if stamper else None,
        new_field_spec=fields.SigFieldSpec(FIELD),
    )
    try:
        with unsigned.open("rb") as before, signed.open("xb+") as after, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Can not find any timezone")  # tzlocal, of a bare system: UTC is right
            hand.sign_pdf(IncrementalPdfFileWriter(before), output=after)
        return _read_again(unsigned, signed, credentials, stamped=stamper is not None)
    except BaseException:
        signed.unlink(missing_ok=True)
        raise


def _read_again(unsigned: Path, signed: Path, credentials: Credentials, *, stamped: bool) -> Signature:
    """Check that the signature holds, covers the whole file, and stands behind the unsigned bytes."""
    roots = ValidationContext(trust_roots=[credentials.certificate], allow_fetching=False)
    with signed.open("rb") as file:
        if file.read(unsigned.stat().st_size) != unsigned.read_bytes():
            raise CaseError("the signed copy is not the report with a signature behind it", where=str(signed))
        (found,) = PdfFileReader(file).embedded_signatures
        status = validate_pdf_signature(found, roots, ts_validation_context=roots)
    whole = status.coverage == SignatureCoverageLevel.ENTIRE_FILE
    time = status.timestamp_validity
    if not (status.intact and status.valid and whole) or (stamped and not (time and time.intact and time.valid)):
        raise CaseError("the signature does not hold, and nothing was signed", where=str(signed), why=status.summary())
    return Signature(_moment(time.timestamp) if time else "")


class _Authority(TimeStamper):
    """Asks through `stamping`, which checks what it is answered."""

    def __init__(self, stamper: Stamper) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stamper = stamper

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """Send the query, and give the answer that was checked against the roots."""
        return tsp.TimeStampResp.load(stamping.ask(req.dump(), self._stamper.url, self._stamper.roots))


def _check(certificate: x509.Certificate) -> None:
    """Refuse a certificate that is out of its time, or is not for signing documents."""
    now = datetime.now(UTC)
    begins, ends = certificate.not_valid_before, certificate.not_valid_after
    where = str(certificate.subject.human_friendly)
    if not begins <= now <= ends:
        why = f"it holds from {_moment(begins)} to {_moment(ends)}, and it is {_moment(now)}"
        what = "the certificate has expired" if now > ends else "the certificate does not hold yet"
        raise Refused(f"{what}, and nothing was signed", where=where, why=why, remedy="sign with one that holds")
    usage = certificate.key_usage_value
    if usage is not None and not _USES & set(usage.native):
        why = f"its key usage is {', '.join(sorted(usage.native))}"
        raise Refused("the certificate is not for signatures, and nothing was signed", where=where, why=why)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
