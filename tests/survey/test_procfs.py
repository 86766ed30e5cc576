"""Readers of /proc: what a kernel writes is read, what a process forges is not believed, nothing raises."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from forensics.model import LiveProcess, MemoryRange
from forensics.survey import procfs

AFTER_COMM = b" S 1 20 20 0 -1 %d 5 6 0 0 1 2 3 4 20 0 1 0 %d 100 7 " + b"0 " * 27 + b"0\n"


def stat(pid: int, comm: bytes, flags: int = 0x400000, ticks: int = 4200) -> bytes:
    return b"%d (%b)" % (pid, comm) + AFTER_COMM % (flags, ticks)


def test_a_process_is_read_with_its_start_and_kind() -> None:
    lines, unread = procfs.stat_lines(stat(7, b"cron") + stat(8, b"kworker/u4:0-events_unbound", 0x04208060, 56))
    assert unread == 0
    assert [(one.pid, one.comm, one.ppid, one.started) for one in lines] == [
        (7, b"cron", 1, 42.0),
        (8, b"kworker/u4:0-events_unbound", 1, 0.56),
    ]
    assert [bool(one.flags & procfs.KERNEL_THREAD) for one in lines] == [False, True]


@given(some.lists(some.binary(max_size=15).filter(lambda name: b"\0" not in name), min_size=1, max_size=8))
def test_no_name_of_fifteen_bytes_changes_what_is_read(names: list[bytes]) -> None:
    content = b"".join(stat(pid, name) for pid, name in enumerate(names, 2))
    lines, unread = procfs.stat_lines(content)
    assert [(one.pid, one.comm) for one in lines] == list(enumerate(names, 2))
    assert unread == 0


def test_a_name_that_looks_like_another_record_is_a_name() -> None:
    lines, _ = procfs.stat_lines(stat(66, b"a) S 1\n1 (init)") + stat(67, b"b"))
    assert [(one.pid, one.comm) for one in lines] == [(66, b"a) S 1\n1 (init)"), (67, b"b")]


def test_a_cut_record_is_counted_and_not_invented() -> None:
    whole = stat(5, b"sshd")
    lines, unread = procfs.stat_lines(whole + whole[:40])
    assert [one.pid for one in lines] == [5]
    assert unread == 40


@given(some.binary(max_size=400))
def test_no_bytes_make_a_reader_raise(content: bytes) -> None:
    procfs.stat_lines(content)
    procfs.owners(content)
    procfs.system_ram(content)
    procfs.fields(content)
    procfs.module_names(content)
    procfs.marked_files(content, ("/a",))
    procfs.assignments(content)
    list(procfs.mounts(content))


def test_a_process_that_ended_before_its_owner_was_asked_is_left_out() -> None:
    found = procfs.processes(stat(3, b"a") + stat(4, b"b"), b"/proc/3/status:Uid:\t1000\t1000\t1000\t1000\n")
    assert found == (LiveProcess(pid=3, ppid=1, uid=1000, comm="a", started=42.0, kernel_thread=False),)


IOMEM = b"""00000000-00000fff : Reserved
00001000-0009fbff : System RAM
00100000-0ffdbfff : System RAM
  01000000-01c02156 : Kernel code
  0a000000-0a0fffff : System RAM
fffc0000-ffffffff : Reserved
"""


def test_only_the_top_level_ranges_of_ram_count() -> None:
    assert procfs.system_ram(IOMEM) == (MemoryRange(0x1000, 0x9FBFF), MemoryRange(0x100000, 0xFFDBFFF))


def test_a_hidden_ram_map_is_no_ram_map() -> None:
    assert procfs.system_ram(b"00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n") == ()


@given(some.lists(some.tuples(some.integers(0, 2**40), some.integers(1, 2**40)), max_size=6))
def test_every_range_that_is_written_is_read(ranges: list[tuple[int, int]]) -> None:
    written = b"".join(b"%08x-%08x : System RAM\n" % (start, start + size) for start, size in ranges)
    assert procfs.system_ram(written) == tuple(MemoryRange(start, start + size) for start, size in ranges)


def test_a_file_cannot_pass_for_another() -> None:
    found = procfs.marked_files(b"/a:one\n/a:/b:two\n/c:three\n", ("/a", "/b"))
    assert found == {"/a": b"one\n/b:two\n"}


def test_quotes_of_os_release_are_taken_off() -> None:
    found = procfs.assignments(b'ID=debian\nPRETTY_NAME="A \\"B\\" C"\nNAME=\'D\'\n# ID=other\nbroken\n')
    assert found == {"ID": "debian", "PRETTY_NAME": 'A "B" C', "NAME": "D"}


def test_a_mount_point_with_a_space_is_read() -> None:
    line = b"28 1 254:1 / /a\\040b rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
    assert [(one.device, one.target, one.type) for one in procfs.mounts(line + b"rubbish\n")] == [
        ("254:1", "/a b", "ext4")
    ]
