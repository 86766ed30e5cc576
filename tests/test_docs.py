"""What the pages say agrees with the program: commands, exit codes, links, and the commands of the auditors' guide."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

from forensics import errors, verify
from forensics.cli import INTERRUPTED
from forensics.commands.options import GAPS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^\| (\d+) \|", re.MULTILINE)


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def test_the_reference_says_what_help_says() -> None:
    written = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert written == _reference().page(), "make docs writes it again"


def test_every_command_of_the_program_is_in_the_readme_or_the_reference() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8") + (DOCS / "reference.md").read_text(encoding="utf-8")
    commands = [" ".join(("forensics", *words)) for words in _reference().commands()]
    assert len(commands) > 15
    assert [one for one in commands if one not in text] == []


def test_every_command_that_a_page_names_is_there() -> None:
    known = {words[0] for words in _reference().commands() if words}
    for page in (ROOT / "README.md", DOCS / "responders.md", DOCS / "auditors.md"):
        named = re.findall(r"^    forensics (\w+)|`forensics (\w+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert {first or second for first, second in named} <= known, page.name


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "responders.md"], ids=lambda page: page.name)
def test_the_exit_codes_are_the_programs(page: Path) -> None:
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__]
    codes = {one.exit_code for one in classes if issubclass(one, errors.ForensicsError)} | {
        0,
        GAPS,
        INTERRUPTED,
        *verify.WORDS,
    }
    assert {int(code) for code in CODE.findall(page.read_text(encoding="utf-8"))} == codes


def test_every_message_that_the_responders_guide_explains_is_the_programs() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "forensics").rglob("*.py"))
    plain = re.sub(r'"\s*\n\s*f?"', "", re.sub(r"\{[^}]*\}", "…", source))
    text = (DOCS / "responders.md").read_text(encoding="utf-8")
    part = text[text.index("## What it says") : text.index("## Validate")]
    rows = re.findall(r"^\| ([^|]+) \| (?:\d|–) \|", part, re.MULTILINE)
    said = [one.strip(" .()") for row in rows for one in re.split(r"; |…|: |\b[A-Z_]{5,}(?: [A-Z]{5,})?\b", row)]
    assert len(said) > 50
    assert [one for one in said if one not in plain] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_relative_link_is_dead(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = unquote(link).partition("#")
        there = (page.parent / name) if name else page
        assert there.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in _anchors(there), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_its_title_and_the_options_not_taken(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.match(rf"# {page.name[:4]}\. \S", text)
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sections == ["Decision", "Why", "Options not taken", "What follows"]
    options = text.partition("## Options not taken")[2].partition("## ")[0]
    assert options.count("\n- ") >= 2


def test_every_decision_is_listed_and_no_number_is_used_twice() -> None:
    listed = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    assert len({int(page.name[:4]) for page in DECISIONS}) == len(DECISIONS)
    assert [page.name for page in DECISIONS if page.name not in listed] == []


def test_the_auditors_commands_find_the_digests_of_the_example() -> None:
    text = (DOCS / "auditors.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (head -n .*)$", text, re.MULTILINE)
    assert len(commands) == 4
    said = [_sh(one.replace("custody.jsonl", "example-custody.jsonl")) for one in commands]
    found = [re.findall(r"[0-9a-f]{64}", one)[0] for one in said]
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert f"`{found[0]}`" in text
    assert f"`{found[2]}`" in text


@pytest.mark.parametrize("change", [None, 20, -100], ids=["whole", "first line", "last line"])
def test_the_auditors_loop_names_a_changed_line(tmp_path: Path, change: int | None) -> None:
    content = bytearray((DOCS / "example-custody.jsonl").read_bytes())
    if change is not None:
        content[change] ^= 1
    (tmp_path / "custody.jsonl").write_bytes(content)
    text = (DOCS / "auditors.md").read_text(encoding="utf-8")
    script = text[text.index("    previous=$(") : text.index("Two digests belong to a line")]
    said = _sh(script, tmp_path)
    assert ("is off" in said) is (change is not None)
    assert said.splitlines()[-1].startswith("last line: ")


def _sh(script: str, folder: Path = DOCS) -> str:
    done = subprocess.run(["/bin/sh", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_every_test_that_the_page_of_faults_names_is_there() -> None:
    named = re.findall(
        r"`([a-z_/]+\.py)`: ((?:`test_\w+`(?:, )?)+)", (DOCS / "coverage.md").read_text(encoding="utf-8")
    )
    assert len(named) > 100
    missing = []
    for file, names in named:
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        missing += [f"{file}: {name}" for name in re.findall(r"\w+", names) if f"def {name}(" not in source]
    assert missing == []
