"""The PDF is made apart, with limits, of nothing but the page."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import warnings
from pathlib import Path

import pikepdf
import pypdf
import pytest

from forensics.errors import StageFailed
from forensics.rendering import pdf
from forensics.rendering.blocks import GridColumn, Section, Words, grid
from forensics.rendering.document import html
from forensics.rendering.page import Head, page
from forensics.rendering.pdf import Attached, Printed, PrintLimits, print_pdf
from tests.rendering import synthetic

RENDERING = Path(pdf.__file__).parent


class NotJudged(UserWarning):
    """A program that would have judged is not here; the tests' summary says so."""


STAMP = "2026-11-23T20:15:00.000000Z"


def printed(folder: Path, page: str, name: str = "report.pdf", limits: PrintLimits | None = None) -> Path:
    source = folder / "page.html"
    source.write_text(page, encoding="utf-8")
    ledger = folder / "custody.jsonl"
    ledger.write_text('{"sequence":0}\n', encoding="ascii")
    output = folder / name
    sheet = folder / "rows-01.csv"
    sheet.write_text("a,b\r\n", encoding="ascii")
    attached = [Attached(sheet, sheet.name, "Rows"), Attached(ledger, "custody.jsonl", "The ledger", "Source")]
    print_pdf(source, output, stamp=STAMP, attached=attached, limits=limits)
    return output


def small(folder: Path, *words: str, limits: PrintLimits | None = None) -> Printed:
    source = folder / "small.html"
    source.write_text(page(Head("small", printed=True), Section("c", "Small", tuple(map(Words, words))), []))
    return print_pdf(source, folder / "small.pdf", stamp=STAMP, limits=limits)


def words_of(path: Path) -> str:
    return subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True, text=True).stdout


pytestmark = pytest.mark.filterwarnings("default:veraPDF")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return printed(tmp_path_factory.mktemp("pdf"), html(synthetic.record(synthetic.HOSTILE), printed=True))


def test_the_pdf_is_whole_tagged_and_titled(report: Path) -> None:
    checked = subprocess.run(["qpdf", "--check", report], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    document = pypdf.PdfReader(report)
    assert str(document.root_object["/Lang"]) == "en"
    assert document.metadata is not None
    assert document.metadata.title == "2026-0042: Unexpected traffic from web01"
    shown = subprocess.run(["pdfinfo", report], capture_output=True, check=True, text=True).stdout
    assert "Tagged:          yes" in shown
    assert "JavaScript:      no" in shown


def test_the_pdf_has_bookmarks_and_carries_the_ledger(report: Path) -> None:
    document = pypdf.PdfReader(report)
    titles = {str(entry["/Title"]) for entry in document.outline if isinstance(entry, dict)}
    assert "Exhibits" in titles
    assert set(document.attachments) == {"custody.jsonl", "rows-01.csv"}


def test_attachments_say_what_they_are_to_the_document(report: Path) -> None:
    with pikepdf.open(report) as document:
        specs = {str(one["/UF"]): one for one in document.Root["/AF"]}
        assert len(specs) == len(document.Root["/AF"]) == 2
        assert [str(name) for name in document.Root["/Names"]["/EmbeddedFiles"]["/Names"]][::2] == sorted(specs)
        assert str(specs["custody.jsonl"]["/AFRelationship"]) == "/Source"
        assert str(specs["custody.jsonl"]["/EF"]["/F"]["/Subtype"]) == "/application/x-ndjson"
        assert str(specs["rows-01.csv"]["/EF"]["/F"]["/Subtype"]) == "/text/csv"
        assert str(specs["rows-01.csv"]["/EF"]["/F"]["/Params"]["/ModDate"]) == "D:20261123201500Z"


def test_the_pdf_says_that_it_is_for_the_archive(report: Path) -> None:
    with pikepdf.open(report) as document:
        with document.open_metadata() as metadata:
            assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "A")
        assert bool(document.Root["/MarkInfo"]["/Marked"])
        assert "/StructTreeRoot" in document.Root
        assert str(document.Root["/OutputIntents"][0]["/S"]) == "/GTS_PDFA1"
        assert "/JavaScript" not in document.Root["/Names"]
        assert str(document.docinfo["/Author"]) == "Ada Examiner"
        assert "As of ledger entry 19, sha256:" in str(document.docinfo["/Subject"])


def test_the_tools_of_others_take_the_attachments_out_whole(report: Path, tmp_path: Path) -> None:
    subprocess.run(["pdfdetach", "-saveall", "-o", tmp_path, report], check=True, capture_output=True)
    assert (tmp_path / "custody.jsonl").read_text() == '{"sequence":0}\n'


