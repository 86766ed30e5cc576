"""What a whole run leaves on a target's disk, looked at file by file; and what it says of a target that is well."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from forensics.lab import labs
from forensics.lab.recipe import FACTS, QUIET_DISK, Recipe
from forensics.lab.state import Lab
from tests.lab.workstation import CaseFolder, Workstation

pytestmark = [pytest.mark.lab, pytest.mark.faults, pytest.mark.timeout(2400)]

LOGIN = re.compile(r"/var/log/(wtmp|lastlog|btmp|auth\.log|journal(/.*)?)$")
"""What a login itself writes: the allow-list that the report prints, as far as it is on the disk."""

_STATUS = r"find / -xdev -printf '%p\t%D\t%y %m %U:%G %s %T@ %C@ %l\n'"
_DIGESTS = "find / -xdev -type f -exec sha256sum -- {} +"


@pytest.fixture
def desk(tmp_path: Path) -> Workstation:
    return Workstation(tmp_path)


def disk(lab: Lab) -> dict[str, tuple[str, str]]:
    """Every file and folder of the disk: kind, mode, owner, size, times, and digest."""
    labs.ask(lab, "sync")
    status = [line.split("\t") for line in labs.ask(lab, _STATUS, seconds=300).decode(errors="replace").splitlines()]
    device = status[0][1]  # where something else is mounted, find tells of that, not of the disk
    listed = labs.ask(lab, _DIGESTS, seconds=900).decode(errors="replace").splitlines()
    digests = {line[66:]: line[:64] for line in listed}
    return {path: (told, digests.get(path, "")) for path, place, told in status if place == device}


def test_no_file_on_the_disk_is_changed_but_for_those_of_a_login(desk: Workstation) -> None:
    with labs.booted(desk.root, "lab", Recipe(seed=12, without=QUIET_DISK)) as lab:
        before = disk(lab)
        case = desk.open_case("footprint")
        ended = desk.forensics("run", "footprint", "root@lab", "--plan", "lab")
        after = disk(lab)
    case.ended_well(ended)
    assert len(before) > 5000
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    beyond = sorted(path for path in changed if not LOGIN.match(path))
    assert {path: (before.get(path), after.get(path)) for path in beyond} == {}


def test_a_target_that_is_well_gives_no_finding_above_information(desk: Workstation) -> None:
    with labs.booted(desk.root, "lab", Recipe(seed=13, incident=False)) as lab:
        facts = json.loads(lab.truth.read_bytes())
        case = desk.open_case("calm")
        ended = desk.forensics("run", "calm", "analyst@lab", "--plan", "lab", secret=lab.password)
    case.ended_well(ended)
    assert {fact["rule"] for fact in facts} == set(FACTS)
    found = findings(case)
    assert found
    assert [one["title"] for one in found if one["severity"] != "information"] == []


def findings(case: CaseFolder) -> list[dict[str, str]]:
    told: list[dict[str, str]] = json.loads(case.entered("findings")[-1].read_text())
    return told


@pytest.mark.parametrize("seed", [101, 202, 303])
def test_the_demo_names_what_was_planted_whatever_the_seed(desk: Workstation, seed: int) -> None:
    ended = desk.forensics("lab", "demo", "--seed", str(seed))
    assert ended.code == 0, (ended.out, ended.err)
    assert (desk.root / "reports/DEMO-0001.pdf").read_bytes().startswith(b"%PDF-")
    assert (desk.root / "reports/DEMO-0001.html").exists()
    assert labs.status(desk.root) == []
    assert desk.forensics("verify", "DEMO-0001").code == 0


def test_the_demo_fails_when_a_fact_was_not_planted(desk: Workstation) -> None:
    ended = desk.forensics("lab", "demo", "--seed", "404", "--without", "listening-socket")
    assert ended.code == 1, (ended.out, ended.err)
    assert "listening-socket" in ended.err
    assert labs.status(desk.root) == []
