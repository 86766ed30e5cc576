"""What each view shows of one thing stands in one row, and a view that was not taken says nothing."""

from __future__ import annotations

from collections.abc import Sequence

from forensics import views
from forensics.model import Facts
from forensics.tables import Absent, Cell, Row, Table
from tests.findings.test_rules import live, moment, surveyed, table
from tests.views.memory import KERNEL_WAYS, module_rows, process_rows, scanned

EVERYWHERE = dict.fromkeys(KERNEL_WAYS, True)


def made(name: str, *given: Table, facts: Facts | None = None) -> list[Row]:
    by_name = {one.name: one for one in views.make({one.name: one for one in given}, facts, "D0001")}
    return list(by_name[name])


def one(rows: Sequence[Row], **wanted: Cell) -> Row:
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


def ps(*tasks: tuple[int, float]) -> Table:
    rows = [(pid, "x", moment(started), False) for pid, started in tasks]
    return table("processes", "pid comm started kernel_thread", rows, "E0007")


def proc(*pids: int) -> Table:
    return table("processes_in_proc", "pid exe", [(pid, "/usr/bin/x") for pid in pids], "E0008")


def test_a_process_stands_in_one_row_with_every_view_of_it() -> None:
    memory = process_rows((66, 100, EVERYWHERE))
    rows = made("process_views", memory, scanned(66), ps((66, 100)), proc(66), facts=surveyed(live(66, 100)))
    row = one(rows, pid=66)
    shown = ("in_list", "in_tree", "in_table", "in_groups", "in_scan", "before", "ps", "proc")
    assert {name: row[name] for name in shown} == dict.fromkeys(shown, True)
    assert str(row["started"]).startswith(moment(100)[:19])


def test_a_process_that_ps_leaves_out_is_in_every_other_view() -> None:
    rows = made(
        "process_views",
        process_rows((1, 1, EVERYWHERE), (66, 100, EVERYWHERE)),
        ps((1, 1)),
        proc(1, 66),
        facts=surveyed(live(1, 1), live(66, 100)),
    )
    assert [(row["pid"], row["before"], row["ps"], row["proc"]) for row in rows] == [
        (1, True, True, True),
        (66, True, False, True),
    ]


def test_a_number_that_came_again_is_another_process() -> None:
    rows = made("process_views", process_rows((66, 100, EVERYWHERE)), ps((66, 530)), facts=surveyed(live(66, 100)))
    assert [(row["in_list"], row["before"], row["ps"]) for row in rows] == [(True, True, False), (False, False, True)]


def test_a_view_that_was_not_taken_is_absent_and_never_no() -> None:
    (row,) = made("process_views", process_rows((1, 1, EVERYWHERE)))
    assert all(isinstance(row[name], Absent) for name in ("in_scan", "before", "ps", "proc"))


def test_a_task_that_only_a_scan_finds_has_a_row_and_a_copy_of_a_known_one_has_none() -> None:
    rows = made("process_views", process_rows((1, 1, EVERYWHERE)), scanned(1, 1, 77))
    assert [row["pid"] for row in rows] == [1, 77]
    assert [row["in_scan"] for row in rows] == [True, True]
    assert rows[1]["in_list"] is False


def test_volatilitys_own_lists_serve_where_ours_did_not_run() -> None:
    columns = "PID TID PPID COMM CREATION_TIME"
    listed = table("linux.pslist.PsList", columns, [(1, 1, 0, "systemd", Absent("not told"))], "D0002")
    listed = Table(listed.name, "", (*listed.columns[:-1], listed.columns[-1].__class__("CREATION TIME")), listed.rows)
    numbered = [(1, 1, 0, "systemd"), (66, 66, 1, "x")]
    rows = made("process_views", listed, table("linux.pidhashtable.PIDHashTable", "PID TID PPID COMM", numbered))
    assert [(row["pid"], row["in_list"], row["in_table"]) for row in rows] == [(1, True, True), (66, False, True)]