def test_a_character_that_no_font_has_is_written_by_its_number_and_told(tmp_path: Path) -> None:
    made = small(tmp_path, "name \u4e2d\u0378\u0416")
    assert made.lacking == ("\u4e2d",)
    said = words_of(tmp_path / "small.pdf")
    assert "\\u4e2d" in said
    assert "\u0416" in said


def test_what_a_target_can_write_at_length_does_not_stop_the_print(tmp_path: Path) -> None:
    tall = grid("tall", [GridColumn("a"), GridColumn("b", mono=True)], [("w" * 200_000, "v" * 200_000)] * 30)
    source = tmp_path / "long.html"
    source.write_text(page(Head("long", printed=True), Section("c", "x" * 200_000, (Words("y" * 200_000), tall)), []))
    made = print_pdf(source, tmp_path / "long.pdf", stamp=STAMP, limits=PrintLimits(seconds=120))
    assert made.pages < 20


def test_the_child_has_no_network(tmp_path: Path) -> None:
    ways = (["--user", "--net"], ["--net"])  # a chroot forbids the first, and root may take the second
    tried = [subprocess.run(["unshare", *way, "true"], capture_output=True, check=False) for way in ways]
    assert small(tmp_path, "one").without_network == any(one.returncode == 0 for one in tried)


def test_every_font_is_embedded(report: Path) -> None:
    listed = subprocess.run(["pdffonts", report], capture_output=True, check=True, text=True).stdout.splitlines()[2:]
    assert listed
    assert all(line.split()[-5] == "yes" for line in listed)


def test_neither_pages_nor_templates_claim_conformance(report: Path) -> None:
    own = [path.read_text(encoding="utf-8") for path in (RENDERING / "templates").iterdir()]
    code = [path.read_text(encoding="utf-8") for path in RENDERING.glob("*.py")]
    for told in (words_of(report), *own, *code):
        assert not re.search(r"\b(compliant|certified)\b", told, re.IGNORECASE)


def test_verapdf_finds_it_in_order_where_it_is_installed(report: Path) -> None:
    judge = shutil.which("verapdf")
    if judge is None:
        warnings.warn("veraPDF is not installed: nobody judged whether this is PDF/A-3a", NotJudged, stacklevel=1)
        return
    done = subprocess.run([judge, "--flavour", "3a", "--format", "text", report], capture_output=True, check=False)
    assert done.stdout.startswith(b"PASS"), done.stdout


def test_nothing_in_the_pdf_leads_outside(report: Path) -> None:
    raw = subprocess.run(["qpdf", "--qdf", "--object-streams=disable", report, "-"], capture_output=True, check=True)
    assert b"/URI" not in raw.stdout.replace(b"/URI /", b"")
    assert b"/JavaScript" not in raw.stdout
    assert b"/Launch" not in raw.stdout


def test_the_same_page_gives_the_same_bytes(tmp_path: Path) -> None:
    page = html(synthetic.record())
    first = printed(tmp_path, page, "first.pdf").read_bytes()
    assert first == printed(tmp_path, page, "second.pdf").read_bytes()


@pytest.mark.parametrize(
    "markup",
    [
        '<link rel="stylesheet" href="file:///etc/passwd">',
        '<img src="http://127.0.0.1:9/x.png">',
        '<link rel="attachment" href="file:///etc/hostname">',
        "<style>@import url(file:///etc/passwd);</style>",
    ],
)
def test_a_page_that_asks_for_a_file_is_refused(tmp_path: Path, markup: str) -> None:
    with pytest.raises(StageFailed, match="nothing is fetched"):
        printed(tmp_path, f"<!DOCTYPE html><html><head><title>x</title>{markup}</head><body>{markup}</body></html>")
    assert not (tmp_path / "report.pdf").exists()


def test_a_child_that_needs_too_much_memory_is_a_failed_report(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="PDF could not be made"):
        printed(tmp_path, html(synthetic.record()), limits=PrintLimits(memory=96 << 20))
    assert not (tmp_path / "report.pdf").exists()


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    rows = "<tr><td>x</td></tr>" * 60_000
    began = time.monotonic()
    with pytest.raises(StageFailed):
        printed(
            tmp_path, f"<html><head><title>x</title></head><table>{rows}</table></html>", limits=PrintLimits(seconds=2)
        )
    assert time.monotonic() - began < 20


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    missing = [name for name in ("qpdf", "pdffonts", "pdfinfo") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"not on this machine: {missing}; the packages are in debian-packages.txt")
