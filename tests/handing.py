"""A small case with everything that a bag can hold, bags of it, and ways to break them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from forensics import deeds, signing, tables
from forensics.casefile import Case, Stamps, open_case
from forensics.handoff.contents import Order
from forensics.handoff.giving import Bag, hand_off
from forensics.intake import Place, enter
from forensics.model import Draft, Role
from forensics.progress import Silent
from forensics.tables import Absent, Column, Table
from tests.authority import Authority, ssh_key
from tests.casework import EXAMINER, PLACE

HOSTILE = "=cmd|' /C calc'!A0\x1b[2J\u202egnp.\n<script>../../etc/passwd"
SUMS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


def full_case(root: Path, tsa: Authority, number: str = "2026-0001") -> Case:
    """Give a case with evidence, a table with hostile text, a timeline, a note, a key and an authority."""
    path = root / "id"
    key = signing.signer(str(path if path.exists() else ssh_key(root)))
    stamps = Stamps((tsa.url,), tsa.roots)
    case = open_case(root, number, "Suspect host", EXAMINER, "warrant 12", key=key, stamps=stamps)
    image = add(case, "memory.lime", b"EMiL" * 3000, "memory-image", Role.EVIDENCE)
    text = json.dumps({"hostname": "db7.example.org", "cmdline": HOSTILE}).encode()
    add(case, "facts.json", text, "facts", Role.EVIDENCE)
    rows = ((1, "systemd", "2026-11-23T20:00:00Z"), (4242, HOSTILE, "2026-11-23T20:01:02Z"), (7, Absent("gone"), "x"))
    columns = (Column("PID", "integer"), Column("COMM"), Column("CREATION TIME", "time"))
    add_table(case, Table("linux.pslist.PsList", "Processes", columns, rows, (image,)))
    told = (("2026-11-23T20:00:00Z", "2026-11-23T20:00:00Z", "process started", HOSTILE, 1, "x", image),)
    names = ("time", "target_time", "kind", "message", "pid", "source", "exhibits")
    add_table(case, Table("timeline", "Timeline", tuple(Column(one) for one in names), told, (image,)))
    deeds.note(case, "looks odd, says ada@example.org")
    return case


def add(case: Case, name: str, content: bytes, kind: str, role: Role) -> str:
    path = case.folder / "work" / name
    path.write_bytes(content)
    return enter(case, Draft(path, role, kind, name), PLACE).number


def add_table(case: Case, table: Table) -> str:
    path = case.folder / "work" / f"{table.name}.jsonl"
    tables.write(path, table)
    kind = "table" if table.name == "timeline" else "plugin-result"
    draft = Draft(path, Role.DERIVED, kind, table.title, facts={"table": table.name})
    return enter(case, draft, Place("web01", "interpret", 1)).number


def handed(case: Case, *, to: str = "Bob", without: tuple[str, ...] = ()) -> Bag:
    return hand_off(case, case.folder.parents[1], Order(to, "analysis", "disk 77", without=without), Silent())


def copied(bag: Path, folder: Path) -> Path:
    """Give a copy of a bag that can be changed; permissions are lost, as on the way to somebody else."""
    shutil.copytree(bag, folder, symlinks=True)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


def flip(path: Path, place: int = -2) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def remade(folder: Path, *, signed: bool = False) -> None:
    """Make the lists anew, as someone does who knows how; the signature cannot be, and goes."""
    handoff = folder / "data" / "handoff.json"
    if not signed and handoff.is_file():
        (folder / "manifest-sha256.txt.sig").unlink(missing_ok=True)
        told = json.loads(handoff.read_text())
        handoff.write_text(json.dumps({**told, "principal": "", "fingerprint": ""}, indent=1) + "\n")
    files = sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())
    for part, ours in (("manifest", True), ("tagmanifest", False)):
        for name, sums in SUMS.items():
            listed = [one for one in files if one.startswith("data/") == ours and not one.startswith("tagmanifest-")]
            lines = [f"{sums((folder / one).read_bytes()).hexdigest()}  {one}\n" for one in listed]
            (folder / f"{part}-{name}.txt").write_text("".join(lines))


def edited(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def run(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(one) for one in words], cwd=cwd, capture_output=True, text=True, check=False)


def stock(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check a bag with the script that every bag brings, taken from the program and not from the bag."""
    script = Path(__file__).parents[1] / "forensics" / "handoff" / "check.sh"
    return run("bash", script, folder)


def alone(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the verifier that stands in the bag, from within it, as an auditor does."""
    return run(sys.executable, "-I", "-S", "verify.py", ".", cwd=folder)
