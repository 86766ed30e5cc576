"""The verifier: by itself, read-only, every problem named, and an exit code for each kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forensics import seals
from forensics.casefile import LEDGER, Case
from forensics.events import Action, Deed, State, Thing
from forensics.hashing import PIECE, hash_bytes
from forensics.intake import enter
from forensics.model import Digest, Draft, Role
from tests.casework import PLACE, REPOSITORY, check, enter_one, new_case, note, writable

VERIFY = REPOSITORY / "forensics" / "verify.py"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    made = new_case(tmp_path)
    enter_one(made, "first.json", b"first")
    enter_one(made, "second.json", b"second")
    return made


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it as an auditor does: one file, an isolated interpreter, an empty current folder."""
    command = [sys.executable, "-I", "-S", str(VERIFY), str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env={"LC_ALL": "C.UTF-8"})


def flip(path: Path, place: int = 0) -> None:
    with writable(path).open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))
    path.chmod(0o400)


def test_a_sound_case_is_ok_and_the_limit_is_told(case: Case) -> None:
    done = run(case.folder)
    assert done.returncode == 0, done.stdout
    assert "3 entries" in done.stdout
    assert case.events()[-1].digest in done.stdout
    assert "cut from the ledger's end" in done.stdout
    anchored = run(case.folder, "--head", case.events()[-1].digest)
    assert anchored.returncode == 0
    assert "cut from the ledger's end" not in anchored.stdout


def test_all_problems_are_named_with_what_was_expected_and_found(case: Case) -> None:
    flip(case.folder / "exhibits" / "E0001-web01-first.json")
    (case.folder / "exhibits" / "E0002-web01-second.json").unlink()
    (case.folder / "exhibits" / "planted").write_text("x")
    done = run(case.folder, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit"], told["state"]) == (4, 4, "damaged")
    assert [one["where"].partition(":")[0] for one in told["problems"]] == ["exhibits/planted", "E0001", "E0002"]
    digest = next(one for one in told["problems"] if one["where"].startswith("E0001"))
    sums = subprocess.run(
        ["sha256sum", case.folder / "exhibits" / "E0001-web01-first.json"], capture_output=True, check=True
    )
    assert digest["found"] == f"sha256:{sums.stdout[:64].decode()}"
    assert digest["expected"] == str(case.exhibit("E0001").digest)


def test_a_changed_line_is_named_and_so_is_the_break_behind_it(case: Case) -> None:
    path = case.folder / LEDGER
    path.write_bytes(path.read_bytes().replace(b"E0001-web01-first", b"E0001-web02-first"))
    done = run(case.folder)
    assert done.returncode == 4
    assert "line 2: the line is not what its own digest says" in done.stdout
    assert "line 3: previous is off" in done.stdout


def test_bit_rot_is_placed(case: Case) -> None:
    path = case.folder / "work" / "memory.lime"
    with path.open("wb") as file:
        file.truncate(3 * PIECE)
    exhibit = enter(case, Draft(path, Role.EVIDENCE, "memory-image", "Image"), PLACE)
    flip(case.path(exhibit), PIECE + 12345)
    result = check(case.folder)
    assert [one.what for one in result.problems] == [f"its digest is off in pieces 1 of {PIECE} bytes"]


@pytest.mark.parametrize("kind", ["nothing", "an empty folder", "a fifo", "a symlink"])
def test_what_is_no_case_cannot_be_checked(tmp_path: Path, case: Case, kind: str) -> None:
    folder = tmp_path / "other"
    if kind != "nothing":
        folder.mkdir()
    if kind == "a fifo":
        os.mkfifo(folder / LEDGER)
    if kind == "a symlink":
        (folder / LEDGER).symlink_to(case.folder / LEDGER)
    done = run(folder)
    assert (done.returncode, "cannot check" in done.stdout) == (6, True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"\xff\n", b"null\n", b"x" * (2 << 20)])
def test_a_ledger_that_is_none_is_damaged_and_breaks_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LEDGER).write_bytes(content)
    done = run(tmp_path)
    assert done.returncode == 4, done.stdout
    assert "Traceback" not in done.stderr


