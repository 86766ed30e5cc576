"""A report that was changed is found to be, each change with words of its own; checked without anything of ours."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from forensics import reissue, signed, verify
from forensics.casefile import Case
from forensics.model import Exhibit
from forensics.progress import Silent
from forensics.rendering import signature
from forensics.ssh import Secret
from tests import authority, casework, certificates


@dataclasses.dataclass(frozen=True)
class Reported:
    case: Case
    unsigned: Path
    signed: Path
    exhibits: tuple[Exhibit, ...]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    root = tmp_path_factory.mktemp("reported")
    case = casework.new_case(root)
    casework.enter_one(case)
    own = certificates.make(root / "certificate")
    with authority.serving(authority.make(root / "tsa")) as tsa:
        credentials = signature.from_file(own.file, Secret(certificates.PASSWORD))
        made = signed.render(case, credentials, signature.Stamper(tsa.url, tsa.roots), Silent())
    paths = [case.path(one) for one in made if one.path.suffix == ".pdf"]
    return Reported(case, paths[0], paths[1], made)


def changed(source: Path, folder: Path, change: Callable[[bytearray], None], name: str = "report.pdf") -> Path:
    content = bytearray(source.read_bytes())
    change(content)
    (folder / name).write_bytes(content)
    return folder / name


def said(path: Path, code: int = verify.DAMAGED) -> str:
    result = verify.verify(path)
    assert result.code == code, result
    return "\n".join(f"{one.where}: {one.what}" for one in result.problems)


def revised(
    source: Path, path: Path, swapped: dict[str, bytes] | None = None, *, without_signature: bool = False
) -> Path:
    """Add a revision, and swap what is attached or empty the signature's field, as an editor of PDFs would."""
    with source.open("rb") as file:
        writer = IncrementalPdfFileWriter(file)
        listed = writer.root["/Names"]["/EmbeddedFiles"]["/Names"]
        specs = {str(listed[n]): listed[n + 1] for n in range(0, len(listed), 2)}
        for name, content in (swapped or {}).items():
            stream = specs[name]["/EF"].raw_get("/F").get_object()
            stream._data, stream._encoded_data = content, None
            writer.update_container(stream)
        if without_signature:
            field = writer.root["/AcroForm"]["/Fields"][0]
            del field["/V"]
            writer.update_container(field)
        writer.update_root()  # type: ignore[no-untyped-call]
        out = io.BytesIO()
        writer.write(out)  # type: ignore[no-untyped-call]
    path.write_bytes(out.getvalue())
    return path


def test_both_reports_are_good_and_the_signed_one_tells_by_whom(reported: Reported) -> None:
    plain, whole = verify.verify(reported.unsigned), verify.verify(reported.signed)
    assert (plain.code, whole.code) == (verify.OK, verify.OK), (plain.problems, whole.problems)
    assert any("not signed" in one for one in plain.notes)
    assert whole.anchors == ["the whole report is signed by Ada Examiner, says pdfsig"]
    assert whole.entries == plain.entries == 2


