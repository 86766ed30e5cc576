"""The host's pen: everything on record before it is done, and what dangles is found by the next run."""

from __future__ import annotations

from pathlib import Path

from forensics.casefile import Case
from forensics.events import Action, State
from forensics.host import Change, Recorder
from forensics.recorder import LedgerRecorder
from tests.casework import check, new_case

FOLDER = Change("folder", "/dev/shm/x1", ("/bin/rmdir", "/dev/shm/x1"), ("/usr/bin/test", "!", "-e", "/dev/shm/x1"))
MODULE = Change("module", "lime", ("/sbin/rmmod", "lime"), ("/bin/false",), "sha256:1")


def test_what_was_not_proven_gone_is_found_by_another_process(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    pen = LedgerRecorder(case, "web01")
    host_side: Recorder = pen
    pen.boot_id = "boot-1"
    first, second = host_side.intend(FOLDER), host_side.intend(MODULE)
    LedgerRecorder(case, "web02").intend(FOLDER)
    host_side.restored(first, FOLDER, proven=False, reason="not empty")
    other = LedgerRecorder(Case.load(tmp_path, case.number), "web01")
    assert list(other.dangling()) == [(first, FOLDER, "boot-1"), (second, MODULE, "boot-1")]
    other.restored(first, FOLDER, proven=True)
    assert [one for one, _, _ in pen.dangling()] == [second]
    assert any("/dev/shm/x1" in note or "lime" in note for note in check(case.folder).notes)


def test_commands_and_connections_stand_in_the_ledger_with_stage_and_attempt(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    pen = LedgerRecorder(case, "web01")
    pen.stage, pen.attempt = "survey", 2
    pen.connected({"address": "127.0.0.1", "host_key": "SHA256:x"})
    pen.command(["/bin/uname", "-r"], root=True)
    pen.restored(0, FOLDER, proven=False, reason="it is still there")
    connected, command, restored = case.events()[1:]
    assert (connected.action, connected.details["host_key"]) == (Action.CONNECTED, "SHA256:x")
    assert (command.action, command.stage, command.attempt) == (Action.COMMAND, "survey", 2)
    assert command.details == {"argv": ["/bin/uname", "-r"], "root": True}
    assert (restored.outcome, restored.reason) == (State.FAILED, "it is still there")
