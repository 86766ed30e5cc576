"""One authority and one case that was handed over, made once: whoever changes the case works on a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import authority
from tests.authority import Authority
from tests.handing import full_case, handed


@pytest.fixture(scope="session")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority.serving(authority.make(tmp_path_factory.mktemp("tsa") / "one")) as one:
        yield one


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory, tsa: Authority) -> Path:
    """Give the root of a case that was handed over once, whole."""
    root = tmp_path_factory.mktemp("given")
    handed(full_case(root, tsa))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, given: Path) -> Path:
    """Give a module's own copy of it."""
    return Path(shutil.copytree(given, tmp_path_factory.mktemp("copy") / "root", symlinks=True))
