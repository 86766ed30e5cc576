"""lime, kcore and lime_disk on each release, flavour and account, pairwise: complete, with the live process list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.lab import labs
from forensics.lab.recipe import Recipe
from tests.lab.workstation import Workstation

pytestmark = [pytest.mark.lab, pytest.mark.matrix, pytest.mark.timeout(3600)]

DISK = "/srv/usb"
PAIRS = [
    ("bookworm", "cloud-amd64", "root", "lime"),
    ("bookworm", "amd64", "analyst", "kcore"),
    ("bookworm", "cloud-amd64", "analyst", "lime_disk"),
    ("trixie", "amd64", "root", "lime_disk"),
    ("trixie", "cloud-amd64", "analyst", "lime"),
    ("trixie", "cloud-amd64", "root", "kcore"),
    ("bullseye", "cloud-amd64", "root", "lime_disk"),
    ("bullseye", "amd64", "analyst", "lime"),
    ("bullseye", "cloud-amd64", "root", "kcore"),
]
"""Nine of thirty-six: each release with each engine, each engine with each account and flavour."""


@pytest.mark.parametrize(("suite", "flavour", "account", "engine"), PAIRS, ids=lambda one: one)
def test_each_engine_gives_a_complete_image_with_the_live_processes(
    tmp_path: Path, suite: str, flavour: str, account: str, engine: str
) -> None:
    desk = Workstation(tmp_path)
    case = desk.open_case("2026-0001")
    with labs.booted(tmp_path, "lab", Recipe(suite=suite, flavour=flavour, seed=77)) as lab:
        labs.ask(lab, f"mkdir -m 700 {DISK}")
        more = ("--target-folder", DISK) if engine == "lime_disk" else ()
        words = ("run", "2026-0001", f"{account}@lab", "--engine", engine, "--until", "prove", *more)
        done = desk.forensics(*words, secret=lab.password if account == "analyst" else None)
    assert done.code == 0, (done.out, done.err)
    (proof,) = case.entered("proof")
    told = json.loads(proof.read_text())
    assert (told["verdict"], told["usable"]) == ("complete", True), told["reasons"]
    processes = told["figures"]["processes"]
    assert processes["lost"] == []
    assert processes["live_before"] > 20
