"""`forensics report`: what breaks leaves what was there, and what was not signed is never called signed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forensics import reissue, verify
from forensics.errors import StageFailed
from forensics.events import Action, State
from forensics.progress import Silent
from forensics.rendering import pdf
from tests import casework, certificates

PROGRAM = Path(sys.executable).with_name("forensics")


def report(root: Path, number: str, *words: str, password: str = "") -> subprocess.CompletedProcess[str]:
    reading, writing = os.pipe()
    os.write(writing, f"{password}\n".encode())
    os.close(writing)
    environment = {"PATH": "/usr/bin:/bin", "FORENSICS_ROOT": str(root), "HOME": str(root)}
    secret = ("--certificate-password-fd", str(reading)) if password else ()
    try:
        return subprocess.run(
            [PROGRAM, "report", number, *words, *secret, "--json"],
            capture_output=True, text=True, check=False, env=environment, timeout=300, pass_fds=(reading,),
        )  # fmt: skip
    finally:
        os.close(reading)


def test_a_print_that_breaks_is_on_record_and_the_report_before_is_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = casework.new_case(tmp_path)
    casework.enter_one(case)
    before = reissue.render(case, Silent())
    casework.note(case)
    small = pdf.PrintLimits(memory=96 << 20)
    monkeypatch.setattr(pdf, "PrintLimits", lambda: small)
    with pytest.raises(StageFailed, match="PDF could not be made"):
        reissue.render(case, Silent())
    ends = [one for one in case.events() if one.action is Action.STAGE_ENDED]
    assert [one.outcome for one in ends] == [State.FINISHED, State.FAILED]
    assert [one for one in case.exhibits() if one.kind == "report"] == list(before)
    assert verify.verify(case.folder).code == verify.OK


def test_a_signed_copy_stands_beside_the_report_and_the_password_nowhere(tmp_path: Path) -> None:
    own = certificates.make(tmp_path / "certificate")
    root = tmp_path / "root"
    case = casework.new_case(root)
    casework.enter_one(case)

    wrong = report(root, case.number, "--certificate", str(own.file), password="another-canary")
    assert wrong.returncode == 1
    assert "nothing was signed" in json.loads(wrong.stderr)["what"]
    assert not (root / "reports").exists()

    done = report(root, case.number, "--certificate", str(own.file), password=certificates.PASSWORD)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["signed"]["subject"] == "Organization: Example, Common Name: Ada Examiner"
    assert told["signed"]["stamped"] == ""
    assert [Path(one).name for one in told["report"]] == [
        f"{case.number}{end}" for end in (".html", ".pdf", "-signed.pdf")
    ]
    assert verify.verify(root / "reports" / f"{case.number}-signed.pdf").code == verify.OK

    plain = report(root, case.number)
    assert json.loads(plain.stdout)["signed"] is False
    written = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert b"canary" not in written + done.stdout.encode() + done.stderr.encode() + wrong.stderr.encode()
