"""On this machine, modules for kernels of other releases are made with those releases' own compilers, and work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.lab import labs
from forensics.lab.recipe import Recipe
from tests.lab.workstation import Workstation

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(
    ("recipe", "compiler"),
    [
        (Recipe(suite="trixie"), "gcc-14"),
        (Recipe(suite="bullseye"), "gcc-10"),
        (Recipe(suite="trixie", flavour="amd64"), "gcc-14"),
        (Recipe(suite="bookworm", flavour="amd64"), "gcc-12"),
    ],
    ids=lambda one: f"{one.suite}-{one.flavour}" if isinstance(one, Recipe) else one,
)
def test_a_module_is_made_with_its_kernels_own_compiler_and_its_image_is_complete(
    tmp_path: Path, recipe: Recipe, compiler: str
) -> None:
    desk = Workstation(tmp_path)
    case = desk.open_case("2026-0001")
    with labs.booted(tmp_path, "lab", recipe):
        done = desk.forensics("run", "2026-0001", "lab", "--engine", "lime", "--until", "prove")
    assert done.code == 0, (done.out, done.err)
    (log,) = case.entered("build-log")
    said = log.read_text()
    assert f"compiler: {compiler} " in said
    (proof,) = case.entered("proof")
    told = json.loads(proof.read_text())
    assert (told["verdict"], told["usable"]) == ("complete", True), told["reasons"]
