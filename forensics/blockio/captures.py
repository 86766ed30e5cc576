"""Which files a capture has, from the names that people give: those of blktrace's own programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.blockio import ftrace
from forensics.errors import UsageError

_PART = re.compile(r"(.+)\.blktrace\.(\d{1,5})")
STANDARD_INPUT = Path("-")


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture: what to call it, and its files."""

    label: str
    files: tuple[Path, ...]

    def contents(self) -> list[bytes | Path]:
        """Give what the reader takes: files by name, and what comes on standard input as bytes."""
        return [sys.stdin.buffer.read() if file == STANDARD_INPUT else file for file in self.files]


def find(names: Sequence[Path]) -> list[Capture]:
    """Find the capture of each name, each once; UsageError when there is none.

    A name is a file (one stream, `blkparse -d`, ftrace), one processor's file or the stem of all (`sda` for
    `sda.blktrace.0` and its like, as `blkparse -i` has it), a folder of such files, or `-` for standard input.
    """
    found: dict[tuple[Path, ...], Capture] = {}
    for name in names:
        capture = _one(name)
        found.setdefault(capture.files, capture)
    return list(found.values())


def together(captures: Sequence[Capture]) -> Capture:
    """Take several as one: the disks of one machine, traced at the same time."""
    files = dict.fromkeys(file for capture in captures for file in capture.files)
    return Capture(", ".join(capture.label for capture in captures), tuple(files))


def process_names(file: Path) -> Mapping[int, str]:
    """Read names of processes from a copy of tracefs' `saved_cmdlines`: number and name, one a line."""
    return ftrace.names(file.read_bytes())


def _one(name: Path) -> Capture:
    if name == STANDARD_INPUT:
        return Capture("standard input", (name,))
    if name.is_dir():
        return Capture(name.resolve().name, _parts(name, ""))
    part = _PART.fullmatch(name.name)
    if part:
        return Capture(part[1], _parts(name.parent, part[1]))
    if name.is_file():
        return Capture(name.name, (name,))
    return Capture(name.name, _parts(name.parent, name.name))


def _parts(folder: Path, stem: str) -> tuple[Path, ...]:
    """Give the files of all processors, by stem and number."""
    files = folder.iterdir() if folder.is_dir() else ()
    matches = ((_PART.fullmatch(file.name), file) for file in files)
    found = sorted((match[1], int(match[2]), file) for match, file in matches if match and stem in {"", match[1]})
    if not found:
        raise UsageError(
            "there is no such trace",
            where=str(folder / stem if stem else folder),
            why=f"neither a file of that name, nor {stem or 'ANY'}.blktrace.0 and its like",
            remedy="give the files that blktrace wrote, the name before .blktrace.0, their folder, or - for a stream",
        )
    return tuple(file for _, _, file in found)