def test_a_stage_without_an_end_is_incomplete_and_so_is_a_torn_line(case: Case) -> None:
    case.append(Deed(Action.STAGE_STARTED, "", "web01", "collect", 1, outcome=State.STARTED))
    assert run(case.folder).returncode == 5
    case.append(Deed(Action.STAGE_ENDED, "", "web01", "collect", 1, outcome=State.INTERRUPTED))
    assert run(case.folder).returncode == 0
    with (case.folder / LEDGER).open("ab") as file:
        file.write(b'{"schema":')
    done = run(case.folder)
    assert done.returncode == 5
    assert "torn" in done.stdout


def test_damage_outweighs_what_is_incomplete(case: Case) -> None:
    case.append(Deed(Action.STAGE_STARTED, "", "web01", "collect", 1, outcome=State.STARTED))
    flip(case.folder / "exhibits" / "E0001-web01-first.json")
    assert run(case.folder).returncode == 4


def test_a_seal_that_does_not_fit_the_ledger_is_found(case: Case) -> None:
    last = case.events()[-1]
    path = seals.write(case.folder / "seals", case.id, last.sequence, Digest.parse(last.digest), case.exhibits())
    note(case, "later")
    assert check(case.folder)
    whole = path.read_text(encoding="ascii")
    for old, new in (
        (last.digest, "sha256:" + "1" * 64),
        (f'"sequence": {last.sequence}', '"sequence": 99'),
        ("{", ""),
    ):
        writable(path).write_text(whole.replace(old, new, 1), encoding="ascii")
        assert check(case.folder).code == 4, old
    path.write_text(whole.replace(str(case.exhibit("E0001").digest), "sha256:" + "2" * 64), encoding="ascii")
    assert [one.what for one in check(case.folder).problems] == ["E0001 was sealed with another digest"]


def test_a_tail_cut_behind_a_seal_is_found_by_the_seal(case: Case) -> None:
    last = case.events()[-1]
    seals.write(case.folder / "seals", case.id, last.sequence, Digest.parse(last.digest), case.exhibits())
    path = case.folder / LEDGER
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    (case.folder / "exhibits" / "E0002-web01-second.json").unlink()
    assert check(case.folder).code == 4


def test_nothing_is_written(case: Case) -> None:
    def seen() -> list[tuple[str, int, int]]:
        return sorted((str(one), one.lstat().st_mtime_ns, one.lstat().st_ctime_ns) for one in case.folder.rglob("*"))

    before = seen()
    run(case.folder)
    run(case.folder, "--json")
    assert seen() == before


def test_hostile_names_reach_no_terminal(case: Case) -> None:
    (case.folder / "exhibits" / "\x1b]52;c;x\x07\u202egnp.\n").write_text("x")
    (case.folder / "\x1b[2Jmore").write_text("x")
    done = run(case.folder)
    assert done.returncode == 4
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout
    assert "\\x1b]52" in done.stdout


def test_a_path_that_leads_out_of_the_case_is_never_opened(case: Case, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"first")
    details = {**case.events()[1].details, "path": "exhibits/E0003-../../../../outside"}
    thing = Thing("E0003", str(hash_bytes(b"first")), 5)
    case.append(Deed(Action.EXHIBIT_ENTERED, "", "web01", products=(thing,), details=details))
    result = check(case.folder)
    assert result.code == 4
    assert any("number or name is off" in one.what for one in result.problems)


def test_an_unreadable_exhibit_is_said_to_be_unchecked(case: Case) -> None:
    if os.geteuid() == 0:
        own = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        for path in (*case.folder.parents, case.folder):
            if path.stat().st_uid == os.geteuid() and str(path).startswith("/tmp/") and path != Path("/tmp"):
                path.chmod(0o755)
        for path in (case.folder / "exhibits", case.folder / "seals", case.folder / "work", case.folder / LEDGER):
            path.chmod(0o755)
    else:
        own = []
        (case.folder / "exhibits" / "E0001-web01-first.json").chmod(0o000)
    command = [*own, "/usr/bin/python3", "-I", "-", str(case.folder)]
    with VERIFY.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
    assert done.returncode == 6, done.stdout + done.stderr
    assert "Permission denied" in done.stdout
