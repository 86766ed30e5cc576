"""The truth is what the machine shows; what it does not show is an error, never a fact."""

from __future__ import annotations

import pytest

from forensics.errors import LabFailed
from forensics.lab import plan, truth

DRAWN = plan.draw(11)


def line(pid: int, exe: str, comm: str, arguments: str, environment: str = "") -> bytes:
    fields = [exe, comm + "\n", arguments, environment]
    return f"process {pid} {' '.join(field.encode().hex() for field in fields)}\n".encode()


def deleted(environment: str) -> truth.View:
    path = DRAWN.deleted_path
    arguments = "\0".join([path, "-", *DRAWN.deleted_arguments, ""])
    return truth.read(line(77, f"{path} (deleted)", path[9:], arguments, environment))


def test_a_process_that_runs_from_a_deleted_file_is_told_with_its_pid() -> None:
    view = deleted(f"PATH=/bin\0{DRAWN.marker_variable}={DRAWN.marker}\0")
    (fact,) = truth.tell(DRAWN, ["deleted-executable"], view)
    assert fact["pid"] == 77
    assert fact["path"] == DRAWN.deleted_path
    assert fact["marker"] == DRAWN.marker


def test_a_process_without_its_marker_is_no_fact() -> None:
    with pytest.raises(LabFailed, match="marker"):
        truth.tell(DRAWN, ["deleted-executable"], deleted("PATH=/bin\0"))


@pytest.mark.parametrize("fact", ["deleted-executable", "forged-name", "listening-socket", "io-burst", "oom-kill"])
def test_what_the_machine_does_not_show_is_an_error(fact: str) -> None:
    with pytest.raises(LabFailed):
        truth.tell(DRAWN, [fact], truth.read(b""))


def test_a_kill_is_told_with_the_pid_of_the_kernel_log() -> None:
    # A line of Documentation/admin-guide/cgroup-v2 form, as Linux 6.1 prints it.
    words = (
        f"[   36.1] Memory cgroup out of memory: Killed process 484 ({DRAWN.victim}) total-vm:265728kB, anon-rss:1kB"
    )
    (fact,) = truth.tell(DRAWN, ["oom-kill"], truth.read(b"log " + words.encode().hex().encode() + b"\n"))
    assert fact["victim_pid"] == 484


def test_lines_that_are_no_answer_are_passed_over() -> None:
    assert truth.read(b"\nnoise\nprocess 1 00\n") == truth.View((), ())
