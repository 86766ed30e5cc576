"""The analyst's side of a whole case: the installed program run as a process, and its cases read without its code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("forensics")
SEED = 20261123
"""Of the practice target that the files of the short tier share."""
TOUCHES = {"connected", "command", "change intended", "change restored", "host key accepted"}
"""What the ledger calls everything that is done to a target."""
TORN = "could not be read and have no row"
"""Why a plugin is partial: a process came or went while memory was taken, and its structures do not hold together."""


@dataclass(frozen=True)
class Ended:
    """A run of the program, over."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, str]:
        """The error that was shown: what (under `error`), where, why, do."""
        found: dict[str, str] = {}
        for line in self.err.splitlines():
            name, _, words = line.strip().partition(" ")
            if name in {"error", "where", "why", "do"}:
                found[name] = words.strip()
        return found


@dataclass
class Workstation:
    """A root folder with cases in it, and all that the program ever printed about them."""

    root: Path
    said: list[bytes] = field(default_factory=list)

    def forensics(self, *words: str, secret: Path | None = None, home: Path | None = None) -> Ended:
        """Run the program to its end."""
        with self.begin(*words, secret=secret, home=home) as running:
            return self.finish(running)

    @contextmanager
    def begin(
        self, *words: str, secret: Path | None = None, home: Path | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start the program in a session of its own, the sudo password on a descriptor; nothing of it outlives this."""
        surroundings = {**os.environ, "FORENSICS_ROOT": str(self.root), "COLUMNS": "200"}
        surroundings["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        surroundings["HOME"] = str(home or self.root)
        descriptors = [os.open(secret, os.O_RDONLY)] if secret else []
        given = [word for number in descriptors for word in ("--sudo-password-fd", str(number))]
        running = subprocess.Popen(
            [PROGRAM, *words, *given], env=surroundings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, pass_fds=descriptors, start_new_session=True,
        )  # fmt: skip
        for number in descriptors:
            os.close(number)
        with running:
            try:
                yield running
            finally:
                if running.poll() is None:
                    os.killpg(running.pid, signal.SIGKILL)

    def finish(self, running: subprocess.Popen[bytes]) -> Ended:
        """Wait for its end, and keep what it printed."""
        out, err = running.communicate(timeout=1800)
        self.said += [out, err]
        return Ended(running.returncode, out.decode(), err.decode())

    def open_case(self, number: str) -> CaseFolder:
        """Open a case."""
        words = ("--title", "Suspect host", "--examiner", "Ann Examiner", "--authority", "Warrant 12")
        done = self.forensics("open", number, *words)
        assert done.code == 0, done.err
        return CaseFolder(self.root / "cases" / number)


@dataclass(frozen=True)
class CaseFolder:
    """A case as anyone can read it: JSON lines and files."""

    folder: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every line of the ledger."""
        return [json.loads(line) for line in (self.folder / "custody.jsonl").read_bytes().splitlines()]

    def entered(self, kind: str, item: str = "") -> list[Path]:
        """The files of the exhibits of a kind, in the order they were entered."""
        entries = [one for one in self.events if one["action"] == "exhibit entered" and one["details"]["kind"] == kind]
        return [self.folder / one["details"]["path"] for one in entries if item in {"", one["details"]["item"]}]

    def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of the last table of this name; a cell that is absent is None."""
        tables = [*self.entered("table"), *self.entered("plugin-result"), *self.entered("memory-processes")]
        read = [path.read_text("ascii").splitlines() for path in tables]
        head, *lines = [lines for lines in read if json.loads(lines[0])["table"] == name][-1]
        names = [column["name"] for column in json.loads(head)["columns"]]
        rows = [json.loads(line) for line in lines]
        plain = [[None if isinstance(cell, dict) else cell for cell in row] for row in rows]
        return [dict(zip(names, row, strict=True)) for row in plain]

    def exhibit(self, number: str) -> Path:
        """The file of an exhibit."""
        (found,) = (self.folder / "exhibits").glob(f"{number}-*")
        return found

    def ends(self, stage: str) -> list[tuple[str, str]]:
        """How a stage ended, each time: outcome and reason."""
        ended = [one for one in self.events if (one["action"], one["stage"]) == ("stage ended", stage)]
        return [(one["outcome"], one["reason"]) for one in ended]

    def items(self, stage: str) -> dict[str, tuple[str, str]]:
        """How each item of a stage ended last: outcome and reason."""
        ended = [one for one in self.events if (one["action"], one["stage"]) == ("item ended", stage)]
        return {one["details"]["item"]: (one["details"]["outcome"], one["reason"]) for one in ended}

    def ended_well(self, ended: Ended) -> None:
        """Assert that all ended well, but for what a target that lived meanwhile may have torn: that is to be said."""
        outcomes = {**self.items("collect"), **self.items("analyse")}
        short = {name: told for name, told in outcomes.items() if told[0] not in {"done", "empty"}}
        torn = {name for name, (outcome, why) in short.items() if outcome == "partial" and TORN in why}
        assert {name: told for name, told in short.items() if name not in torn} == {}
        assert ended.code == (3 if torn else 0), (ended.out, ended.err)


def until(condition: Callable[[], object], seconds: float, running: subprocess.Popen[bytes]) -> None:
    """Wait until the condition holds; the program must not end before."""
    limit = time.monotonic() + seconds
    while not condition():
        assert running.poll() is None, (running.returncode, *running.communicate())
        assert time.monotonic() < limit, f"not within {seconds} s"
        time.sleep(0.05)


def kill_when(running: subprocess.Popen[bytes], condition: Callable[[], object], seconds: float = 600) -> None:
    """Kill the program, and it alone, as the kernel does when memory runs out."""
    until(condition, seconds, running)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait(30) == -signal.SIGKILL


def in_session(leader: int) -> list[str]:
    """The command lines of what lives in the session that a process led."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            words = status.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] not in {"Z", "X"}:
            found.append(words)
    return found


def flip(path: Path, offset: int) -> None:
    """Change one bit of a file; what it may share with another name stays."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    mode = path.stat().st_mode & 0o7777
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode)


def squeezed(words: str) -> str:
    """Leave white space out: a page breaks long words."""
    return "".join(words.split())


def pdf_words(path: Path) -> str:
    """The text of a PDF as pdftotext reads it, squeezed."""
    return squeezed(subprocess.run(["pdftotext", path, "-"], check=True, capture_output=True).stdout.decode())