def test_the_file_runs_alone_and_says_it_in_json(reported: Reported, tmp_path: Path) -> None:
    alone = shutil.copy(verify.__file__, tmp_path / "verify.py")
    command = [sys.executable, "-I", str(alone), str(reported.signed), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["kind"] == "report"


def test_the_case_holds_both_and_is_clean(reported: Reported) -> None:
    assert verify.verify(reported.case.folder).code == verify.OK
    facts = reported.exhibits[-1].facts
    assert facts["signed"] is True
    assert str(facts["certificate"]).startswith("sha256:")
    assert certificates.PASSWORD.encode() not in (reported.case.folder / "custody.jsonl").read_bytes()


def test_a_second_signature_is_not_made_when_one_stands(reported: Reported) -> None:
    before = len(reported.case.exhibits())
    assert reissue.render(reported.case, Silent())[0].number == reported.exhibits[0].number
    assert len(reported.case.exhibits()) == before


def test_a_flipped_byte_is_found(reported: Reported, tmp_path: Path) -> None:
    def flip(content: bytearray) -> None:
        content[content.index(b"/Length") + 400] ^= 1

    assert "the signed bytes were changed" in said(changed(reported.signed, tmp_path, flip))


def test_appended_bytes_are_found_though_pdfsig_calls_the_signature_valid(reported: Reported, tmp_path: Path) -> None:
    path = changed(reported.signed, tmp_path, lambda content: content.extend(b"\n% more\n"))
    told = subprocess.run(["pdfsig", "-nocert", path], capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" in told
    assert "bytes were appended behind what was signed" in said(path)


def test_a_signature_that_was_cut_off_is_missed(reported: Reported, tmp_path: Path) -> None:
    shutil.copy(reported.unsigned, tmp_path / "case-signed.pdf")
    assert "the signature was removed" in said(tmp_path / "case-signed.pdf")


def test_a_signature_that_was_taken_out_of_its_field_is_missed(reported: Reported, tmp_path: Path) -> None:
    told = said(revised(reported.signed, tmp_path / "a.pdf", without_signature=True))
    assert "the signature was removed: its field is empty" in told


def test_a_further_revision_is_found(reported: Reported, tmp_path: Path) -> None:
    assert "a further revision was added after the signature" in said(revised(reported.signed, tmp_path / "a.pdf"))
    assert "a further revision was added after it was made" in said(revised(reported.unsigned, tmp_path / "b.pdf"))


def test_a_swapped_attachment_is_found_by_its_name(reported: Reported, tmp_path: Path) -> None:
    told = said(revised(reported.signed, tmp_path / "a.pdf", {"exhibits.json": b"[]"}))
    assert "attachment exhibits.json: it is another than was attached" in told
    assert "attachment exhibits.json: the further revision swapped it" in told
    assert "E0001 is listed otherwise than entered" in told


def test_a_ledger_that_ends_elsewhere_is_found(reported: Reported, tmp_path: Path) -> None:
    with pikepdf.open(reported.unsigned) as document:
        ledger = document.attachments["custody.jsonl"].get_file().read_bytes()
        about = json.loads(document.attachments["report.json"].get_file().read_bytes())
    cut = b"".join(ledger.splitlines(keepends=True)[:-1])
    about["attached"]["custody.jsonl"] = {"size": len(cut), "digest": f"sha256:{hashlib.sha256(cut).hexdigest()}"}
    forged = {"custody.jsonl": cut, "report.json": json.dumps(about).encode()}
    told = said(revised(reported.unsigned, tmp_path / "a.pdf", forged))
    assert f"the report is as of entry {about['as_of']}, which is another" in told


def test_a_report_that_another_program_wrote_anew_is_never_called_good(reported: Reported, tmp_path: Path) -> None:
    with pikepdf.open(reported.signed) as document:
        document.save(tmp_path / "a.pdf")
    assert verify.verify(tmp_path / "a.pdf").code in {verify.DAMAGED, verify.UNREADABLE}


def test_a_head_kept_elsewhere_has_to_be_in_the_report(reported: Reported) -> None:
    head = reported.case.events()[1].digest
    assert verify.verify(reported.signed, head).code == verify.OK
    assert verify.verify(reported.signed, "sha256:" + "0" * 64).code == verify.DAMAGED


def test_without_pdfsig_it_is_said_that_the_signer_was_not_checked(
    reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "who signed was not checked" in said(reported.signed, verify.UNREADABLE)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n", b"%PDF-1.7\nstartxref\n0\n%%EOF\n", b"not a PDF"])
def test_what_is_no_report_cannot_be_checked(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pdf").write_bytes(content)
    assert "cannot be read as a report" in said(tmp_path / "a.pdf", verify.UNREADABLE)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(min_value=0, max_value=1), put=st.binary(min_size=1, max_size=12))
def test_a_report_that_was_made_to_confuse_is_answered_all_the_same(
    reported: Reported, tmp_path: Path, at: float, put: bytes
) -> None:
    content = reported.unsigned.read_bytes()
    where = len(content) - int(at * 4000) if at < 0.5 else int(at * len(content))  # the cross-references are at the end
    (tmp_path / "a.pdf").write_bytes(content[:where] + put + content[where + len(put) :])
    assert verify.verify(tmp_path / "a.pdf").code in {verify.OK, verify.DAMAGED, verify.UNREADABLE}


def test_cross_references_without_end_take_no_memory(tmp_path: Path) -> None:
    table = zlib.compress(b"\1\0\0\0\0\0")
    about = f"<</Type /XRef /W [1 4 1] /Index [0 99999999999] /Size 9 /Filter /FlateDecode /Length {len(table)}>>"
    body = b"%PDF-1.7\n1 0 obj\n" + about.encode() + b"\nstream\n" + table + b"\nendstream\nendobj\n"
    (tmp_path / "a.pdf").write_bytes(body + b"startxref\n9\n%%EOF\n")
    assert "cannot be read as a report" in said(tmp_path / "a.pdf", verify.UNREADABLE)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_any_changed_bit_of_a_signed_report_is_found(reported: Reported, tmp_path: Path, at: int, bit: int) -> None:
    content = bytearray(reported.signed.read_bytes())
    at %= len(content)
    content[at] ^= 1 << bit
    (tmp_path / "a.pdf").write_bytes(content)
    same = at in within_the_certificates(bytes(content))
    assert same or verify.verify(tmp_path / "a.pdf").code != verify.OK


def within_the_certificates(content: bytes) -> range:
    """The signature's own bytes: other certificates and the time stamp in them vouch for the same document."""
    found = re.search(rb"/ByteRange \[0 (\d+) (\d+)", content)
    return range(int(found[1]), int(found[2])) if found else range(0)


def test_a_signature_is_followed_by_nothing_in_its_place(reported: Reported, tmp_path: Path) -> None:
    def pad(content: bytearray) -> None:
        content[within_the_certificates(bytes(content)).stop - 3] = ord("1")

    assert "something stands in the signature's place" in said(changed(reported.signed, tmp_path, pad))
