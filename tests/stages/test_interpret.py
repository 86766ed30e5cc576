"""From exhibits to tables, pictures and findings, without a target."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics import tables
from forensics.blockio.captions import TITLES
from forensics.collectors import collectors
from forensics.model import JSON, Analysis, Draft, Exhibit, LiveEvidence, Outcome, Proof, Result, Role, Verdict
from forensics.stages.interpret import InterpretSettings, interpret
from forensics.tables import Column, Table
from tests.stages.live import FACTS, desk, enter

CAPTURED = Path(__file__).parent.parent / "collectors/captured"
NOTHING = Proof((), Verdict.UNKNOWN, ("no image",), usable=False)


def exhibits(folder: Path, *names: str) -> tuple[Exhibit, ...]:
    found: list[Exhibit] = []
    for name in names:
        for path in sorted((CAPTURED / name / "bookworm").iterdir()):
            if path.name != "expected.json":
                facts: dict[str, JSON] = {"part": path.name, "status": 0, "cut": ""}
                kind = "live-output"
                draft = Draft(path, Role.EVIDENCE, kind, path.name, name=path.name, item=name, facts=facts)
                found.append(enter(folder, draft, len(found) + 1, "collect"))
    return tuple(found)


def work(folder: Path, live: tuple[Exhibit, ...], analysis: tuple[Exhibit, ...] = ()) -> list[Draft | Result]:
    given = interpret.work(
        desk(folder), FACTS, LiveEvidence(live, ()), Analysis(analysis, ()), NOTHING, InterpretSettings()
    )
    return list(given)


def test_every_collector_gives_its_tables_with_the_exhibits_they_were_made_from(tmp_path: Path) -> None:
    live = exhibits(tmp_path, *collectors())
    given = work(tmp_path, live)
    made = {str(one.facts["table"]): one for one in given if isinstance(one, Draft) and one.kind == "table"}
    assert "timeline" in made
    assert {"processes", "sockets", "oom_kills", "block_io_latency", "iostat", "iotop", "lynis_findings"} <= set(made)
    for draft in made.values():
        table = tables.read(draft.path)
        assert set(table.sources) == {source.number for source in draft.sources}
        assert draft.item == "timeline" or {source.item for source in draft.sources} == {draft.item}


def test_pictures_are_among_what_is_made(tmp_path: Path) -> None:
    given = work(tmp_path, exhibits(tmp_path, "block_io"))
    names = [one.name for one in given if isinstance(one, Draft) and one.kind == "picture"]
    assert names == [f"{name}.svg" for name in TITLES]


def test_the_planted_incident_is_found(tmp_path: Path) -> None:
    work(tmp_path, exhibits(tmp_path, *collectors()))
    found = json.loads((tmp_path / "work/findings.json").read_text())
    rules = {one["rule"] for one in found}
    assert {"deleted-executable", "forged-name", "oom-kill", "io-burst", "listening-socket"} <= rules
    assert all(one["exhibits"] for one in found)


def test_rows_of_plugins_are_at_the_rules_hands(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    tables.write(path, Table("linux.malware.malfind.Malfind", "injected code", (Column("PID", "integer"),), ()))
    draft = Draft(
        path, Role.DERIVED, "plugin-result", "injected code", name="rows.jsonl", item="linux.malware.malfind.Malfind"
    )
    with_rows = not_run(work(tmp_path, (), (enter(tmp_path, draft, 1, "analyse"),)))
    (tmp_path / "without").mkdir()
    assert with_rows < not_run(work(tmp_path / "without", ()))


def not_run(given: list[Draft | Result]) -> set[str]:
    (result,) = (one for one in given if isinstance(one, Result) and one.item == "findings")
    assert isinstance(result.facts["not_run"], dict)
    return set(result.facts["not_run"])


def test_what_could_not_be_read_is_a_partial_outcome_with_the_count(tmp_path: Path) -> None:
    path = tmp_path / "ps"
    path.write_bytes((CAPTURED / "processes/bookworm/ps").read_bytes() + b"no process\n")
    facts: dict[str, JSON] = {"part": "ps", "status": 0, "cut": ""}
    draft = Draft(path, Role.EVIDENCE, "live-output", "ps", name="ps", item="processes", facts=facts)
    given = work(tmp_path, (enter(tmp_path, draft, 1, "collect"),))
    result = next(one for one in given if isinstance(one, Result) and one.item == "processes")
    assert (result.outcome, result.reason) == (Outcome.PARTIAL, "could not be read: 1 lines or records of ps")


def test_the_same_exhibits_give_the_same_bytes(tmp_path: Path) -> None:
    runs = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        given = work(folder, exhibits(folder, "processes", "oom", "block_io", "lynis"))
        runs.append({one.name: one.path.read_bytes() for one in given if isinstance(one, Draft)})
    assert runs[0] == runs[1]


def test_items_that_had_ended_are_not_made_again(tmp_path: Path) -> None:
    live = exhibits(tmp_path, "load", "mounts")
    ended = desk(tmp_path, {"load": Result("load", Outcome.DONE)})
    given = interpret.work(ended, FACTS, LiveEvidence(live, ()), Analysis((), ()), NOTHING, InterpretSettings())
    assert {one.item for one in given} == {"mounts", "views", "timeline", "findings"}


@pytest.mark.parametrize("name", ["lynis.tar.gz", "elsewhere"])
def test_what_is_no_collectors_output_is_left_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x1f\x8b")
    draft = Draft(path, Role.INSTRUMENT, "collector-tool", name, name=name, item="lynis", facts={"part": name})
    given = work(tmp_path, (enter(tmp_path, draft, 1, "collect"),))
    assert {one.item for one in given} == {"views", "timeline", "findings"}
