"""`forensics blockio report`, `compare` and `movie`: what they write is whole, and nothing is written over."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from forensics import blockio, tables
from forensics.blockio import movie
from forensics.blockio.captions import COMPARED, TITLES
from tests.blockio.test_show import CAPTURED, shown
from tests.blockio.traces import READ, C, D, Made, Q


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Two processors' files: a process writes at the start of the disk, then another reads at its end."""
    first, second = Made().name(100, b"writer").name(200, b"<b>reader</b>"), Made()
    for number in range(200):
        first.event(number * 1000, Q, 8 * number, 8).event(number * 1000 + 100, D, 8 * number, 8)
        second.event(number * 1000 + 500, C, 8 * number, 8)
        at, sector = 1_000_000 + number * 1000, 100_000 + 8 * number
        first.event(at, Q, sector, 8, pid=200, way=READ).event(at + 100, D, sector, 8, way=READ)
        second.event(at + 900, C, sector, 8, way=READ)
    for cpu, one in enumerate((first, second)):
        (tmp_path / f"sda.blktrace.{cpu}").write_bytes(one.content)
    return tmp_path / "sda"


def test_a_report_holds_every_table_every_picture_and_the_digest_of_what_was_read(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = shown("report", "--output", str(folder), "--title", "Disk of web01", "--drops", "0", "--json", str(made))
    assert done.returncode == 0, done.stderr
    written = [Path(path) for path in json.loads(done.stdout)["written"]]
    assert {path.name for path in written} == {path.name for path in folder.iterdir()}
    assert {f"{name}.svg" for name in TITLES} < {path.name for path in written}
    page = (folder / "report.html").read_text()
    assert "Disk of web01" in page
    assert "&lt;b&gt;reader&lt;/b&gt;" in page
    assert "<b>reader" not in page
    assert page.count('<img src="data:image/svg+xml') == len(TITLES)
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    for cpu in (0, 1):
        assert hashlib.sha256((tmp_path / f"sda.blktrace.{cpu}").read_bytes()).hexdigest() in page
    table = tables.read(folder / "block_io_processes.jsonl")
    assert [(row["process"], row["written_bytes"], row["read_bytes"]) for row in table] == [
        ("writer", 200 * 4096, 0),
        ("<b>reader</b>", 0, 200 * 4096),
    ]


def test_a_report_is_printed_and_small(tmp_path: Path) -> None:
    done = shown("report", "--output", str(tmp_path / "out"), "--pdf", str(CAPTURED))
    assert done.returncode == 0, done.stderr
    pdf = tmp_path / "out/report.pdf"
    assert pdf.stat().st_size < 400_000
    assert "Where the time went".lower() in "".join(page.extract_text() for page in PdfReader(pdf).pages).lower()


def test_captures_are_compared_side_by_side_with_their_ratio(made: Path, tmp_path: Path) -> None:
    slow = Made().event(0, Q, 8, 8).event(1000, D, 8, 8).event(9000, C, 8, 8)
    (tmp_path / "slow").write_bytes(slow.content)
    done = shown("compare", str(made), str(tmp_path / "slow"), "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    lines = {line[:28].strip(): line[38:] for line in done.stdout.splitlines()}
    assert lines["D2C average"].split() == ["0.0006", "0.008", "(13.33", "x)"]
    assert lines["writes completed"].split() == ["200", "1", "(0.01", "x)"]
    assert {f"{name}.svg" for name in COMPARED} < {path.name for path in (tmp_path / "out").iterdir()}
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("<img src=") == len(COMPARED)
    said = json.loads(shown("compare", "--json", str(made), str(tmp_path / "slow")).stdout)
    assert said["columns"] == ["what", "unit", "sda", "slow"]


@pytest.mark.parametrize("name", ["disk.webp", "disk.gif"])
def test_a_movie_lights_places_up_when_they_are_used(made: Path, tmp_path: Path, name: str) -> None:
    done = shown("movie", "--output", str(tmp_path / name), "--seconds", "2", "--rate", "10", str(made))
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / name)), done.stderr
    with Image.open(tmp_path / name) as film:
        _is_lit_first_above_then_below(film)


def _is_lit_first_above_then_below(film: Image.Image) -> None:
    last = int(getattr(film, "n_frames", 1)) - 1
    assert 15 <= last <= 19, "frames that are the same are one, shown longer"

    def lit(frame: int) -> tuple[bool, bool]:
        film.seek(frame)
        pixels = np.asarray(film.convert("RGB"), np.int64)[44:404, 12:652]
        coloured = pixels.max(axis=2) - pixels.min(axis=2) > 60
        return bool(coloured[:40].any()), bool(coloured[-40:].any())

    assert (lit(1), lit(last)) == ((True, False), (False, True))


def test_a_movie_costs_no_more_for_a_large_request_than_its_cells(tmp_path: Path) -> None:
    trace = blockio.read([Made().event(0, Q, 0, 1 << 22).event(10**9, C, 0, 1 << 22).content])
    assert movie.film(trace, blockio.pair(trace), tmp_path / "x.webp", movie.Script(1, 2)) == 2


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["report", "--output", "HERE", "TRACE"], "it is there already"),
        (["movie", "--output", "TRACE", "TRACE"], "that is no movie's name"),
        (["movie", "--output", "HERE/there.gif", "TRACE"], "it is there already"),
        (["compare", "TRACE"], "1 captures cannot be compared"),
    ],
)
def test_nothing_is_written_over_and_no_half_of_it_begun(tmp_path: Path, words: list[str], what: str) -> None:
    (tmp_path / "there.gif").write_bytes(b"kept")
    done = shown(*(word.replace("HERE", str(tmp_path)).replace("TRACE", str(CAPTURED)) for word in words), "--json")
    assert (done.returncode, json.loads(done.stderr)["what"]) == (2, what)
    assert [path.name for path in tmp_path.iterdir()] == ["there.gif"]
    assert (tmp_path / "there.gif").read_bytes() == b"kept"


def test_a_movie_of_nothing_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "trace").write_bytes(Made().event(5, C, 8, 8).content)
    done = shown("movie", "--output", str(tmp_path / "x.gif"), str(tmp_path / "trace"))
    assert done.returncode == 1
    assert "no request of the trace was queued" in done.stderr
    assert not (tmp_path / "x.gif").exists()
