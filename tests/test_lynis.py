"""`forensics lynis`: two audits beside each other, and one test by its id."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.collectors.lynis import controls, database, log, report, tree
from forensics.collectors.lynis.difference import Audit, compare
from forensics.intake import Place, enter
from forensics.model import Draft, Exhibit, Role
from tests.casework import new_case

PROGRAM = Path(sys.executable).with_name("forensics")
FIRST = """# Lynis Report
lynis_version=3.0.8
os_fullname=Debian GNU/Linux 12 (bookworm)
report_datetime_start=2026-11-23 10:00:00
test_group=ssh kernel
suggestion[]=SSH-7408|Consider hardening SSH configuration|AllowTcpForwarding (set YES to NO)|-|
suggestion[]=SSH-7408|Consider hardening SSH configuration|Compression (set YES to NO)|-|
suggestion[]=BANN-7126|Add a legal banner to /etc/issue, to warn unauthorized users|-|-|
suggestion[]=PKGS-7346|Purge old/removed packages (3 found)|-|-|
warning[]=LOGG-2138|klogd is not running|-|text:Start it|
details[]=KRNL-6000|sysctl|desc:No redirects; not any;field:net.ipv4.conf.all.send_redirects;prefval:0;value:1;|
details[]=KRNL-6000|sysctl|desc:Core dumps;field:fs.suid_dumpable;prefval:0;value:2;|
tests_executed=SSH-7408|BANN-7126|PKGS-7346|LOGG-2138|KRNL-6000|
tests_skipped=KRNL-5770|
hardening_index=40
finish=true
"""
SECOND = """# Lynis Report
lynis_version=3.0.8
os_fullname=Debian GNU/Linux 12 (bookworm)
report_datetime_start=2026-11-24 10:00:00
test_group=ssh kernel
suggestion[]=SSH-7408|Consider hardening SSH configuration|AllowTcpForwarding (set YES to NO)|-|
suggestion[]=SSH-7408|Consider hardening SSH configuration|Compression (set DELAYED to NO)|-|
warning[]=PKGS-7346|Purge old/removed packages (5 found)|-|-|
suggestion[]=USB-1000|Disable drivers like USB storage when not used|-|-|
details[]=KRNL-6000|sysctl|desc:Core dumps;field:fs.suid_dumpable;prefval:0;value:1;|
tests_executed=SSH-7408|BANN-7126|PKGS-7346|USB-1000|KRNL-6000|
hardening_index=60
finish=true
"""
GIVEN = "number of hardening points"
LOG = f"""2026-11-23 10:00:00 Skipped test KRNL-5770 (Checking active kernel modules)
2026-11-23 10:00:00 Reason to skip: Incorrect guest OS (Solaris only)
2026-11-23 10:00:01 ====
2026-11-23 10:00:01 Performing test ID SSH-7408 (Check SSH specific defined options)
2026-11-23 10:00:01 Result: found Compression set to YES
2026-11-23 10:00:01 Hardening: assigned partial {GIVEN} (1 of 3). Currently having 1 points (out of 3)
2026-11-23 10:00:01 Hardening: assigned maximum {GIVEN} for this item (1). Currently having 2 points (out of 4)
2026-11-23 10:00:02 ====
2026-11-23 10:00:02 Performing test ID BANN-7126 (Check issue banner file contents)
2026-11-23 10:00:02 Hardening: assigned partial {GIVEN} (0 of 1). Currently having 2 points (out of 5)
"""


def audit(words: str, logged: str = "", label: str = "one") -> Audit:
    return Audit(label, report.read(words.encode()), log.read(logged.encode()) if logged else None)


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "FORENSICS_ROOT": str(root), "HOME": str(root), "COLUMNS": "200"}
    return subprocess.run([PROGRAM, "lynis", *words], capture_output=True, text=True, check=False, env=environment)


def told(root: Path, *words: str) -> Any:
    done = run(root, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def written(folder: Path, words: str, logged: str = "") -> Path:
    folder.mkdir()
    (folder / "report.dat").write_text(words)
    if logged:
        (folder / "lynis.log").write_text(logged)
    return folder


def test_what_is_new_gone_and_changed_is_told_and_what_is_the_same_is_not() -> None:
    rows = {(row["change"], row["test"]): row for row in compare(audit(FIRST), audit(SECOND)).findings}
    assert set(rows) == {("changed", "SSH-7408"), ("gone", "BANN-7126"), ("changed", "PKGS-7346"),
                         ("gone", "LOGG-2138"), ("new", "USB-1000")}  # fmt: skip
    assert rows["changed", "SSH-7408"]["before"] == "details: Compression (set YES to NO)"
    assert rows["changed", "SSH-7408"]["details"] == "Compression (set DELAYED to NO)"
    assert rows["changed", "PKGS-7346"]["kind"] == "warning"
    assert rows["changed", "PKGS-7346"]["before"] == "kind: suggestion; text: Purge old/removed packages (3 found)"


def test_what_is_gone_because_its_test_did_not_run_is_not_said_to_be_mended() -> None:
    rows = {row["test"]: row for row in compare(audit(FIRST), audit(SECOND)).findings}
    assert "did not run" in str(rows["LOGG-2138"]["note"])
    assert "did not run" in str(rows["USB-1000"]["note"])
    assert not isinstance(rows["BANN-7126"]["note"], str)


def test_values_that_were_set_otherwise_are_told() -> None:
    rows = [(row["change"], row["field"], row["before"]) for row in compare(audit(FIRST), audit(SECOND)).values]
    assert rows == [
        ("changed", "fs.suid_dumpable", "2"),
        ("gone", "net.ipv4.conf.all.send_redirects", "1"),
    ]


def test_the_points_behind_the_index_are_told_test_by_test() -> None:
    better = LOG.replace("points (0 of 1). Currently having 2", "points (1 of 1). Currently having 3")
    first, second = audit(FIRST, LOG), audit(SECOND, better)
    assert first.log is not None
    assert first.log.points == (2, 5)
    found = compare(first, second)
    assert found.points.rows == (("BANN-7126", "Check issue banner file contents", 0, 1, 1, 1),)


def test_the_points_of_a_real_log_are_the_index_of_its_report() -> None:
    folder = Path(__file__).parent / "collectors" / "captured" / "lynis" / "container"
    given, possible = log.read((folder / "log").read_bytes()).points
    summary = report.read((folder / "report").read_bytes()).summary
    assert (given, possible) == (36, 71)
    assert summary["hardening_index"] == str(given * 100 // possible)


def test_indices_of_unlike_runs_are_not_compared() -> None:
    assert compare(audit(FIRST), audit(FIRST)).reasons == ()
    other = FIRST.replace("3.0.8", "3.1.6").replace("finish=true\n", "")
    assert compare(audit(FIRST), audit(other)).reasons == (
        "the second run did not finish",
        "versions of Lynis differ (3.0.8, 3.1.6)",
    )
    assert "2 tests ran in one of the two only" in compare(audit(FIRST), audit(SECOND)).reasons


@given(st.text(max_size=400), st.text(max_size=400))
def test_no_report_and_no_log_crash_a_comparison(first: str, second: str) -> None:
    lines = [f"suggestion[]={first}", f"details[]={second}", f"warning[]={second}", first]
    found = compare(audit("\n".join(lines), first), audit(SECOND, f"{LOG}{second}"))
    assert all(len(row) == len(table.columns) for table in found.tables for row in table.rows)


def test_lines_of_a_log_that_should_tell_of_a_test_and_cannot_be_read_are_counted() -> None:
    broken = LOG.replace("(0 of 1)", "(many)").replace("BANN-7126 (Check", "BANN-7126 [Check")
    assert log.read(broken.encode()).unread == 2


def test_the_command_tells_the_same_of_two_folders(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a", FIRST, LOG), written(tmp_path / "b", SECOND)
    document = told(tmp_path, "diff", str(first), str(second / "report.dat"))
    assert (document["before"]["hardening_index"], document["after"]["hardening_index"]) == ("40", "60")
    assert (document["before"]["points"], document["before"]["possible_points"]) == (2, 5)
    assert document["comparable"] is False
    assert len(document["lynis_difference"]) == 5
    plain = run(tmp_path, "diff", str(first), str(second)).stdout
    assert "new     suggestion  USB-1000  Disable drivers" in plain
    assert "must not be compared" in plain


def test_an_audit_that_did_not_finish_is_a_gap(tmp_path: Path) -> None:
    first = written(tmp_path / "a", FIRST)
    second = written(tmp_path / "b", SECOND.replace("finish=true\n", ""))
    done = run(tmp_path, "diff", str(first), str(second))
    assert done.returncode == 3
    assert "did NOT finish" in done.stdout


@pytest.mark.parametrize("words", ["nowhere/report.dat", "2026-9999"])
def test_words_that_name_no_audit_are_refused(tmp_path: Path, words: str) -> None:
    done = run(tmp_path, "diff", words, words)
    assert done.returncode in {1, 2}
    assert words.split("/", maxsplit=1)[0] in done.stderr


def test_a_file_that_is_no_report_is_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nothing of the kind\n")
    done = run(tmp_path, "diff", str(tmp_path / "x"), str(tmp_path / "x"))
    assert done.returncode == 1
    assert "no report of Lynis" in done.stderr


def archive(path: Path) -> Path:
    content = b"#TestID:Type\nSSH-7408:test:security:ssh::Check SSH specific defined options:\n"
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo(database.PLACE)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return path


def entered(root: Path) -> tuple[str, list[Exhibit]]:
    """Make a case with two runs of Lynis on one target and one on another."""
    case = new_case(root)
    made = []
    runs = [("web01", FIRST), ("web01", SECOND), ("web02", FIRST)]
    for at, (target, words) in enumerate(runs):
        parts = {"lynis.tar.gz": b"", "report": words.encode(), "log": LOG.encode()}
        for part, content in parts.items():
            path = case.folder / "work" / f"{at}-{part}"
            if content:
                path.write_bytes(content)
            else:
                archive(path)
            role, kind = (Role.EVIDENCE, "live-output") if content else (Role.INSTRUMENT, "collector-tool")
            draft = Draft(path, role, kind, part, name=f"lynis-{part}", item="lynis", facts={"part": part})
            made.append(enter(case, draft, Place(target, "collect", at + 1, {"boot_id": "b", "release": "6.1"})))
    return case.number, made


def test_two_runs_of_one_case_are_compared_by_their_exhibits(tmp_path: Path) -> None:
    number, made = entered(tmp_path)
    reports = [one for one in made if one.facts["part"] == "report"]
    document = told(tmp_path, "diff", f"{number}:{reports[0].number}", f"{number}:web01")
    assert document["before"]["sources"][0] == f"{reports[0].number}, {reports[0].digest}"
    assert document["after"]["sources"][0] == f"{reports[1].number}, {reports[1].digest}"
    assert len(document["after"]["sources"]) == 3, "report, log and the copy of Lynis of the same run"
    assert len(document["lynis_difference"]) == 5
    several = run(tmp_path, "diff", number, number)
    assert several.returncode == 2
    assert f"{number}:web01 or {number}:web02" in several.stderr


def test_an_exhibit_that_was_changed_is_not_compared(tmp_path: Path) -> None:
    number, made = entered(tmp_path)
    path = tmp_path / "cases" / number / made[1].path
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"YES", b"NO!"))
    assert run(tmp_path, "diff", f"{number}:{made[1].number}", f"{number}:web01").returncode == 4


def test_a_test_is_shown_by_the_database_of_the_copy_that_ran_and_by_what_the_run_says(tmp_path: Path) -> None:
    number, _ = entered(tmp_path)
    document = told(tmp_path, "show", "ssh-7408", f"{number}:web01")
    assert document["description"] == "Check SSH specific defined options"
    assert (document["run"]["points"], document["run"]["possible"]) == (2, 4)
    assert len(document["findings"]) == 2
    assert document["log"][1] == "Result: found Compression set to YES"
    assert "AC-17" in document["controls"]
    assert "this program's own mapping" in document["controls_by"]
    skipped = told(tmp_path, "show", "KRNL-5770", f"{number}:web01")
    assert skipped["run"]["reason"] == "Incorrect guest OS (Solaris only)"
    unknown = run(tmp_path, "show", "NONE-0000", f"{number}:web01")
    assert unknown.returncode == 2
    assert "no test is known as NONE-0000" in unknown.stderr


def test_every_mapped_test_is_one_of_lynis(tmp_path: Path) -> None:
    tree.pack(tmp_path / "lynis.tar.gz")
    known = database.of_archive(tmp_path / "lynis.tar.gz")
    assert len(known) > 400
    assert set(controls.CONTROLS) <= set(known)
    assert all(controls.controls(test) for test in controls.CONTROLS)


CHECKED = """
AC-2 AC-3 AC-6 AC-7 AC-8 AC-11 AC-12 AC-17 AU-2 AU-4 AU-8 AU-9 AU-11 AU-12 CM-6 CM-7 IA-4 IA-5 MP-7 RA-5 SC-7 SC-17
SC-28 SC-45 SI-2 SI-3 SI-4 SI-7 A.5.16 A.5.17 A.5.18 A.7.10 A.8.2 A.8.3 A.8.5 A.8.7 A.8.8 A.8.9 A.8.15 A.8.16 A.8.17
A.8.19 A.8.20 A.8.24
"""


def test_no_control_is_named_that_was_not_held_against_its_title() -> None:
    assert {one for named in controls.CONTROLS.values() for one in named} == set(CHECKED.split())


def test_a_report_that_came_by_windows_is_read_as_the_same() -> None:
    lines = [
        "# Lynis Report",
        "lynis_version=3.0.8",
        "warning[]=AUTH-9286|Set ages|-|text:see login.defs|",
        "finish=true",
    ]
    ours = report.read("\n".join(lines).encode())
    theirs = report.read(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    assert ours == theirs
    assert (theirs.finished, theirs.unread) == (True, 0)


@pytest.mark.parametrize(
    ("line", "text", "details"),
    [
        ("PKGS-7392|Found one or more vulnerable packages.|", "Found one or more vulnerable packages.", ""),  # 2.1.1
        ("PKGS-7392|H|Found one or more vulnerable packages.|", "Found one or more vulnerable packages.", ""),  # 1.x
        ("SSH-7408|Consider it|AllowTcpForwarding (YES --> NO)|-", "Consider it", "AllowTcpForwarding (YES --> NO)"),
    ],
)
def test_a_finding_of_an_older_lynis_has_its_text(line: str, text: str, details: str) -> None:
    read = report.read(f"suggestion[]={line}\n".encode())
    (row,) = next(table for table in read.tables if table.name == "lynis_findings")
    assert (row["text"], row["details"] if isinstance(row["details"], str) else "") == (text, details)


def test_a_finding_without_a_word_is_counted_and_not_shown() -> None:
    read = report.read(b"warning[]=\nsuggestion[]=||\n=x\n")
    assert (read.unread, [len(table) for table in read.tables if table.name == "lynis_findings"]) == (3, [0])


def test_a_log_with_hours_only_tells_its_tests() -> None:
    read = log.read(b"[16:27:00] Performing test ID AUTH-9204 (Check users with an UID of zero)\r\n")
    assert [(row["test"], row["state"]) for row in read.table] == [("AUTH-9204", "performed")]
