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


@pytest.mark.parametrize("fact", ["deleted-executable", "forged-name", "listening-socket", "io-burst", "oom-kill",
                                  "hidden-process", "hidden-module"])  # fmt: skip
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


def hidden(*more: str) -> truth.View:
    said = line(91, "/usr/bin/perl", DRAWN.hidden, "perl\0") + "".join(f"{one}\n" for one in more).encode()
    return truth.read(said)


def test_a_process_that_ps_leaves_out_is_told_and_one_that_it_lists_is_no_fact() -> None:
    (fact,) = truth.tell(DRAWN, ["hidden-process"], hidden("listed 1"))
    assert (fact["pid"], fact["path"]) == (91, f"/usr/local/sbin/{DRAWN.hidden}")
    for shown in (("listed 1", "listed 91"), ()):
        with pytest.raises(LabFailed):
            truth.tell(DRAWN, ["hidden-process"], hidden(*shown))


def test_a_module_hides_when_sysfs_has_it_and_the_list_has_not() -> None:
    (fact,) = truth.tell(DRAWN, ["hidden-module"], truth.read(f"module {DRAWN.module}\nloaded ext4\n".encode()))
    assert fact["module"] == DRAWN.module
    with pytest.raises(LabFailed):
        truth.tell(DRAWN, ["hidden-module"], truth.read(f"module {DRAWN.module}\nloaded {DRAWN.module}\n".encode()))


def test_a_module_that_the_machine_refuses_or_nobody_could_make_is_not_planted_and_why_is_told() -> None:
    (refused,) = truth.tell(DRAWN, ["hidden-module"], truth.read(b"loaded ext4\nrefuses\n"))
    (unmade,) = truth.tell(DRAWN, ["hidden-module"], truth.read(b""), {"hidden-module": "no headers"})
    assert refused == {"fact": "not-planted", "rule": "hidden-module", "why": refused["why"]}
    assert "signed" in str(refused["why"])
    assert unmade["why"] == "no headers"


def test_lines_that_are_no_answer_are_passed_over() -> None:
    assert truth.read(b"\nnoise\nprocess 1 00\n") == truth.View((), ())
