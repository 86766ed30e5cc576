"""What a target was asked and what it said, one JSON object a line, so that whatever was made of it can be made again.

Line: {"name", "argv", "root", "status", "cut", "started", "seconds", "stdout", "stderr"}. The two outputs are base64;
when an output became a file of its own, `stdout` is {"file": name, "size": bytes, "digest": "sha256:…"}.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from forensics.host import Completed
from forensics.model import JSON, Digest


@dataclass(frozen=True, slots=True)
class Answer:
    """One question's name, what was run for it, and what came back."""

    name: str
    root: bool
    said: Completed
    file: str = ""  # name of the file that keeps stdout, "" when the transcript does
    digest: Digest | None = None  # of that file

    @property
    def why_not(self) -> str:
        """Say why there is no answer, or that there is one but not a whole one; "" when it ended well."""
        if self.said.cut:
            return f"it was cut: too much {self.said.cut}"
        if self.said.status is None:
            return "the command was ended by a signal, or with the connection"
        if self.said.status != 0:
            last = self.said.stderr.decode("utf-8", "backslashreplace").strip().rpartition("\n")[2]
            return last[:200] or f"the command ended with status {self.said.status}"
        return ""


def keep_apart(answer: Answer, file: str) -> Answer:
    """Note that stdout is kept in a file of this name; the bytes stay at hand."""
    return replace(answer, file=file, digest=Digest("sha256", hashlib.sha256(answer.said.stdout).hexdigest()))


def write(answers: Iterable[Answer]) -> bytes:
    """Write answers in the order they came."""
    return b"".join(json.dumps(_line(answer), separators=(",", ":")).encode("ascii") + b"\n" for answer in answers)


def _line(answer: Answer) -> dict[str, JSON]:
    said = answer.said
    kept: JSON = {"file": answer.file, "size": len(said.stdout), "digest": str(answer.digest)}
    return {
        "name": answer.name,
        "argv": list(said.argv),
        "root": answer.root,
        "status": said.status,
        "cut": said.cut,
        "started": said.started,
        "seconds": said.seconds,
        "stdout": kept if answer.file else b64encode(said.stdout).decode("ascii"),
        "stderr": b64encode(said.stderr).decode("ascii"),
    }


def read(content: bytes, file: Callable[[str], bytes]) -> tuple[Answer, ...]:
    """Read what `write` wrote; `file` gives the bytes of an output that became a file. ValueError when it is not that.

    The bytes of such a file must have the digest that the line names.
    """
    return tuple(_answer(json.loads(line), file) for line in content.splitlines())


def _answer(line: dict[str, JSON], file: Callable[[str], bytes]) -> Answer:
    kept = line["stdout"]
    argv, status, seconds = line["argv"], line["status"], line["seconds"]
    if not isinstance(argv, list) or not isinstance(status, int | None) or not isinstance(seconds, int | float):
        raise ValueError(f"not a line of a transcript: {line.get('name')!r}")  # noqa: TRY004 - a value of the file
    name = str(kept["file"]) if isinstance(kept, dict) else ""
    digest = Digest.parse(str(kept["digest"])) if isinstance(kept, dict) else None
    stdout = file(name) if name else b64decode(str(kept), validate=True)
    if digest is not None and hashlib.sha256(stdout).hexdigest() != digest.value:
        raise ValueError(f"{name} is not the file that the transcript speaks of")
    said = Completed(
        argv=tuple(str(word) for word in argv),
        status=status,
        stdout=stdout,
        stderr=b64decode(str(line["stderr"]), validate=True),
        cut=str(line["cut"]),
        started=str(line["started"]),
        seconds=float(seconds),
    )
    return Answer(str(line["name"]), line["root"] is True, said, name, digest)
