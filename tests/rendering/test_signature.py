"""A report is signed as a whole, with an outside time, or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pikepdf
import pytest

from forensics.errors import CaseError, ForensicsError, Refused, ToolMissing, UsageError
from forensics.rendering import signature
from forensics.rendering.blocks import Section, Words
from forensics.rendering.page import Head, page
from forensics.rendering.pdf import Attached, print_pdf
from forensics.ssh import Secret
from tests import authority, certificates
from tests.certificates import PASSWORD, Certificate

STAMP = "2026-11-23T20:15:00.000000Z"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificates.make(tmp_path_factory.mktemp("certificate") / "one")


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unsigned")
    source, ledger = folder / "page.html", folder / "custody.jsonl"
    source.write_text(page(Head("small", printed=True), Section("c", "Small", (Words("one"),)), []))
    ledger.write_text('{"sequence":0}\n')
    print_pdf(source, folder / "report.pdf", stamp=STAMP, attached=[Attached(ledger, ledger.name, "The ledger")])
    return folder / "report.pdf"


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> authority.Authority:
    return authority.make(tmp_path_factory.mktemp("authority") / "tsa")


@pytest.fixture(scope="module")
def signed(own: Certificate, unsigned: Path, tsa: authority.Authority) -> Path:
    path = unsigned.with_name("signed.pdf")
    with authority.serving(tsa) as served:
        stamper = signature.Stamper(served.url, served.roots)
        made = signature.sign(unsigned, path, opened(own), reason="Report of case X", stamper=stamper)
    assert made.stamped.endswith("Z")
    return path


def opened(own: Certificate, password: str = PASSWORD) -> signature.Credentials:
    return signature.from_file(own.file, Secret(password))


def refused(own: Certificate, unsigned: Path, target: Path, stamper: signature.Stamper | None = None) -> ForensicsError:
    with pytest.raises(ForensicsError) as caught:
        signature.sign(unsigned, target, opened(own), reason="x", stamper=stamper)
    assert not target.exists()
    return caught.value


def pdfsig(path: Path) -> str:
    return subprocess.run(["pdfsig", "-nocert", path], capture_output=True, check=False, text=True).stdout


def test_others_find_the_signature_good_and_over_the_whole_document(signed: Path) -> None:
    said = pdfsig(signed)
    assert "Signature is Valid" in said
    assert "Total document signed" in said
    assert "ETSI.CAdES.detached" in said
    assert subprocess.run(["qpdf", "--check", signed], capture_output=True, check=False).returncode == 0


def test_the_unsigned_bytes_stand_first_and_unchanged(signed: Path, unsigned: Path) -> None:
    assert signed.read_bytes().startswith(unsigned.read_bytes())


def test_the_signature_is_not_seen_and_allows_no_change(signed: Path) -> None:
    with pikepdf.open(signed) as document:
        (field,) = document.Root["/AcroForm"]["/Fields"]
        assert [int(one) for one in field["/Rect"]] == [0, 0, 0, 0]
        assert int(field["/F"]) & 4
        assert "/AP" not in field or len(field["/AP"]["/N"].read_bytes()) == 0
        assert int(document.Root["/Perms"]["/DocMDP"]["/Reference"][0]["/TransformParams"]["/P"]) == 1
        assert str(document.Root["/AF"][0]["/UF"]) == "custody.jsonl"
        assert "/NeedAppearances" not in document.Root["/AcroForm"]


def test_the_dates_of_the_document_and_of_its_metadata_agree(signed: Path) -> None:
    with pikepdf.open(signed) as document, document.open_metadata() as metadata:
        told = str(document.docinfo["/ModDate"])
        plain = "".join(one for one in str(metadata["xmp:ModifyDate"])[:19] if one.isdigit())
        assert told[2:16] == plain
        assert metadata["pdfaid:conformance"] == "A"


def test_openssl_finds_the_time_stamp_good(signed: Path, tsa: authority.Authority, tmp_path: Path) -> None:
    said = subprocess.run(["pdfsig", "-dump", signed], cwd=tmp_path, capture_output=True, check=False, text=True)
    (found,) = tmp_path.glob("*.sig*")
    assert said.returncode == 0
    told = ["openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", str(found)]
    assert "id-smime-aa-timeStampToken" in subprocess.run(told, capture_output=True, check=True, text=True).stdout
    assert tsa.asked >= 1


def test_a_wrong_password_signs_nothing_and_is_not_told(own: Certificate) -> None:
    with pytest.raises(CaseError, match="nothing was signed") as caught:
        opened(own, "another-canary")
    assert "canary" not in str(caught.value)


def test_a_missing_key_signs_nothing(own: Certificate, tmp_path: Path) -> None:
    keyless = tmp_path / "keyless.p12"
    words = [
        "pkcs12",
        "-export",
        "-nokeys",
        "-in",
        str(own.roots),
        "-passout",
        f"pass:{PASSWORD}",
        "-out",
        str(keyless),
    ]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    with pytest.raises(CaseError, match="nothing was signed"):
        opened(Certificate(keyless, own.roots))
    with pytest.raises(UsageError, match="cannot be read"):
        opened(Certificate(tmp_path / "none.p12", own.roots))


def test_an_expired_certificate_signs_nothing(unsigned: Path, tmp_path: Path) -> None:
    old = certificates.make(tmp_path / "old", begin="2020-01-01", days=30)
    problem = refused(old, unsigned, tmp_path / "signed.pdf")
    assert isinstance(problem, Refused)
    assert "has expired" in problem.what
    assert "2020-01-31" in problem.why


def test_a_certificate_for_something_else_signs_nothing(unsigned: Path, tmp_path: Path) -> None:
    other = certificates.make(tmp_path / "other", usage="server")
    assert "not for signatures" in refused(other, unsigned, tmp_path / "signed.pdf").what


@pytest.mark.parametrize("fault", ["status", "refuse", "short", "nonce"])
def test_without_a_good_time_stamp_there_is_no_signed_copy(
    own: Certificate, unsigned: Path, tsa: authority.Authority, tmp_path: Path, fault: str
) -> None:
    tsa.fault = fault
    (tsa.folder / "query").unlink(missing_ok=True)
    if fault == "nonce":
        (tsa.folder / "query").write_bytes(b"x")
    try:
        with authority.serving(tsa) as served:
            problem = refused(own, unsigned, tmp_path / "signed.pdf", signature.Stamper(served.url, served.roots))
    finally:
        tsa.fault = ""
    assert "time stamp" in str(problem)


def test_a_token_without_its_package_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises((ToolMissing, UsageError), match=r"token|module"):
        signature.from_token(tmp_path / "none.so", "t", "l", None)
