"""The stage on a tiny image with real Volatility: what is entered, what is not run, and how it resumes."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics import tables
from forensics.errors import StageFailed
from forensics.model import (
    Digest,
    Draft,
    Exhibit,
    MemoryImage,
    NoSymbols,
    NotAcquired,
    Outcome,
    Proof,
    Result,
    Role,
    SymbolTable,
    Verdict,
)
from forensics.plan import Choice, Plan
from forensics.progress import Silent
from forensics.stage import Desk
from forensics.stages.analyse import AnalyseSettings, analyse, settings_of
from forensics.volatility import YARA, AskedPlugin
from tests.volatility import tiny
from tests.volatility.conftest import PLUGIN

PSLIST, PSTREE = "linux.pslist.PsList", "linux.pstree.PsTree"
PROVEN = Proof((), Verdict.COMPLETE, (), usable=True)


def exhibit(number: str, kind: str, path: Path) -> Exhibit:
    return Exhibit(
        number, kind, kind, Path(path.name), path.stat().st_size, Digest("sha256", "0" * 64), "web01", "acquire", ""
    )


@pytest.fixture
def image(tmp_path: Path) -> MemoryImage:
    entered = exhibit("E0005", "memory-image", tiny.image(tmp_path / "E0005-memory.lime"))
    return MemoryImage((entered,), entered, "lime", "", "", ended_well=True, reason="")


@pytest.fixture
def table(tmp_path: Path) -> SymbolTable:
    entered = exhibit("I0001", "symbol-table", tiny.table(tmp_path / "I0001-symbols.json"))
    return SymbolTable((entered,), entered)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return at(tmp_path, {})


def at(case: Path, results: dict[str, Result]) -> Desk:
    work = case / f"work-{len(results)}"
    work.mkdir()
    return Desk(work, case, {}, "web01", results, (), Silent())


def done(
    desk: Desk, image: MemoryImage | NotAcquired, table: SymbolTable | NoSymbols, *plugins: str
) -> Iterator[Draft | Result]:
    return analyse.work(desk, image, table, PROVEN, AnalyseSettings(tuple(map(AskedPlugin, plugins))))


def test_each_plugin_gives_its_rows_and_then_how_it_ended(desk: Desk, image: MemoryImage, table: SymbolTable) -> None:
    draft, result = done(desk, image, table, PSLIST)
    assert isinstance(draft, Draft)
    assert (draft.item, draft.kind, draft.role) == (PSLIST, "plugin-result", Role.DERIVED)
    assert [source.number for source in draft.sources] == ["E0005", "I0001"]
    assert tables.read(draft.path).sources == ("E0005", "I0001")
    assert result == Result(PSLIST, Outcome.DONE, "", result.facts)
    assert result.facts["rows"] == 3


def test_a_resumed_stage_runs_only_what_had_not_ended(tmp_path: Path, image: MemoryImage, table: SymbolTable) -> None:
    before = {PSLIST: Result(PSLIST, Outcome.DONE)}
    given = list(done(at(tmp_path, before), image, table, PSLIST, PSTREE))
    assert {one.item for one in given} == {PSTREE}


def test_with_everything_ended_nothing_is_started(tmp_path: Path, image: MemoryImage, table: SymbolTable) -> None:
    desk = at(tmp_path, {PSLIST: Result(PSLIST, Outcome.DONE)})
    assert list(done(desk, image, table, PSLIST)) == []
    assert list(desk.work.iterdir()) == []


def test_without_an_image_nothing_is_run_and_each_item_says_why(desk: Desk, table: SymbolTable) -> None:
    given = list(done(desk, NotAcquired((), "lockdown"), table, PSLIST, PSTREE))
    assert [(one.item, one.outcome) for one in given if isinstance(one, Result)] == [
        (PSLIST, Outcome.NOT_RUN),
        (PSTREE, Outcome.NOT_RUN),
    ]
    assert all("lockdown" in one.reason for one in given if isinstance(one, Result))


def test_without_a_symbol_table_nothing_is_run_and_each_item_says_why(desk: Desk, image: MemoryImage) -> None:
    (given,) = done(desk, image, NoSymbols((), "no BTF"), PSLIST)
    assert given == Result(PSLIST, Outcome.NOT_RUN, "there is no symbol table for this kernel: no BTF")


def test_a_table_that_does_not_fit_fails_every_plugin_and_enters_no_file(
    desk: Desk, tmp_path: Path, image: MemoryImage
) -> None:
    other = exhibit("I0002", "symbol-table", tiny.table(tmp_path / "other.json", tiny.BANNER.replace(b"gcc", b"clang")))
    given = list(done(desk, image, SymbolTable((other,), other), PSLIST, PSTREE))
    assert [(type(one), one.item) for one in given] == [(Result, PSLIST), (Result, PSTREE)]
    for one in given:
        assert isinstance(one, Result)
        assert one.outcome is Outcome.FAILED
        assert "clang" in one.reason


def test_a_plugin_named_twice_runs_once(desk: Desk, image: MemoryImage, table: SymbolTable) -> None:
    given = [one.item for one in done(desk, image, table, PSLIST, PSLIST) if isinstance(one, Result)]
    assert given == [PSLIST]


def test_an_unknown_plugin_is_not_run_and_the_others_are(desk: Desk, image: MemoryImage, table: SymbolTable) -> None:
    results = {
        one.item: one.outcome for one in done(desk, image, table, "linux.nothing", PSLIST) if isinstance(one, Result)
    }
    assert results == {"linux.nothing": Outcome.NOT_RUN, PSLIST: Outcome.DONE}


RULE = "rule whatever { condition: filesize > 0 }"


def yara_settings(place: Path, rule: str = RULE) -> AnalyseSettings:
    place.mkdir(exist_ok=True)
    (place / "a.yar").write_text(rule)
    return settings_of(Plan(name="mine", plugins=(Choice(name=PSLIST),)).with_yara(place))


def test_rules_are_on_record_as_an_instrument_before_they_are_used(
    desk: Desk, image: MemoryImage, table: SymbolTable, tmp_path: Path
) -> None:
    settings = yara_settings(tmp_path / "rules")
    assert [one.item for one in settings.plugins] == [PSLIST, YARA]
    rules, *given = analyse.work(desk, image, table, PROVEN, settings)
    assert isinstance(rules, Draft)
    assert (rules.role, rules.kind, rules.item) == (Role.INSTRUMENT, "yara-rules", YARA)
    with tarfile.open(rules.path) as archive:
        held = archive.extractfile("a.yar")
        assert held is not None
        assert held.read() == RULE.encode()
    assert list(rules.facts["digests"]) == ["a.yar"]  # type: ignore[arg-type]
    ended = {one.item: one for one in given if isinstance(one, Result)}
    assert (ended[YARA].outcome, ended[PSLIST].outcome) == (Outcome.EMPTY, Outcome.DONE), ended


def test_rules_that_were_changed_meanwhile_are_refused(
    desk: Desk, image: MemoryImage, table: SymbolTable, tmp_path: Path
) -> None:
    settings = yara_settings(tmp_path / "rules")
    yara_settings(tmp_path / "rules", RULE.replace("whatever", "other"))
    with pytest.raises(StageFailed, match="changed"):
        list(analyse.work(desk, image, table, PROVEN, settings))


def test_a_plan_without_rules_asks_for_no_scan() -> None:
    assert settings_of(Plan(name="mine", plugins=(Choice(name=PSLIST),))) == AnalyseSettings((AskedPlugin(PSLIST),))
    assert settings_of(Plan(name="mine")) == AnalyseSettings()


def own_plugins(place: Path, word: str = "first") -> AnalyseSettings:
    (place / "linux").mkdir(parents=True, exist_ok=True)
    (place / "linux" / "mine.py").write_text(
        PLUGIN.format(name="Mine", body=f"        yield 0, (1, {word!r})", more="")
    )
    (place / "words.txt").write_text("what it reads beside itself")
    return settings_of(Plan(name="mine", plugins=(Choice(name="linux.mine.Mine"),), plugin_folders=(str(place),)))


def test_plugins_of_the_analyst_are_on_record_as_an_instrument_and_run_from_what_was_recorded(
    desk: Desk, image: MemoryImage, table: SymbolTable, tmp_path: Path
) -> None:
    settings = own_plugins(tmp_path / "mine")
    given = analyse.work(desk, image, table, PROVEN, settings)
    code = next(given)
    assert isinstance(code, Draft)
    assert (code.role, code.kind) == (Role.INSTRUMENT, "plugin-code")
    own_plugins(tmp_path / "mine", "second")  # what is changed from here on does not run
    rows, result = given
    assert isinstance(result, Result)
    assert result.outcome is Outcome.DONE
    assert isinstance(rows, Draft)
    assert [row["Word"] for row in tables.read(rows.path)] == ["first"]
    with tarfile.open(code.path) as archive:
        assert archive.getnames() == ["linux/mine.py", "words.txt"]
        held = archive.extractfile("linux/mine.py")
        assert held is not None
        content = held.read()
    assert b"first" in content
    digests = code.facts["digests"]
    assert isinstance(digests, dict)
    assert digests["linux/mine.py"] == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_plugins_that_were_changed_meanwhile_are_refused(
    desk: Desk, image: MemoryImage, table: SymbolTable, tmp_path: Path
) -> None:
    settings = own_plugins(tmp_path / "mine")
    own_plugins(tmp_path / "mine", "second")
    with pytest.raises(StageFailed, match="changed"):
        list(analyse.work(desk, image, table, PROVEN, settings))
