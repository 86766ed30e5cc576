"""YARA rules from a folder: read, tried, and put into one file that stands for them in a case.

Every file of the folder and below it whose name ends in .yar or .yara is a set of rules of its own (a namespace). What
one includes from elsewhere is refused: only what stands in the folder is on record.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yara_x

from forensics.errors import UsageError
from forensics.model import JSON
from forensics.text import show

SUFFIXES = (".yar", ".yara")
_MOST_FILES = 10_000
_MOST_BYTES = 64 << 20
_NAMED = 200
"""Files that are named with their digests in the ledger; the archive has them all."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a folder held when it was read; every rule in it compiles."""

    folder: Path
    files: Mapping[str, bytes]  # by path below the folder, sorted

    @property
    def digest(self) -> str:
        """Name the rules as a whole: SHA-256, in hex, of their archive."""
        return hashlib.sha256(self.archive()).hexdigest()

    def archive(self) -> bytes:
        """Give them as a tar file; the same rules give the same bytes."""
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in self.files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o444
                archive.addfile(entry, io.BytesIO(content))
        return held.getvalue()

    def told(self) -> dict[str, JSON]:
        """Give what the ledger keeps of them: how many files, and the digest of each."""
        digests: dict[str, JSON] = {
            show(name, 200): f"sha256:{hashlib.sha256(content).hexdigest()}"
            for name, content in list(self.files.items())[:_NAMED]
        }
        return {"files": len(self.files), "digests": digests}

    def write(self, folder: Path) -> None:
        """Put the files below a new folder."""
        for name, content in self.files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)


def read(folder: Path) -> Rules:
    """Read and try the rules of a folder; UsageError names file and line of what does not compile."""
    found: dict[str, bytes] = {}
    size = 0
    for path in _files(folder):
        content = _content(path)
        size += len(content)
        if len(found) >= _MOST_FILES or size > _MOST_BYTES:
            why = f"more than {_MOST_FILES} files or {_MOST_BYTES >> 20} MiB"
            raise UsageError("too many YARA rules for one run", where=str(folder), why=why)
        found[str(path.relative_to(folder))] = content
    if not found:
        raise UsageError("there are no YARA rules", where=str(folder), why=f"no file ends in {' or '.join(SUFFIXES)}")
    rules = Rules(folder, found)
    _try(rules)
    return rules


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise UsageError("the folder of YARA rules is not there", where=str(folder), remedy="--yara DIR")
    return iter(sorted(one for one in folder.rglob("*") if one.suffix in SUFFIXES and one.is_file()))


def _content(path: Path) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            return file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError("YARA rules cannot be read", where=str(path), why=error.strerror or str(error)) from None


def _try(rules: Rules) -> None:
    compiler = yara_x.Compiler()
    compiler.enable_includes(False)
    for name, content in rules.files.items():
        where = str(rules.folder / name)
        compiler.new_namespace(name)
        try:
            compiler.add_source(content.decode("utf-8"), origin=name)
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise UsageError("a YARA rule is no text in UTF-8", where=f"{where}, line {line}") from None
        except yara_x.CompileError:
            raise _wrong(where, compiler.errors()) from None


def _wrong(where: str, errors: object) -> UsageError:
    told = json.loads(json.dumps(errors))
    first = told[0] if isinstance(told, list) and told else {}
    labels = "; ".join(str(one.get("text", "")) for one in first.get("labels", []) if one.get("level") == "error")
    return UsageError(
        "a YARA rule does not compile",
        where=f"{where}, line {first.get('line', '?')}",
        why=show(": ".join(filter(None, (str(first.get("title", "")), labels))), 500),
        remedy="mend the rule, or take its file out of the folder",
    )
