"""Imports go down and never sideways; files and functions stay small; names say what a thing is."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "forensics"

LAYERS: list[set[str]] = [
    {"errors"},
    {"attack", "model"},
    {"text", "tables", "records", "progress", "hashing", "tools", "clock", "unpacking", "bundle", "yararules"},
    {"events", "provenance", "ledger", "seals", "encryption", "signing", "stamping", "host", "stage"},
    {
        "casefile",
        "deeds",
        "guarding",
        "history",
        "intake",
        "kcore",
        "lime",
        "locks",
        "recorder",
        "sealing",
        "ssh",
        "survey",
        "targets",
    },
    {
        "blockio",
        "collectors",
        "engines",
        "findings",
        "imports",
        "isf",
        "oom",
        "plan",
        "profiles",
        "rendering",
        "timeline",
        "views",
        "volatility",
    },
    {"acquisition"},
    {"stages"},
    {"pipeline", "course", "imported", "reissue", "signed"},
    {"terminal", "doctor", "lab"},
    {"verify", "handoff", "demo", "commands", "cli"},
]
SEPARATE = {"stages", "engines", "collectors"}
"""Packages whose modules do not know of each other, but for those that say what one of them is."""
LONGEST = {"model": 370, "verify": 1500}
"""The nouns stand together, and an auditor runs one file alone."""
SHORT_OF = {"utils", "helpers", "core", "common", "manager", "base"}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "guest" not in path.parts)


def name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def layer(part: str) -> int:
    return next((height for height, parts in enumerate(LAYERS) if part in parts), -1)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("forensics"):
            for alias in node.names:
                known = PACKAGE.parent / Path(*node.module.split("."), alias.name)
                whole = known.with_suffix(".py").is_file() or known.is_dir()
                yield f"{node.module}.{alias.name}" if whole else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("forensics."))


@pytest.mark.parametrize("path", modules(), ids=name)
def test_imports_go_down_and_never_sideways(path: Path) -> None:
    own = name(path).split(".")
    if len(own) < 2:
        return
    for other in imported(path):
        theirs = other.split(".")
        if len(theirs) < 2:
            continue
        if theirs[1] != own[1]:
            assert layer(theirs[1]) >= 0, f"{other}: give it a layer"
            assert layer(theirs[1]) <= layer(own[1]), f"{name(path)} imports {other}, which is above it"
        elif own[1] in SEPARATE and len(own) > 2 and len(theirs) > 2:
            assert theirs[2] == own[2], f"{name(path)} imports its sibling {other}"


def test_every_module_has_a_layer() -> None:
    tops = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert {top for top in tops if layer(top) < 0} <= {"__init__", "__main__", "verify"}


def test_the_verifier_knows_nothing_of_ours() -> None:
    assert list(imported(PACKAGE / "verify.py")) == []


def test_nothing_outside_the_lab_reads_its_truth() -> None:
    readers = [name(path) for path in modules() if "truth.json" in path.read_text(encoding="utf-8")]
    assert all(reader.startswith(("forensics.lab", "forensics.demo")) for reader in readers), readers


@pytest.mark.parametrize("path", modules(), ids=name)
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST.get(path.stem, 320), "a file of this length is two"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= 40, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert path.stem not in SHORT_OF
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "no docstring"


def test_locked_packages_carry_digests_and_no_addresses() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8")
        pinned = [line for line in text.splitlines() if "==" in line]
        assert pinned
        assert all(line.rstrip().endswith("\\") for line in pinned)
        assert "://" not in text


def test_what_is_needed_to_run_is_in_both_locks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {one.split(">")[0].split("=")[0].lower() for one in project["dependencies"]}
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8").lower()
        assert {one for one in wanted if f"{one}==" not in text} == set()
