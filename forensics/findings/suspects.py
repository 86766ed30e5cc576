"""The processes as several sources show them together, and which of them are suspect in themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from forensics.findings.rule import LONGEST, Evidence, is_true, number_of, text_of
from forensics.tables import Row

PSAUX, ENVARS, SPOOFING = "linux.psaux.PsAux", "linux.envars.Envars", "linux.malware.process_spoofing.ProcessSpoofing"

SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/opt/", "/snap/", "/nix/")
"""Folders that only an administrator or a package manager writes."""

OPEN = ("/dev/shm/", "/tmp/", "/var/tmp/", "/run/shm/", "/run/lock/", "/run/user/", "/dev/mqueue/", "/var/lock/")  # noqa: S108
"""Folders that every account may write, or that live in memory only."""

_KERNEL_NAME = re.compile(
    r"(?:kworker/|ksoftirqd/|migration/|cpuhp/|idle_inject/|irq/\d|rcu_|rcuo|rcub/|rcuc/|kswapd\d|kcompactd\d|jbd2/|ext4-rsv-|"
    r"xfs-|scsi_(?:eh|tmf)_|watchdogd?/\d|kthreadd$|kdevtmpfs$|kauditd$|khungtaskd$|khugepaged$|ksmd$|kblockd$|kintegrityd$|"
    r"oom_reaper$|writeback$|netns$|slub_flushwq$|mm_percpu_wq$|devfreq_wq$|edac-poller$|kthrotld$|ata_sff$|md$|mld$|ipv6_addrconf$)"
)
"""How the kernel names its own threads (workqueues, per-CPU threads, kthread_run() names of mainline)."""

_USUAL = frozenset(
    (
        *("PATH", "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "SHELL", "USER", "LOGNAME", "MAIL", "TERM"),
        *("PWD", "OLDPWD", "SHLVL", "_", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "NOTIFY_SOCKET"),
        *("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "MANAGERPID", "XDG_SESSION_ID", "XDG_RUNTIME_DIR"),
        *("XDG_SESSION_TYPE", "XDG_SESSION_CLASS", "DBUS_SESSION_BUS_ADDRESS", "SSH_CLIENT", "SSH_CONNECTION"),
        *("SSH_TTY", "MOTD_SHOWN", "HUSHLOGIN"),
    )
)
"""Variables that systemd, login and sshd set for everyone."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process with a program of its own (no kernel thread)."""

    pid: int
    comm: str
    exe: str  # path without " (deleted)", "" unknown
    deleted: bool
    present: bool | None  # a file stands at that path now; None: nobody looked
    args: str  # "" unknown
    uid: int | None
    state: str
    tables: tuple[str, ...]  # that show it

    @property
    def named(self) -> str:
        """Name it for a sentence."""
        return f"{self.comm[:64]} (pid {self.pid})"


def kernel_like(name: str) -> bool:
    """Tell whether a name is one that the kernel gives to its own threads."""
    return _KERNEL_NAME.match(name.strip("[]")) is not None


def in_open_folder(path: str) -> bool:
    """Tell whether every account could have put the file there, or it was in memory only (memfd)."""
    return path.startswith((*OPEN, "/memfd:"))


def processes(evidence: Evidence) -> dict[int, Process]:
    """Give all processes by pid: as the target listed them, and those that only its memory shows."""
    arguments = {number_of(row.get("PID")): text_of(row.get("ARGS")) for row in evidence.rows(PSAUX)}
    found = {one.pid: one for one in map(_live, evidence.rows("processes")) if one}
    for pid, one in found.items():
        if not one.args and arguments.get(pid):
            found[pid] = replace(one, args=arguments[pid], tables=(*one.tables, PSAUX))
    for row in evidence.rows(SPOOFING):
        remembered = _from_memory(row, arguments)
        if remembered:
            found.setdefault(remembered.pid, remembered)
    return found


def _live(row: Row) -> Process | None:
    pid = number_of(row.get("pid"))
    if pid is None or is_true(row.get("kernel_thread")):
        return None
    exe, present = text_of(row.get("exe"), 4096), row.get("exe_present")
    return Process(
        pid=pid,
        comm=text_of(row.get("comm")),
        exe=exe,
        deleted=is_true(row.get("exe_deleted")),
        present=present if isinstance(present, bool) else None,
        args=text_of(row.get("args"), 2000),
        uid=number_of(row.get("uid")),
        state=text_of(row.get("state")),
        tables=("processes",),
    )


def _from_memory(row: Row, arguments: dict[int | None, str]) -> Process | None:
    pid, exe = number_of(row.get("PID")), text_of(row.get("Exe_Path"), 4096)
    if pid is None or exe in ("", "N/A"):
        return None
    deleted = is_true(row.get("Exe_Deleted")) or exe.endswith(" (deleted)")
    path = exe.removesuffix(" (deleted)")
    args = arguments.get(pid, "")
    comm = text_of(row.get("Comm"))
    return Process(pid, comm, path, deleted, None, args, None, "", (SPOOFING, *((PSAUX,) if args else ())))


def suspect(one: Process) -> str:
    """Say why a process is suspect in itself; "" when it is not."""
    if one.deleted and one.exe.startswith("/memfd:"):
        return "its program was never a file"
    if one.deleted and in_open_folder(one.exe):
        return f"its program was deleted from {one.exe[:LONGEST]}"
    if one.deleted and one.present is False:
        return f"its program was deleted ({one.exe[:LONGEST]})"
    if in_open_folder(one.exe):
        return f"its program is {one.exe[:LONGEST]}, where every account may write"
    if one.exe and (kernel_like(one.comm) or kernel_like(one.args.split(" ")[0])):
        return f"it has a kernel thread's name and the program {one.exe[:LONGEST]}"
    return ""


def suspects(evidence: Evidence) -> dict[int, str]:
    """Give every suspect process by pid, with the reason."""
    return {pid: why for pid, one in processes(evidence).items() if (why := suspect(one))}


def environment(evidence: Evidence, pid: int, most: int = 20) -> list[str]:
    """Give what memory holds of a process's environment, without what every login has."""
    return list(_variables(evidence, pid))[:most]


def _variables(evidence: Evidence, pid: int) -> Iterator[str]:
    for row in evidence.rows(ENVARS):
        if number_of(row.get("PID")) == pid and text_of(row.get("KEY")) not in _USUAL:
            yield f"{text_of(row.get('KEY'), 80)}={text_of(row.get('VALUE'), 200)}"
