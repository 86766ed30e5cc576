"""One practice target and one workstation for all files of the short tier: a machine takes a minute to boot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forensics.lab import labs
from forensics.lab.recipe import Recipe
from forensics.lab.state import Lab
from tests.lab.workstation import SEED, Workstation


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Workstation:
    return Workstation(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="session")
def lab(desk: Workstation) -> Iterator[Lab]:
    with labs.booted(desk.root, "lab", Recipe(seed=SEED)) as up:
        yield up
