"""AVML over SSH: the analyst's own binary, its digest checked here and there, reading /proc/kcore on the target.

AVML writes to a file: since March 2026 it follows no link there, /dev/stdout among them, so it is given a named pipe
on tmpfs, which something else prints. `--source` is always said: without it, AVML would open the pipe again for the
next source when one fails. It leaves out whole blocks of zeros (16 MiB), and so its images lack pages that the RAM
map names. Written from AVML's source (0.17 and 0.20); not validated with its real binary.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forensics import text
from forensics.engines import Materials, Paper
from forensics.errors import StageFailed
from forensics.host import Channel, Host
from forensics.lime import carrying
from forensics.model import JSON, Facts, Preflight
from forensics.survey import preflight

SOURCE = "/proc/kcore"
REMARK = "the engine avml has not been validated with AVML's real binary"

_MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine in the ELF header
_LARGEST = 64 << 20  # bytes of a binary; AVML's has 5 to 9 MiB

# The pipe is held open until AVML has ended, so that nobody waits for a writer or a reader who never comes.
_SCRIPT = """pipe=$1; shift
exec 4<>"$pipe" 5<"$pipe"
cat <&5 4>&- 5<&- &
exec 5<&-
"$@" "$pipe" 4>&- >&2
said=$?
exec 4>&-
wait $! || exit 1
exit $said
"""


@dataclass(frozen=True, slots=True)
class Avml:
    """The engine that runs the analyst's AVML."""

    name: str = "avml"
    source: str = SOURCE

    def check(self, facts: Facts, materials: Materials) -> Preflight:
        """Tell whether the binary is there and is the right one, and whether the kernel lets it read."""
        subject = "acquire: avml"
        if why := _unfit(materials, facts):
            return Preflight(subject, works=False, why=why)
        told = preflight.kcore(facts)
        return Preflight(subject, works=told.works, why=f"{told.why}; {REMARK}" if told.works else told.why)

    @contextmanager
    def prepare(self, host: Host, facts: Facts, materials: Materials) -> Iterator[AvmlPrepared]:
        """Put the binary on a tmpfs where programs may run; afterwards nothing of it is there."""
        del facts
        binary, digest = materials.wishes.avml, materials.wishes.avml_digest
        if binary is None:
            raise ValueError("prepared without a binary")
        content = binary.read_bytes()
        if _digest(content) != digest.lower():
            raise StageFailed("AVML's binary was changed meanwhile", where=str(binary), why=f"it is {_digest(content)}")
        with host.workplace(programs=True) as place:
            program = place / "avml"
            host.put(content, program, mode=0o700)
            record: dict[str, JSON] = {"binary": digest, "remarks": [REMARK], **_about(host, program)}
            yield AvmlPrepared(host, program, self.source, record)


@dataclass
class AvmlPrepared:
    """A target with the binary in place."""

    host: Host
    program: Path
    source: str
    record: dict[str, JSON] = field(default_factory=dict)
    papers: list[Paper] = field(default_factory=list)

    @contextmanager
    def stream(self) -> Iterator[Channel]:
        """Let it write into a named pipe, and give what comes out."""
        pipe = self.program.with_name("pipe")
        self.host.run("mkfifo", "-m", "600", "--", str(pipe), root=True, expect=True)
        verb = ("acquire",) if self.record.get("has_verbs") else ()
        words = (str(self.program), *verb, "--source", self.source)
        ends: list[JSON] = []
        self.record |= {"ended": ends, "zero_fill_excluded": False, "command": list(words)}
        with self.host.stream("/bin/sh", "-c", _SCRIPT, "sh", str(pipe), *words, root=True) as running:
            yield carrying.Printed(running, ends)


def _about(host: Host, program: Path) -> dict[str, JSON]:
    """Ask the binary for its version, and whether it has subcommands: since 0.19 it has."""
    version = text.show(host.run(str(program), "--version", root=True).stdout.strip(), 100)
    told = host.run(str(program), "--help", root=True)
    if not told.ok:
        raise StageFailed(
            "AVML's binary does not run on the target",
            where=host.label,
            why=f"asked for its help it ended with {told.status}: {text.show(told.stderr.strip(), 200) or 'no word'}",
            remedy="take a static binary for the target's architecture",
        )
    return {"version": version, "has_verbs": re.search(rb"^ +acquire\b", told.stdout, re.MULTILINE) is not None}


def _unfit(materials: Materials, facts: Facts) -> str:
    binary, wanted = materials.wishes.avml, materials.wishes.avml_digest.lower()
    if binary is None:
        return "no binary of AVML was given: --avml FILE"
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", wanted):
        return "the digest that the binary has to have was not given: --avml-digest sha256:…"
    try:
        size = binary.stat().st_size
        content = binary.read_bytes() if size <= _LARGEST else b""
    except OSError as problem:
        return f"{binary} cannot be read: {problem.strerror}"
    if _digest(content) != wanted:
        return f"{binary} is {_digest(content) if content else f'{size} bytes large'}, and has to be {wanted}"
    machine = _MACHINES.get(int.from_bytes(content[18:20], "little"), "another machine's")
    if content[:4] == b"\x7fELF" and facts.machine and machine != facts.machine:
        return f"{binary} is a program for {machine}, the target is {facts.machine}"
    return ""


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