def test_a_module_stands_in_one_row_with_every_view_of_it() -> None:
    memory = module_rows(("ext4", True, True), ("rk", False, False))
    after = table("modules", "name size users state", [("ext4", 1, 1, "Live"), ("new", 1, 0, "Live")], "E0009")
    rows = made("module_views", memory, after, facts=surveyed())
    ext4, rk, new = (one(rows, name=name) for name in ("ext4", "rk", "new"))
    assert (ext4["in_list"], ext4["before"], ext4["after"]) == (True, True, True)
    assert (rk["in_list"], rk["in_sysfs"], rk["in_tree"], rk["in_scan"], rk["after"]) == (
        False,
        False,
        True,
        True,
        False,
    )
    assert (new["in_list"], new["before"], new["after"]) == (False, False, True)


SOCKSTAT = ("Family", "Type", "Proto", "Source Addr", "Source Port", "Destination Addr", "Destination Port", "State")


def remembered_sockets(*rows: Sequence[Cell]) -> Table:
    base = table("linux.sockstat.Sockstat", "PID Name " + " ".join("x" * len(SOCKSTAT)), rows, "D0009")
    kind = type(base.columns[0])
    columns = (kind("PID"), kind("Process Name"), *map(kind, SOCKSTAT))
    return Table(base.name, "", columns, base.rows, base.sources)


def test_sockets_of_memory_stand_beside_the_live_ones() -> None:
    memory = remembered_sockets(
        (5, "sshd", "AF_INET", "STREAM", "TCP", "0.0.0.0", "22", "0.0.0.0", "0", "LISTEN"),  # noqa: S104
        (5, "sshd", "AF_INET6", "STREAM", "TCP", "::ffff:192.0.2.1", "22", "::ffff:192.0.2.9", "900", "ESTABLISHED"),
        (66, "x", "AF_INET", "STREAM", "TCP", "0.0.0.0", "4444", "0.0.0.0", "0", "LISTEN"),  # noqa: S104
        (1, "systemd", "AF_UNIX", "STREAM", Absent("n/a"), "/run/x", "10", Absent("n/a"), "0", "LISTEN"),
    )
    names = "protocol state local_address local_port peer_address peer_port pid process uid"
    shown: list[Sequence[Cell]] = [
        ("tcp", "LISTEN", "0.0.0.0", 22, "0.0.0.0", Absent("any"), 5, "sshd", 0),  # noqa: S104
        ("tcp", "ESTAB", "192.0.2.1%eth0", 22, "192.0.2.9", 900, 5, "sshd", 0),
        ("udp", "UNCONN", "*", 68, "*", Absent("any"), 9, "dhclient", 0),
    ]
    rows = made("socket_views", memory, table("sockets", names, shown, "E0010"))
    told = {(row["local_port"], row["peer_port"]): (row["in_memory"], row["live"]) for row in rows}
    assert told == {(22, 0): (True, True), (22, 900): (True, True), (4444, 0): (True, False), (68, 0): (False, True)}
    assert one(rows, peer_port=900)["state_in_memory"] == one(rows, peer_port=900)["state_live"] == "ESTAB"


def test_reports_of_the_oom_killer_are_read_from_the_log_in_memory() -> None:
    lines = [
        ("14.2", "perl invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"),
        ("14.3", "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"),
        ("14.3", "[    317]     0   317     7984     6400    61440        0             0 storerelay"),
        (
            "14.4",
            "Memory cgroup out of memory: Killed process 317 (storerelay) total-vm:31936kB, anon-rss:24184kB, x:1",
        ),
    ]
    rows = [("kern", "info", time, "Task(1)", line) for time, line in lines]
    log = table("linux.kmsg.Kmsg", "facility level timestamp caller line", rows, "D0036")
    (kill,) = made("memory_oom_kills", log)
    (task,) = made("memory_oom_tasks", log)
    assert (kill["victim"], kill["victim_pid"], kill["anon_rss"]) == ("storerelay", 317, 24184 * 1024)
    assert (task["name"], task["rss"]) == ("storerelay", 6400 * 4096)


def test_without_memory_there_is_nothing_to_lay_beside_the_live_lists() -> None:
    assert list(views.make({"processes": ps((1, 1))}, surveyed())) == []
