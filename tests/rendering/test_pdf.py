"""The PDF is made apart, with limits, of nothing but the page."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pypdf
import pytest

from forensics.errors import StageFailed
from forensics.rendering.document import html
from forensics.rendering.pdf import Attached, PrintLimits, print_pdf
from tests.rendering import synthetic

STAMP = "2026-11-23T20:15:00.000000Z"


def printed(folder: Path, page: str, name: str = "report.pdf", limits: PrintLimits | None = None) -> Path:
    source = folder / "page.html"
    source.write_text(page, encoding="utf-8")
    ledger = folder / "custody.jsonl"
    ledger.write_text('{"sequence":0}\n', encoding="ascii")
    output = folder / name
    print_pdf(source, output, stamp=STAMP, attached=[Attached(ledger, "custody.jsonl", "The ledger")], limits=limits)
    return output


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return printed(tmp_path_factory.mktemp("pdf"), html(synthetic.record(synthetic.HOSTILE)))


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
    assert set(document.attachments) == {"custody.jsonl"}


def test_every_font_is_embedded(report: Path) -> None:
    listed = subprocess.run(["pdffonts", report], capture_output=True, check=True, text=True).stdout.splitlines()[2:]
    assert listed
    assert all(line.split()[-5] == "yes" for line in listed)


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
