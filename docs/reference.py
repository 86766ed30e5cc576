"""Write docs/reference.md: what --help says of every command, so that the page and the program agree."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from forensics.cli import app

PAGE = Path(__file__).with_name("reference.md")
WIDTH = 80
HEAD = """# Command reference

What `--help` says of every command. This page is written by `make docs`; do not edit it.
"""


def commands() -> Iterator[tuple[str, ...]]:
    """Give the words of every command and group, the program itself first, as () ."""
    yield from _below((), typer.main.get_command(app))


def _below(words: tuple[str, ...], command: object) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, TyperGroup):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from _below((*words, name), command.get_command(context, name))


def told(words: tuple[str, ...]) -> str:
    """Give what --help says of a command, at a width that does not depend on the terminal."""
    said = CliRunner().invoke(
        app, [*words, "--help"], prog_name="forensics", env={"COLUMNS": str(WIDTH), "FORENSICS_ROOT": None}
    )
    if said.exit_code:
        raise SystemExit(f"forensics {' '.join(words)} --help ended with {said.exit_code}")
    return "\n".join(line.rstrip() for line in said.output.strip().splitlines())


def page() -> str:
    """Give the whole page."""
    parts = [HEAD]
    for words in commands():
        name = " ".join(("forensics", *words))
        indented = "\n".join(f"    {line}" if line else "" for line in told(words).splitlines())
        parts.append(f"## {name}\n\n{indented}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
