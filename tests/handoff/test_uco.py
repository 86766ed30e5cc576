"""The CASE/UCO export: what the ontology's own validator takes, and what it has to say of the case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensics.casefile import Case
from forensics.errors import StageFailed
from forensics.handoff import uco
from forensics.handoff.contents import Order
from forensics.handoff.giving import hand_off
from forensics.progress import Silent
from tests.authority import Authority
from tests.handing import full_case
from tests.test_cli import run as command


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, tsa: Authority) -> Case:
    return full_case(tmp_path_factory.mktemp("root"), tsa)


@pytest.fixture(scope="module")
def exported(case: Case) -> Path:
    """Give the export in a bag; the ontology's own validator, `case_validate`, took it, or there would be no bag."""
    order = Order("Bob", case_uco=True)
    path = hand_off(case, case.folder.parents[1], order, Silent()).path / "data" / "case-uco.jsonld"
    assert "data/case-uco.jsonld" in (path.parents[1] / "manifest-sha256.txt").read_text()
    return path


def test_every_exhibit_has_its_number_digest_and_size_and_every_stage_its_files(case: Case, exported: Path) -> None:
    nodes: list[dict[str, Any]] = json.loads(exported.read_text())["@graph"]
    of = {one["@id"]: one for one in nodes}
    records = [one for one in nodes if one["@type"] == "case-investigation:ProvenanceRecord"]
    assert [one["case-investigation:exhibitNumber"] for one in records] == [one.number for one in case.exhibits()]
    for record, exhibit in zip(records, case.exhibits(), strict=True):
        name, content = of[record["uco-core:object"][0]["@id"]]["uco-core:hasFacet"]
        assert name["uco-observable:fileName"] == exhibit.path.name
        assert content["uco-observable:hash"][0]["uco-types:hashValue"]["@value"] == exhibit.digest.value
        assert content["uco-observable:sizeInBytes"]["@value"] == str(exhibit.size)
    actions = [one for one in nodes if one["@type"] == "case-investigation:InvestigativeAction"]
    names = [one["uco-core:name"] for one in actions]
    assert names == ["handed off", "report of web01", "sealed"]
    made = [of[one["@id"]]["uco-core:hasFacet"][0] for one in actions[1]["uco-action:result"]]
    files = [one["uco-observable:fileName"].rpartition("-")[2] for one in made]
    assert files == ["report.html", "report.pdf"]


def test_a_graph_that_does_not_conform_is_not_handed_over(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "case.jsonld"
    path.write_text(exported.read_text().replace('"@type": "xsd:integer"', '"@type": "xsd:string"'))
    with pytest.raises(StageFailed, match="does not conform"):
        uco._validated(path)


def test_a_redacted_variant_has_no_export(case: Case) -> None:
    words = ("--to", "Bob", "--case-uco", "--redact", __file__)
    assert command(case.folder.parents[1], "handoff", case.number, *words).returncode == 2
