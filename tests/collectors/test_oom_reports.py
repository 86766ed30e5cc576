"""Words of the OOM killer that no captured log here holds: old kernels, large pages, other writers of logs."""

from __future__ import annotations

import pytest

from forensics.oom import lines, reports
from forensics.oom.reports import Report

_SIZES = "total-vm:100kB, anon-rss:50kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0"
_KILLED = f"Out of memory: Killed process 99 (x) {_SIZES}"


def read(*texts: str) -> list[Report]:
    found, unread = lines.ring("\n".join(texts).encode())
    reader = reports.read(found)
    assert (unread, reader.unread) == (0, 0)
    return reader.reports


@pytest.mark.parametrize(
    ("text", "victim", "pid", "uid"),
    [
        ("Out of memory: Killed process 2592 (oracle).", "oracle", 2592, None),  # 2.6.18, mm/oom_kill.c
        ("Out of memory: Killed process 18254, UID 48, (httpd).", "httpd", 18254, 48),  # 2.6.18 of RHEL 5
        ("Out of Memory: Killed process 7 (java).", "java", 7, None),  # 2.6.9
        (f"Out of memory: Killed process 7 ((sd-pam)) {_SIZES}", "(sd-pam)", 7, 0),
    ],
)
def test_a_victim_is_named_in_the_words_of_every_age(text: str, victim: str, pid: int, uid: int | None) -> None:
    (report,) = read(f"[    5.000000] {text}")
    assert (report.words["victim"], report.figures["victim_pid"], report.outcome) == (victim, pid, "killed")
    assert report.figures.get("victim_uid") == uid


def test_a_child_that_dies_for_its_parent_is_one_kill_and_the_next_is_another() -> None:
    first, second = read(
        "[1.0] Out of memory: Kill process 4234 (apache2) score 26 or sacrifice child",
        "[1.1] Killed process 5099 (php) total-vm:100kB, anon-rss:50kB, file-rss:0kB",
        "[9.1] Out of memory: Kill process 11 (a) score 30 or sacrifice child",
        "[9.2] Killed process 11 (a) total-vm:100kB, anon-rss:50kB, file-rss:0kB",
    )
    assert (first.words["victim"], first.figures["victim_pid"], first.figures["anon_rss"]) == ("php", 5099, 51200)
    assert first.outcome == "killed in place of its parent apache2 (4234), which the score is of"
    assert (second.words["victim"], second.outcome) == ("a", "killed")


def test_the_process_of_a_chosen_thread_is_not_called_its_child() -> None:
    """As a 3.10 of a public Kubernetes issue wrote it: process 24518 is in the table, its thread 26074 is not."""
    table = (
        "[147913.544835] [ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name",
        "[147913.546739] [24389]     0 24389      253        1       4        0          -998 pause",
        "[147913.548605] [24518]     0 24518    66805    60921     134        0          -998 monocular",
    )
    kill = (
        "[147913.550548] Memory cgroup out of memory: Kill process 26074 (monocular) score 54 or sacrifice child",
        "[147913.552593] Killed process 24518 (monocular) total-vm:267220kB, anon-rss:232620kB, file-rss:11064kB",
    )
    (report,) = read(*table, *kill)
    assert (report.outcome, report.figures["victim_pid"], len(report.tasks)) == ("killed", 24518, 2)
    (report,) = read(*kill)
    assert report.outcome == "killed; the score is of monocular (26074), its parent or a thread of it"


