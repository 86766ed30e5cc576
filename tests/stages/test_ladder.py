"""Symbol tables tried on an image one after the other: the first that fits is used, and why others do not is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forensics.cli import app
from forensics.model import Draft, Exhibit, MemoryImage, Proof, Result, SymbolTable
from forensics.stage import Entered
from forensics.stages.analyse import AnalyseSettings, analyse
from forensics.stages.judge import load_proof, prove
from forensics.volatility import AskedPlugin
from tests.isf.blobs import VERSION, listing, small
from tests.stages.live import FACTS, desk
from tests.stages.test_analyse import exhibit
from tests.volatility import tiny

PSLIST = "linux.pslist.PsList"


def torn(path: Path) -> Path:
    """A table with the kernel's banner, whose first process is elsewhere: what a false kallsyms makes."""
    told = json.loads(tiny.table(path).read_text())
    told["symbols"]["init_task"]["address"] += 0x8000
    path.write_text(json.dumps(told))
    return path


@pytest.fixture
def image(tmp_path: Path) -> MemoryImage:
    entered = exhibit("E0005", "memory-image", tiny.image(tmp_path / "E0005-memory.lime"))
    return MemoryImage((entered,), entered, "lime", "", "", ended_well=True, reason="")


def ladder(*tables: Exhibit) -> SymbolTable:
    return SymbolTable(tables, tables[0], tables[1:])


def proven(place: Path, image: MemoryImage, tables: SymbolTable) -> tuple[Proof, Result]:
    facts = replace(FACTS, proc_version=tiny.BANNER[:-1], release="6.1.0-tiny", build_id="ab12")
    *drafts, result = prove.work(desk(place), image, tables, facts)
    assert isinstance(result, Result)
    proofs = [one for one in drafts if isinstance(one, Draft) and one.kind == "proof"]
    kept = tuple(exhibit("D0009", one.kind, one.path) for one in proofs)
    return load_proof(Entered(kept, (result,), place)), result


def test_where_the_first_table_does_not_fit_the_image_the_next_is_used_and_both_are_said(
    tmp_path: Path, image: MemoryImage
) -> None:
    false = exhibit("I0001", "symbol-table", torn(tmp_path / "I0001-symbols.json"))
    right = exhibit("I0002", "symbol-table", tiny.table(tmp_path / "I0002-symbols.json"))
    proof, _ = proven(tmp_path, image, ladder(false, right))
    assert (proof.usable, proof.table) == (True, "I0002")
    (told,) = [one for one in proof.reasons if "symbol table I0001" in one]
    assert told.endswith("I0002 fits, and is used")
    (tmp_path / "analysis").mkdir()
    asked = AnalyseSettings((AskedPlugin(PSLIST),))
    at = replace(desk(tmp_path), work=tmp_path / "analysis")
    rows, ended = analyse.work(at, image, ladder(false, right), proof, asked)
    assert isinstance(rows, Draft)
    assert [one.number for one in rows.sources] == ["E0005", "I0002"]
    assert isinstance(ended, Result)
    assert ended.facts["rows"] == 3


def test_where_no_table_fits_each_says_why_and_what_would_do(tmp_path: Path, image: MemoryImage) -> None:
    false = exhibit("I0001", "symbol-table", torn(tmp_path / "I0001-symbols.json"))
    other = exhibit("I0002", "symbol-table", tiny.table(tmp_path / "o.json", tiny.BANNER.replace(b"gcc", b"clang")))
    proof, _ = proven(tmp_path, image, ladder(false, other))
    assert (proof.usable, proof.table) == (False, "")
    (told,) = [one for one in proof.reasons if "no process list" in one]
    assert all(words in told for words in ("I0001", "I0002", "clang", "build id ab12", "--symbols FILE", "dwarf2json"))


@pytest.mark.parametrize(("note", "code"), [("ab" * 20, 0), ("cd" * 20, 1), ("", 1)])
def test_another_machines_btf_serves_only_where_its_build_id_is_the_targets(
    tmp_path: Path, note: str, code: int
) -> None:
    (tmp_path / "btf").write_bytes(small().bytes())
    (tmp_path / "kallsyms").write_text(listing())
    (tmp_path / "version").write_bytes(VERSION)
    body = bytes.fromhex(note)
    (tmp_path / "notes").write_bytes(b"\4\0\0\0" + len(body).to_bytes(4, "little") + b"\3\0\0\0GNU\0" + body)
    words = ["symbols", "make", "--btf", "btf", "--kallsyms", "kallsyms", "--proc-version", "version"]
    words += ["--output", "out.json", "--build-id", "AB" * 20, "--btf-notes", "notes"]
    given = [str(tmp_path / one) if (tmp_path / one).is_file() or one == "out.json" else one for one in words]
    ended = CliRunner().invoke(app, given)
    assert (ended.exception.exit_code if code else ended.exit_code) == code  # type: ignore[union-attr]
    assert (tmp_path / "out.json").exists() is (code == 0)


def test_half_of_what_tells_the_build_id_is_refused(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["symbols", "make", "--output", str(tmp_path / "o"), "--build-id", "ab" * 20])
    assert "both build ids" in str(ended.exception)
