"""Small cases for tests, and programs that work on them and can be broken from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from forensics import verify
from forensics.casefile import Case, open_case
from forensics.events import Action, Deed
from forensics.intake import Place, enter
from forensics.model import Draft, Examiner, Exhibit, Role
from tests.sshd import skip

REPOSITORY = Path(__file__).parents[1]
EXAMINER = Examiner("Ann Examiner", "examiner", "ann@example.org", "Example Lab", "SHA256:key")
PLACE = Place("web01", "survey", 1, {"boot_id": "b", "release": "6.1"})


def new_case(root: Path, number: str = "2026-0001") -> Case:
    return open_case(root, number, "Suspect host", EXAMINER, "warrant 12", scope="web01")


def draft(case: Case, name: str = "facts.json", content: bytes = b"{}\n", role: Role = Role.EVIDENCE) -> Draft:
    path = case.folder / "work" / name
    path.write_bytes(content)
    return Draft(path, role, "facts", "What the target is", facts={"rate": 93.25, "rows": 2})


def enter_one(case: Case, name: str = "facts.json", content: bytes = b"{}\n", role: Role = Role.EVIDENCE) -> Exhibit:
    return enter(case, draft(case, name, content, role), PLACE)


def note(case: Case, text: str = "a note") -> None:
    case.append(Deed(Action.NOTE, text))


def copy(case: Case, root: Path) -> Path:
    folder = root / "cases" / case.number
    shutil.copytree(case.folder, folder, symlinks=True)
    return folder


def writable(path: Path) -> Path:
    path.chmod(0o600)
    return path


def check(folder: Path, head: str = "") -> verify.Result:
    return verify.verify(folder, head)


def program(code: str, *words: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run Python code with the package and these tests at hand, under another program where one is given."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*under, sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


def strace(*injections: str) -> tuple[str, ...]:
    """Give the words that run a program with faults in its system calls; skip where that cannot be done."""
    found = shutil.which("strace") or ""
    if not found:
        skip("strace is not installed")
    probe = subprocess.run([found, "-qq", "-o", "/dev/null", "true"], check=False, capture_output=True)
    if probe.returncode:
        skip("this machine does not allow ptrace")
    faults = [word for one in injections for word in ("-e", f"inject={one}")]
    calls = ",".join(sorted({name for one in injections for name in one.partition(":")[0].split(",")}))
    return (found, "-qq", "-o", "/dev/null", "-e", f"trace={calls}", *faults)
