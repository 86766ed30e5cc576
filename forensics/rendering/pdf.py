"""HTML to PDF/A-3a in a child process with limits, no network and no files but those it is handed.

WeasyPrint needs about 10 ms and 0.2 MiB a table row, keeps memory it once had (WeasyPrint #220), and one hostile word
can keep it busy for minutes: so it runs in a child that may be killed, and the parent's report is never half written.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from forensics.errors import StageFailed
from forensics.text import show


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that travels inside the PDF."""

    path: Path
    name: str  # ASCII; its ending tells its type
    description: str
    relationship: str = "Data"  # to the document: "Data", "Source" or "Supplement" (ISO 19005-3, AFRelationship)


@dataclass(frozen=True, slots=True)
class PrintLimits:
    """What the child may use."""

    memory: int = 3 << 30  # bytes of address space
    seconds: int = 300  # processor time, and wall time


@dataclass(frozen=True, slots=True)
class Printed:
    """What came of a print."""

    pages: int
    lacking: tuple[str, ...]  # characters that no font here has: they are written by their number, as in \\u4e2d
    without_network: bool  # whether the child could be kept from the network by the system too


def print_pdf(
    html: Path, output: Path, *, stamp: str, attached: Sequence[Attached] = (), limits: PrintLimits | None = None
) -> Printed:
    """Print the page to a new PDF file; `stamp` (RFC 3339) is every date in it: the same page gives the same bytes.

    Raises StageFailed when the child breaks, is killed by its limits, or asks for anything that is not in the page.
    """
    limits = limits or PrintLimits()
    order = {
        "html": str(html),
        "output": str(output),
        "stamp": stamp,
        "memory": limits.memory,
        "seconds": limits.seconds,
        "attached": [{**asdict(one), "path": str(one.path)} for one in attached],
    }
    command = [sys.executable, "-I", "-m", "forensics.rendering.printer"]
    try:
        done = subprocess.run(  # noqa: PLW1510
            command, input=json.dumps(order).encode(), capture_output=True, timeout=limits.seconds
        )
    except subprocess.TimeoutExpired:
        output.unlink(missing_ok=True)
        raise _failed(f"it took more than {limits.seconds} s") from None
    if done.returncode != 0 or not output.is_file():
        output.unlink(missing_ok=True)
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _failed(show(words[-1]) if words else f"it ended with status {done.returncode}")
    told = json.loads(done.stdout)
    return Printed(told["pages"], tuple(told["lacking"]), told["without_network"])


def _failed(why: str) -> StageFailed:
    return StageFailed(
        "the PDF could not be made",
        where="report",
        why=why,
        remedy="the HTML report holds the same; run `forensics report` again, with more memory if that was short",
    )