def test_a_report_whose_beginning_is_gone_keeps_its_table_and_its_record() -> None:
    """A ring buffer that wrapped, a log that was rotated: what stands there still is read, and the rest is counted."""
    columns = "total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name"
    header = f"[9.1] [  pid  ]   uid  tgid {columns}"
    row = "[9.2] [  43056]  1000 43056  7511161  3403343  3388364    14371       608 32583680   518157           200 x"
    where = "constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/user.slice"
    record = f"[9.3] oom-kill:{where},task=x,pid=43056,uid=1000"
    killed = "[9.4] Out of memory: Killed process 43056 (x) total-vm:30044644kB, anon-rss:13553456kB, file-rss:57484kB"
    (report,) = read(header, row, record, killed)
    ((figures, name),) = report.tasks
    assert (name, figures["rss"], figures["swapents"]) == ("x", 3403343 * 4096, 518157 * 4096)
    assert (report.words["constraint"], report.words["victim_memcg"]) == ("CONSTRAINT_NONE", "/user.slice")
    assert (report.words["victim"], report.outcome, "invoker" in report.words) == ("x", "killed", False)
    (report,) = read(record, killed)
    assert (report.words["constraint"], report.words["victim"]) == ("CONSTRAINT_NONE", "x")
    found, _ = lines.ring(f"{row}\n{killed}".encode())
    reader = reports.read(found)
    assert (len(reader.reports), reader.unread) == (1, 1), "a row whose header is gone says nothing, and is counted"


def test_who_dies_in_place_of_its_parent_is_named_with_the_sizes_of_2_6_33() -> None:
    """From a message to linux-mm of 2010 (2.6.33-rc4-mm1)."""
    (report,) = read(
        "[739.7] Out of memory: kill process 2716 (gnome-session) score 191570 or a child",
        "[739.8] Killed process 2726 (gnome-power-man) vsz:319232kB, anon-rss:8156kB, file-rss:2764kB",
    )
    assert (report.words["victim"], report.figures["victim_pid"]) == ("gnome-power-man", 2726)
    assert (report.figures["total_vm"], report.figures["anon_rss"]) == (319232 * 1024, 8156 * 1024)
    assert report.outcome == "killed in place of its parent gnome-session (2716), which the score is of"


def test_pages_of_64_kib_are_known_by_the_victims_own_line() -> None:
    (report,) = read(
        "[5.1] java invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
        "[5.2] 261984 pages RAM",
        "[5.3] [  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
        "[5.4] [    900]     0   900    10000     5000   200000        2             0 java",
        "[5.5] Out of memory: Killed process 900 (java) total-vm:640000kB, anon-rss:320000kB, file-rss:0kB",
    )
    ((figures, _),) = report.tasks
    assert (figures["total_vm"], figures["rss"], figures["swapents"]) == (640000 * 1024, 320000 * 1024, 2 << 16)
    assert (figures["pgtables"], report.figures["ram"]) == (200000, 261984 << 16)


@pytest.mark.parametrize(
    ("prefix", "time", "at"),
    [
        ("Nov 12 12:30:02 alpine kern.err kernel: [   12.500000] ", 12.5, ""),  # busybox
        ("kern  :err   : [   12.500000] ", 12.5, ""),  # dmesg -x
        ("\ufeff[   12.500000] ", 12.5, ""),
        ("2018-11-12T12:30:02,123456+01:00 ", None, "2018-11-12T11:30:02.123456Z"),  # dmesg --time-format iso
        ("2018-11-12T12:30:02.123456+01:00 web kernel: [   12.500000] ", 12.5, "2018-11-12T11:30:02.123456Z"),
    ],
)
def test_the_time_of_a_line_is_found_whoever_wrote_it_down(prefix: str, time: float | None, at: str) -> None:
    (report,) = read(f"{prefix}{_KILLED}\r")
    assert (report.line.time, report.line.at, report.figures["pgtables"]) == (time, at, 4096)


def test_a_panic_in_the_words_of_old_kernels_is_one() -> None:
    (report,) = read(
        "[5.5] java invoked oom-killer: gfp_mask=0x201da, order=0, oom_adj=0",
        "[5.6] Kernel panic - not syncing: out of memory. Compulsory panic_on_oom is selected.",
    )
    assert report.outcome.startswith("panic: out of memory")


def test_where_the_requester_may_allocate_is_read_of_old_kernels_too() -> None:
    (report,) = read(
        "[5.5] thrash invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=0",
        "[5.6] thrash cpuset=91091d5382d5 mems_allowed=0-1",
        "[5.7] Killed process 7 (thrash) total-vm:4kB, anon-rss:0kB, file-rss:0kB",
    )
    assert (report.words["cpuset"], report.words["mems_allowed"]) == ("91091d5382d5", "0-1")
