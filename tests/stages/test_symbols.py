"""The symbols stage: a table and its notes from what the survey kept, or why there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.model import (
    ClockOffset,
    Digest,
    Draft,
    Exhibit,
    Facts,
    NoSymbols,
    Outcome,
    Result,
    Role,
    SymbolTable,
)
from forensics.profiles import rungs
from forensics.progress import Silent
from forensics.stage import Desk, Entered
from forensics.stages.symbols import SymbolSettings, make_symbols
from tests.isf.blobs import VERSION, listing, small
from tests.volatility import tiny

SHA = Digest("sha256", "0" * 64)


def exhibit(number: str, kind: str, path: Path) -> Exhibit:
    return Exhibit(number, kind, kind, path, 1, SHA, "web01", "survey", "survey")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "work").mkdir()
    (tmp_path / "btf").write_bytes(small().bytes())
    (tmp_path / "kallsyms").write_text(listing())
    return Desk(tmp_path / "work", tmp_path, {}, "web01", {}, (), Silent())


@pytest.fixture
def facts() -> Facts:
    return Facts(
        exhibits=(),
        hostname="web01",
        release="6.1.0-test",
        version="#1 SMP",
        machine="x86_64",
        distribution="debian",
        distribution_version="12",
        distribution_codename="bookworm",
        pretty_name="Debian",
        boot_id="",
        machine_id="",
        uptime=1.0,
        proc_version=VERSION,
        cmdline="",
        ram=(),
        memory_total=0,
        memory_available=0,
        btf=exhibit("E0001", "btf", Path("btf")),
        kallsyms=exhibit("E0002", "kallsyms", Path("kallsyms")),
        kernel_offset=0x1120_0000,
        lockdown="none",
        signature_enforced=False,
        secure_boot=False,
        modules_disabled=False,
        taint=0,
        kptr_restrict=0,
        five_level_paging=False,
        clock=ClockOffset(0.0, 0.0, ""),
        processes=(),
        modules=(),
        symbol_versions={},
        config={},
        tools={},
        root_device="",
        preflight=(),
    )


def work(desk: Desk, facts: Facts) -> tuple[list[Draft], Result]:
    given = list(make_symbols.work(desk, facts, SymbolSettings(desk.case_folder / "profiles")))
    assert isinstance(given[-1], Result)
    return [one for one in given if isinstance(one, Draft)], given[-1]


def test_the_table_is_an_instrument_and_the_notes_are_derived(desk: Desk, facts: Facts) -> None:
    drafts, result = work(desk, facts)
    kinds = [(draft.role, draft.kind, draft.path.name) for draft in drafts]
    assert kinds == [
        (Role.INSTRUMENT, "symbol-table", "symbols.json"),
        (Role.DERIVED, "symbol-notes", "symbol-notes.json"),
    ]
    assert result.outcome is Outcome.DONE
    assert {source.number for draft in drafts for source in draft.sources} == {"E0001", "E0002"}
    notes = json.loads(drafts[1].path.read_text())
    assert notes["slide"] == 0x1120_0000
    assert notes["rows_without_type"] == ["init_files"]


def test_nothing_is_left_but_what_is_given(desk: Desk, facts: Facts) -> None:
    drafts, _ = work(desk, facts)
    assert set(desk.work.iterdir()) == {draft.path for draft in drafts}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"btf": None}, "no BTF"),
        ({"kallsyms": None}, "no kallsyms"),
        ({"machine": "aarch64"}, "aarch64"),
    ],
)
def test_what_is_absent_is_said(desk: Desk, facts: Facts, change: dict[str, Any], says: str) -> None:
    drafts, result = work(desk, replace(facts, **change))
    assert (drafts, result.outcome) == ([], Outcome.ABSENT)
    assert says in result.reason


def test_kallsyms_of_another_boot_fail_with_a_remedy_and_no_table(desk: Desk, facts: Facts) -> None:
    drafts, result = work(desk, replace(facts, kernel_offset=0x20_0000))
    assert (drafts, result.outcome) == ([], Outcome.FAILED)
    assert "do: read both again" in result.reason
    assert not list(desk.work.iterdir())


def test_a_kernel_linked_elsewhere_is_read_by_its_config(desk: Desk, facts: Facts) -> None:
    moved = replace(facts, config={"CONFIG_PHYSICAL_START": "0x2000000"}, kernel_offset=0x1020_0000)
    assert work(desk, moved)[1].facts["slide"] == 0x1020_0000


def test_the_product_is_the_table_or_the_reason(tmp_path: Path) -> None:
    table = exhibit("I0001", "symbol-table", Path("symbols.json"))
    assert rungs.load(Entered((table,), (), tmp_path)) == SymbolTable((table,), table)
    failed = Result("symbols", Outcome.FAILED, "kallsyms has no init_task")
    assert rungs.load(Entered((), (failed,), tmp_path)) == NoSymbols((), "kallsyms has no init_task")


def chosen(desk: Desk, facts: Facts, draft: Draft) -> None:
    """Keep a table as the course does once an image has chosen it."""
    entered = replace(exhibit("I0001", draft.kind, draft.path), facts=draft.facts)
    table = SymbolTable((entered,), entered)
    assert rungs.keep(desk.case_folder, facts, table, "I0001", desk.case_folder / "profiles") == ""


def test_a_table_is_kept_once_an_image_chose_it_and_serves_where_the_kernel_gives_too_little(
    desk: Desk, facts: Facts
) -> None:
    known = replace(facts, build_id="ab" * 20)
    drafts, _ = work(desk, known)
    none, _ = work(desk, replace(known, btf=None))
    assert none == [], "nothing is kept before"
    chosen(desk, known, drafts[0])
    made = drafts[0].path.read_bytes()
    for draft in drafts:
        draft.path.unlink()
    (again,), result = work(desk, replace(known, btf=None))
    assert (again.kind, again.path.read_bytes(), result.outcome) == ("symbol-table", made, Outcome.DONE)
    assert "web01" in str(result.facts["tables"])
    again.path.unlink()
    none, other = work(desk, replace(known, btf=None, build_id="cd" * 20))
    assert (none, other.outcome) == ([], Outcome.ABSENT)
    assert "build id" in other.reason


def test_a_table_that_the_analyst_gives_is_taken_before_any_other(desk: Desk, facts: Facts, tmp_path: Path) -> None:
    given = tiny.table(tmp_path / "mine.json", facts.proc_version + b"\0")
    settings = SymbolSettings(tmp_path / "profiles", given)
    draft, made, _, result = make_symbols.work(desk, facts, settings)
    assert isinstance(draft, Draft)
    assert isinstance(made, Draft)
    assert made.path.name == "symbols.json"
    assert isinstance(result, Result)
    assert (draft.kind, draft.path.read_bytes()) == ("symbol-table", given.read_bytes())
    assert result.outcome is Outcome.DONE
    assert draft.facts["origin"] == "given by the analyst: mine.json"


def test_a_given_table_of_another_kernel_is_refused_and_the_next_rung_is_taken(
    desk: Desk, facts: Facts, tmp_path: Path
) -> None:
    settings = SymbolSettings(tmp_path / "profiles", tiny.table(tmp_path / "mine.json"))
    *drafts, result = make_symbols.work(desk, facts, settings)
    assert isinstance(result, Result)
    assert [one.path.name for one in drafts if isinstance(one, Draft)] == ["symbols.json", "symbol-notes.json"]
    assert result.outcome is Outcome.DONE
    assert "6.1.0-tiny" in result.reason
    assert result.facts["not_taken"] == [result.reason]


def test_a_given_table_of_another_kernel_fails_where_nothing_else_is_there(
    desk: Desk, facts: Facts, tmp_path: Path
) -> None:
    settings = SymbolSettings(tmp_path / "profiles", tiny.table(tmp_path / "mine.json"))
    (result,) = make_symbols.work(desk, replace(facts, btf=None), settings)
    assert isinstance(result, Result)
    assert result.outcome is Outcome.FAILED
    assert all(words in result.reason for words in ("6.1.0-tiny", "no BTF", "dwarf2json"))


def test_a_table_that_was_given_or_kept_already_is_not_kept_again(desk: Desk, facts: Facts, tmp_path: Path) -> None:
    given = Draft(tiny.table(tmp_path / "mine.json"), Role.INSTRUMENT, "symbol-table", "of the analyst")
    chosen(desk, replace(facts, build_id="ab" * 20), given)
    assert not (tmp_path / "profiles").exists()


def test_a_kept_table_is_a_rung_of_its_own_only_where_it_says_something_else(
    desk: Desk, facts: Facts, tmp_path: Path
) -> None:
    known = replace(facts, build_id="ab" * 20)
    first = work(desk, known)[0]
    assert [one.path.name for one in first] == ["symbols.json", "symbol-notes.json"]
    chosen(desk, known, first[0])
    for path in desk.work.iterdir():
        path.unlink()
    (tmp_path / "kallsyms").write_text(listing(0x1140_0000))  # of another boot: it says the same
    drafts, _ = work(desk, replace(known, kernel_offset=None))
    assert [one.path.name for one in drafts] == ["symbols.json", "symbol-notes.json"]
    for path in desk.work.iterdir():
        path.unlink()
    (tmp_path / "kallsyms").write_text(listing(more="ffffffff82fff000 D forged"))
    drafts, result = work(desk, replace(known, kernel_offset=None))
    assert [one.path.name for one in drafts] == ["symbols.json", "symbol-notes.json", "kept-symbols.json"]
    assert len(result.facts["tables"]) == 2  # type: ignore[arg-type]


def test_where_nothing_fits_it_is_said_what_would_do(desk: Desk, facts: Facts, tmp_path: Path) -> None:
    without = replace(facts, btf=None, build_id="ab12")
    (result,) = make_symbols.work(desk, without, SymbolSettings(tmp_path / "profiles"))
    assert isinstance(result, Result)
    for words in ("no BTF", "build id ab12", "System.map", "--symbols FILE", "dwarf2json"):
        assert words in result.reason
