"""Several targets in one case: each with its own state, none in the way of another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forensics.casefile import Case
from forensics.commands import several
from forensics.errors import UsageError
from forensics.events import Action
from tests.casework import new_case
from tests.sshd import Sshd, free_port

NUMBER = "2026-0001"
PROGRAM = (sys.executable, "-m", "forensics.cli")


def run(root: Path, *words: str, password: str = "") -> subprocess.CompletedProcess[str]:
    reading, writing = os.pipe()
    os.write(writing, f"{password}\n".encode())
    os.close(writing)
    given = (f"--sudo-password-fd={reading}",) if password else ()
    try:
        return subprocess.run(
            [*PROGRAM, "run", NUMBER, *words, *given, f"--root={root}"],
            capture_output=True, text=True, check=False, timeout=300, pass_fds=(reading,),
        )  # fmt: skip
    finally:
        os.close(reading)


def listed(root: Path, sshd: Sshd) -> Path:
    """A file with one target that answers, under two names, and one that does not."""
    told = subprocess.run(["ssh-keygen", "-lf", sshd.folder / "host.pub"], capture_output=True, text=True, check=True)
    own = {"identity": str(sshd.identity), "host-key": told.stdout.split()[1]}
    target = f"root@127.0.0.1:{sshd.port}"
    (root / "targets.yaml").write_text(
        json.dumps({"targets": [{"target": target, **own}, f"root@localhost:{free_port()}"]})
    )
    return root / "targets.yaml"


@pytest.mark.root
def test_one_target_that_fails_does_not_stop_the_others(sshd: Sshd, tmp_path: Path) -> None:
    new_case(tmp_path)
    done = run(tmp_path, f"--targets={listed(tmp_path, sshd)}", "--until=survey", "--json", password="hush-hush")
    told = json.loads(done.stdout)
    assert done.returncode == 3, done.stderr
    by_target = {one["target"]: one for one in told["targets"]}
    assert by_target["127-0-0-1"]["exit"] in {0, 3}
    assert by_target["127-0-0-1"]["stages"] == {"survey": "finished"}
    assert by_target["localhost"]["exit"] == 1
    assert "localhost" in by_target["localhost"]["problem"]
    case = Case.load(tmp_path, NUMBER)
    assert {one.target for one in case.exhibits()} == {"127-0-0-1"}
    ends = {(one.target, str(one.outcome)) for one in case.events() if one.action is Action.STAGE_ENDED}
    assert ends == {("127-0-0-1", "finished"), ("localhost", "failed")}
    assert b"hush-hush" not in (tmp_path / "cases" / NUMBER / "custody.jsonl").read_bytes()


@pytest.mark.root
def test_an_interrupted_run_waits_until_each_of_its_runs_has_ended(sshd: Sshd, tmp_path: Path) -> None:
    new_case(tmp_path)
    words = [*PROGRAM, "run", NUMBER, f"--targets={listed(tmp_path, sshd)}", "--until=survey", f"--root={tmp_path}"]
    words = ["env", "--default-signal=INT", *words]  # these tests themselves may run where a shell has it ignored
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "127-0-0-1: survey" in line:
                break
        running.send_signal(signal.SIGINT)
        assert running.wait(120) == 130
    events = Case.load(tmp_path, NUMBER).events()
    starts = [one for one in events if one.action is Action.STAGE_STARTED]
    ends = [str(one.outcome) for one in events if one.action is Action.STAGE_ENDED and one.target == "127-0-0-1"]
    assert [one.target for one in starts] == ["127-0-0-1"]
    assert ends in (["interrupted"], ["finished"])


def test_targets_of_one_label_are_refused(tmp_path: Path) -> None:
    new_case(tmp_path)
    done = run(tmp_path, "root@web01:22", "ada@web01:2222")
    assert done.returncode == 2
    assert "web01" in done.stderr


def test_no_target_at_all_is_said(tmp_path: Path) -> None:
    new_case(tmp_path)
    done = run(tmp_path)
    assert done.returncode == 2
    assert "--targets" in done.stderr


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("targets: [{target: web01, colour: red}]", "colour"),
        ("targets: 5", "list"),
        ("- target: ''", "target"),
        ("{", "flow"),
        ("- [a, b]", "0"),
    ],
)
def test_what_is_off_in_a_file_of_targets_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        several.load(path)
    assert named in str(caught.value)
    assert str(path) in caught.value.where


def test_a_file_of_targets_may_say_for_each_what_is_said_for_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text("- root@web01\n- {target: 'ada@db01:2222', identity: keys/db, host-key: 'SHA256:x', plan: live}\n")
    first, second = several.load(path)
    assert (first.target, first.options) == ("root@web01", ())
    assert second.options == ("--host-key=SHA256:x", "--identity=keys/db", "--plan=live")
