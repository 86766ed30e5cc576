"""What was planted, as the running machine has it: looked up in its own /proc, never assumed.

The truth file is a JSON list of facts: {"fact": "listening-socket", "process": "diskfeed", "pid": 441, …}.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from forensics.errors import LabFailed
from forensics.lab.plan import Plan
from forensics.lab.planting import PASSING_MODULE, programs_of
from forensics.lab.recipe import HIDDEN_MODULE
from forensics.model import JSON

Fact = dict[str, JSON]

NOT_PLANTED = "not-planted"
"""Stands in the truth in the place of a fact that could not be planted, with the reason."""

LOOK = rb"""
for my $folder (glob "/proc/[0-9]*") {
    my $pid = substr $folder, 6;
    my $exe = readlink "$folder/exe";
    defined $exe or next;
    my @values = ($exe);
    for my $name ("comm", "cmdline", "environ") {
        open my $file, "<", "$folder/$name" or next;
        local $/;
        push @values, scalar <$file>;
    }
    print join(" ", "process", $pid, map { unpack "H*", $_ // "" } @values), "\n";
}
open my $ps, "-|", "ps", "-e", "-o", "pid=,comm=" or die;
while (<$ps>) {
    print "listed $1\n" if /^\s*(\d+)/;
}
print "module ", (split "/")[3], "\n" for glob "/sys/module/*/initstate";
if (open my $modules, "<", "/proc/modules") {
    print "loaded ", (split)[0], "\n" while <$modules>;
}
for my $file ("/sys/module/module/parameters/sig_enforce", "/sys/kernel/security/lockdown") {
    open my $answer, "<", $file or next;
    print "refuses\n" if <$answer> =~ /^Y|\[(?:integrity|confidentiality)\]/;
}
open my $log, "-|", "dmesg" or die;
while (<$log>) {
    print "log ", unpack("H*", $_), "\n" if /Killed process/;
}
"""
"""A program for the machine's perl: writes nothing there, prints one line for each thing that a fact may rest on."""

_KILLED = re.compile(rb"Killed process (\d+) \(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Seen:
    """A process of the machine."""

    pid: int
    exe: str
    comm: str
    arguments: tuple[str, ...]
    environment: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What the machine shows of itself."""

    processes: tuple[Seen, ...]
    kills: tuple[tuple[int, str], ...]  # pid and name, from the kernel log
    listed: frozenset[int] = frozenset()  # pids that the machine's own ps shows
    modules: frozenset[str] = frozenset()  # that /sys/module has
    loaded: frozenset[str] = frozenset()  # that /proc/modules has
    refuses: bool = False  # modules that nobody signed

    def one(self, what: str, wanted: Callable[[Seen], bool]) -> Seen:
        """Give the one process that is wanted; LabFailed when there is none."""
        found = next(filter(wanted, self.processes), None)
        if found is None:
            raise LabFailed(
                f"the machine does not show what was planted: {what}", remedy="see console.log in its folder"
            )
        return found


def read(output: bytes) -> View:
    """Read what LOOK printed."""
    lines = [line.split(b" ") for line in output.splitlines()]
    processes = [_seen(fields) for kind, *fields in lines if kind == b"process" and len(fields) == 5]
    logged = [_KILLED.search(bytes.fromhex(fields[0].decode())) for kind, *fields in lines if kind == b"log"]
    kills = [(int(match[1]), match[2].decode(errors="replace")) for match in logged if match]
    words = {kind: frozenset(fields[0].decode() for key, *fields in lines if key == kind.encode() and len(fields) == 1)
             for kind in ("listed", "module", "loaded")}  # fmt: skip
    listed = frozenset(int(pid) for pid in words["listed"] if pid.isdecimal())
    refuses = any(line == [b"refuses"] for line in lines)
    return View(tuple(processes), tuple(kills), listed, words["module"], words["loaded"], refuses)


def _seen(fields: Sequence[bytes]) -> Seen:
    exe, comm, arguments, environment = (bytes.fromhex(field.decode()).decode(errors="replace") for field in fields[1:])
    return Seen(int(fields[0]), exe, comm.rstrip("\n"), _words(arguments), _words(environment))


def _words(block: str) -> tuple[str, ...]:
    return tuple(block.rstrip("\0").split("\0"))


def tell(plan: Plan, facts: Sequence[str], view: View, lacking: Mapping[str, str] | None = None) -> list[Fact]:
    """Give the truth of an incident, each fact with the values that the machine itself showed.

    `lacking` says why a fact could not be planted; that stands in its place, as does a machine's own refusal.
    """
    reasons = dict(lacking or {})
    if view.refuses and plan.module not in view.modules:
        reasons.setdefault(HIDDEN_MODULE, "this machine's kernel takes signed modules only")
    return [
        {"fact": NOT_PLANTED, "rule": fact, "why": reasons[fact]}
        if fact in reasons
        else {"fact": fact, **_TELLERS[fact](plan, view)}
        for fact in facts
    ]


def _deleted(plan: Plan, view: View) -> Mapping[str, JSON]:
    seen = view.one(plan.deleted_path, lambda one: one.exe == f"{plan.deleted_path} (deleted)")
    variable = f"{plan.marker_variable}={plan.marker}"
    if variable not in seen.environment or plan.marker not in seen.arguments:
        raise LabFailed("the marker is not in the process that was to carry it", where=plan.deleted_path)
    values: dict[str, JSON] = {"process": seen.comm, "pid": seen.pid, "path": plan.deleted_path, "marker": plan.marker}
    return {**values, "arguments": " ".join(seen.arguments), "environment": variable}


def _forged(plan: Plan, view: View) -> Mapping[str, JSON]:
    seen = view.one(plan.forged_path, lambda one: one.exe == plan.forged_path and one.comm == plan.forged_comm)
    return {"process": seen.comm, "pid": seen.pid, "path": seen.exe, "arguments": plan.forged_arguments}


def _listener(plan: Plan, view: View) -> Mapping[str, JSON]:
    seen = view.one(plan.listener, lambda one: one.comm == plan.listener)
    path = f"/usr/local/sbin/{plan.listener}"
    return {"process": seen.comm, "pid": seen.pid, "port": plan.port, "address": "0.0.0.0", "path": path}  # noqa: S104


def _shell(plan: Plan, view: View) -> Mapping[str, JSON]:
    seen = view.one("bash", lambda one: one.comm == "bash" and one.arguments[:2] == ("bash", "-s"))
    return {"process": seen.comm, "pid": seen.pid, "commands": list(plan.commands)}


def _writer(plan: Plan, view: View) -> Mapping[str, JSON]:
    seen = view.one(plan.writer, lambda one: one.comm == plan.writer)
    size: dict[str, JSON] = {"bytes": plan.burst_bytes, "block_bytes": plan.block_bytes, "every_seconds": plan.pause}
    return {"process": seen.comm, "pid": seen.pid, "file": plan.writer_file, "pattern": plan.writer_pattern, **size}


def _victim(plan: Plan, view: View) -> Mapping[str, JSON]:
    pid = next((pid for pid, name in view.kills if name == plan.victim), None)
    if pid is None:
        raise LabFailed(f"the kernel log has no kill of {plan.victim}", why="the log may have been overrun")
    return {"victim": plan.victim, "victim_pid": pid, "limit_bytes": plan.victim_limit << 20}


def _hidden(plan: Plan, view: View) -> Mapping[str, JSON]:
    seen = view.one(plan.hidden, lambda one: one.comm == plan.hidden)
    if not view.listed or seen.pid in view.listed:
        raise LabFailed("the machine's ps does not leave out what it was to leave out", where=plan.hidden)
    return {"process": seen.comm, "pid": seen.pid, "path": plan.hidden_path, "program": "/usr/bin/ps"}


def _module(plan: Plan, view: View) -> Mapping[str, JSON]:
    if plan.module not in view.modules:
        raise LabFailed(
            f"the machine does not show what was planted: {plan.module}", remedy="see console.log in its folder"
        )
    if not view.loaded or plan.module in view.loaded:
        raise LabFailed("the kernel module that was to hide stands in /proc/modules", where=plan.module)
    return {"module": plan.module, "path": f"{plan.folder}/{plan.module}.ko"}


_TELLERS: Mapping[str, Callable[[Plan, View], Mapping[str, JSON]]] = {
    "deleted-executable": _deleted,
    "forged-name": _forged,
    "listening-socket": _listener,
    "shell-history": _shell,
    "io-burst": _writer,
    "oom-kill": _victim,
    "hidden-process": _hidden,
    HIDDEN_MODULE: _module,
}


def tell_near_misses(plan: Plan, view: View) -> list[Fact]:
    """Give what only looks like an incident, by the rule that must stay silent about it."""
    threaded, script, logger = programs_of(plan)
    upgraded = f"/usr/local/sbin/{plan.benign[0]}"
    renamed = view.one(threaded, lambda one: one.comm == f"{threaded}-main"[:15])
    named = view.one(script, lambda one: one.comm == script)
    writer = view.one(logger, lambda one: one.comm == logger)
    daemon = view.one(upgraded, lambda one: one.exe == f"{upgraded} (deleted)")
    shell = view.one("bash", lambda one: one.comm == "bash" and one.arguments[:2] == ("bash", "-s"))
    exposed = view.one("sleep", lambda one: one.arguments[1:] == ("infinity",))
    if not {one.pid for one in (renamed, named, writer, daemon, shell, exposed)} <= view.listed:
        raise LabFailed("the wrapped ps does not list what runs")
    return [
        _miss("deleted-executable", "its binary was upgraded while it ran", daemon, path=upgraded),
        _miss("forged-name", "it renamed itself and its threads", renamed, path=f"/usr/local/sbin/{threaded}"),
        _miss(
            "forged-name", "a script has its own name, not its interpreter's", named, path=f"/usr/local/sbin/{script}"
        ),
        {
            "fact": "near-miss",
            "rule": "listening-socket",
            "why": "the machine's SSH server",
            "process": "sshd",
            "port": 22,
        },
        _miss("shell-history", "ordinary commands", shell, commands=list(plan.benign_commands)),
        _miss("io-burst", "a log grows by a line every five seconds", writer, file=f"/var/log/{logger}.log"),
        _miss("oom-kill", "oom_score_adj is 900, and it lives", exposed),
        {"fact": "near-miss", "rule": "oom-kill", "why": "the kernel log has a line with the words, and no kill"},
        {"fact": "near-miss", "rule": "hidden-process", "why": "ps is wrapped, and lists everything"},
        {"fact": "near-miss", "rule": HIDDEN_MODULE, "why": "it was loaded and unloaded", "module": PASSING_MODULE},
    ]


def _miss(rule: str, why: str, seen: Seen, **values: JSON) -> Fact:
    return {"fact": "near-miss", "rule": rule, "why": why, "process": seen.comm, "pid": seen.pid, **values}
