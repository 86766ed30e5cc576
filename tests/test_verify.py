"""The verifier: by itself, read-only, every problem named, and an exit code for each kind."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forensics import sealing, seals
from forensics.casefile import LEDGER, Case, open_case
from forensics.events import Action, Deed, State, Thing
from forensics.hashing import PIECE, SECOND, hash_bytes, hash_file
from forensics.intake import enter
from forensics.model import JSON, Digest, Draft, Role, utc
from forensics.progress import Silent
from forensics.verify import Given, verify
from tests.casework import EXAMINER, PLACE, REPOSITORY, check, enter_one, new_case, note, writable
from tests.forgery import rewritten

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
    place = f"bytes {PIECE} to {2 * PIECE - 1}"
    assert [one.what for one in result.problems] == [f"its digest is off in 1 of 3 pieces: {place}"]
    by_pieces = verify(case.folder, given=Given(pieces=True))
    assert [one.what for one in by_pieces.problems] == [f"its digest is off: {place}"]
    flip(case.path(exhibit), PIECE + 12345)
    by_pieces = verify(case.folder, given=Given(pieces=True))
    assert by_pieces, by_pieces.problems
    assert any("3 pieces" in one and "itself was not computed" in one for one in by_pieces.notes), "never unsaid"


def large(case: Case, *pieces: str, size: int = 3 * PIECE, digest: str = "") -> None:
    """Enter three pieces of zeros as someone would who writes the ledger himself."""
    path = case.folder / "exhibits" / "E0003-web01-memory.lime"
    with path.open("wb") as file:
        file.truncate(3 * PIECE)
    path.chmod(0o400)
    listed: list[JSON] = list(pieces)
    known: dict[str, JSON] = {"path": f"exhibits/{path.name}", "pieces": listed, "piece_size": PIECE}
    details: dict[str, JSON] = {**case.events()[1].details, **known}
    thing = Thing("E0003", digest or str(hash_file(path).digest), size)
    case.append(Deed(Action.EXHIBIT_ENTERED, "", "web01", products=(thing,), details=details))


ZEROS = hashlib.sha256(bytes(PIECE)).hexdigest()


def test_pieces_that_leave_bytes_out_are_damage_and_prove_nothing(case: Case) -> None:
    large(case, ZEROS, ZEROS)
    for given in (Given(), Given(pieces=True)):
        result = verify(case.folder, given=given)
        assert [one.what for one in result.problems] == ["its recorded pieces do not make up its size"]


def test_a_whole_digest_that_its_pieces_contradict_is_found_without_being_asked_for(case: Case) -> None:
    large(case, ZEROS, ZEROS, ZEROS, digest="sha256:" + "1" * 64)
    result = check(case.folder)
    assert [one.where.partition(":")[0] for one in result.problems] == ["E0003"]
    assert "every piece is as recorded" in result.problems[0].what
    assert verify(case.folder, given=Given(pieces=True)), "which is why --pieces is not the default"


@pytest.mark.parametrize("algorithm", SECOND)
def test_a_second_digest_is_recorded_and_verified_and_stock_tools_agree(tmp_path: Path, algorithm: str) -> None:
    made = open_case(tmp_path, "2026-0002", "Two digests", EXAMINER, "warrant 12", second_digest=algorithm)
    path = made.path(enter_one(made, "first.json", b"first"))
    tool = {"blake2b": ["b2sum"], "sha512": ["sha512sum"], "sha3_256": ["openssl", "dgst", "-sha3-256", "-r"]}
    told = subprocess.run([*tool[algorithm], path], capture_output=True, text=True, check=True).stdout.split()[0]
    assert made.events()[-1].details["second_digest"] == f"{algorithm}:{told}"
    assert check(made.folder)
    rewritten(made.folder / LEDGER, told.encode(), told.replace(told[0], "0" if told[0] != "0" else "1").encode())
    result = check(made.folder)
    assert [(one.what, one.found) for one in result.problems] == [("its digest is off", f"{algorithm}:{told}")]


def test_an_algorithm_that_is_not_known_leaves_the_exhibit_unchecked(case: Case) -> None:
    rewritten(case.folder / LEDGER, b'"second_digest":""', b'"second_digest":"md5:00"')
    result = check(case.folder)
    assert (result.code, result.problems[-1].found) == (6, "md5")


def test_what_was_compared_since_is_not_hashed_again_but_looked_at(case: Case) -> None:
    since = case.events()[0].time
    quiet = verify(case.folder, given=Given(since=since))
    assert (quiet.code, quiet.exhibits, quiet.size) == (0, 0, 0)
    (case.folder / "exhibits" / "E0001-web01-first.json").chmod(0o644)
    (case.folder / "exhibits" / "E0002-web01-second.json").unlink()
    result = verify(case.folder, given=Given(since=since))
    assert [one.what for one in result.problems] == ["its permissions were widened", "it cannot be read"]


def test_a_seal_counts_as_a_comparison_of_all_that_it_covers(case: Case) -> None:
    since = utc(datetime.now(UTC))
    sealing.record(case, sealing.make(case, Silent()))
    enter_one(case, "third.json", b"third")
    result = verify(case.folder, given=Given(since=since))
    assert result.exhibits == 0, "the third is younger than the date"
    assert verify(case.folder, given=Given(since=case.events()[-1].time)).exhibits == 2


@pytest.mark.parametrize("date", ["1", "yesterday", "2026"])
def test_a_date_that_is_none_is_refused(case: Case, date: str) -> None:
    assert run(case.folder, "--since", date).returncode == 2


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
