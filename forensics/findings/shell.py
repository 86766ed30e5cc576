"""Rules on what was typed in shells, as memory still has it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from forensics.findings.rule import Context, Evidence, number_of, rule, text_of
from forensics.model import Finding, Severity

HISTORY = "linux.bash.Bash"
_MOST = 40
_TOGETHER = 3
"""Different techniques in one shell that are grave together, though each alone has honest uses."""

_FOLDER = r"/(?:dev/shm|tmp|var/tmp|run/shm)/"
_NUMERIC = r"(?:https?|ftp)://\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"
_SHELL = r"(?:ba|da|z|k)?sh\b"

_PATTERNS: tuple[tuple[str, Severity, str, str], ...] = (
    (r"/dev/(?:tcp|udp)/\S", Severity.HIGH, "T1059.004", "a connection opened by the shell itself"),
    (rf"\b(?:nc|ncat|netcat)\b.*\s-\w*[ec]\s*\S*{_SHELL}", Severity.HIGH, "T1059.004", "a shell given to the network"),
    (rf"\b(?:curl|wget)\b.*\|\s*(?:sudo\s+)?(?:{_SHELL}|python|perl)", Severity.HIGH, "T1105", "downloaded and run"),
    (rf"\bbase64\b.*\s-d.*\|\s*(?:sudo\s+)?{_SHELL}", Severity.HIGH, "T1140", "decoded and run"),
    (r"/etc/ld\.so\.preload", Severity.HIGH, "T1574.006", "code for every program"),
    (rf"\b(?:curl|wget)\b.*{_NUMERIC}", Severity.MEDIUM, "T1105", "a download from a numeric address"),
    (rf"\b(?:curl|wget)\b.*{_FOLDER}", Severity.MEDIUM, "T1105", "a download into an open folder"),
    (rf"\bchmod\s+(?:[0-7]*[1357][0-7]*|\S*\+\S*x)\S*\s+.*{_FOLDER}", Severity.MEDIUM, "T1222.002", "made executable"),
    (rf"(?:^|[;&|]\s*|\bnohup\s+|\bsetsid\s+)(?:\w+=\S*\s+)*{_FOLDER}\S", Severity.MEDIUM, "T1059.004",
     "run from an open folder"),
    (r"\bhistory\s+-[cw]\b|\bunset\s+HISTFILE|\bHISTFILE=(?:/dev/null|\s|$)|\bHISTSIZE=0\b|\bset\s+\+o\s+history",
     Severity.MEDIUM, "T1070.003", "no history kept"),
    (r"\b(?:rm|shred|truncate|ln)\b.*(?:\.bash_history|/var/log/|/var/run/utmp)|>\s*/var/log/", Severity.MEDIUM,
     "T1070.002", "logs removed"),
    (rf"\b(?:insmod|modprobe)\b.*{_FOLDER}", Severity.HIGH, "T1547.006", "a module from an open folder"),
    (r"\bmkdir\b.*/(?:dev/shm|run/shm)/\.", Severity.MEDIUM, "T1564.001", "a hidden folder in memory"),
    (r"/etc/shadow\b", Severity.MEDIUM, "T1003.008", "the password file"),
    (r"\bchpasswd\b|\buseradd\b.*\s-o\b", Severity.MEDIUM, "T1098", "an account changed"),
    (r"\bauthorized_keys\b", Severity.MEDIUM, "T1098.004", "a key let in"),
    (r"\bssh\b.*\s-\w*[RD]\s*\S*\d", Severity.MEDIUM, "T1572", "a tunnel"),
)  # fmt: skip


def judge(command: str) -> tuple[Severity, str, str] | None:
    """Say how grave a command is, with technique and reason; None for an ordinary one."""
    found = [
        (severity, technique, why) for pattern, severity, technique, why in _PATTERNS if re.search(pattern, command)
    ]
    return max(found, key=lambda one: tuple(Severity).index(one[0]), default=None)


@rule("shell-history", needs=(HISTORY,))
def history(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Give each shell's commands, those that intruders are known for named with the reason."""
    del context
    shells: dict[tuple[int | None, str], list[str]] = {}
    for row in evidence.rows(HISTORY):
        shell = (number_of(row.get("PID")), text_of(row.get("Process"), 64))
        shells.setdefault(shell, []).append(text_of(row.get("Command")))
    for (pid, name), commands in shells.items():
        yield _finding(evidence, pid, name, list(dict.fromkeys(filter(None, commands))))


def _finding(evidence: Evidence, pid: int | None, name: str, commands: list[str]) -> Finding:
    judged = [(command, found) for command in commands if (found := judge(command[:2000]))]
    order = tuple(Severity).index
    worst = max((found for _, found in judged), key=lambda found: order(found[0]), default=None)
    severity = worst[0] if worst else Severity.INFORMATION
    if len({technique for _, (_, technique, _) in judged}) >= _TOGETHER:
        severity = Severity.HIGH
    suspicious = "; ".join(f"{command} ({why})" for command, (_, _, why) in judged[:_MOST])
    rest = [command for command in commands if not judge(command[:2000])]
    ordinary = "; ".join(rest[:_MOST])
    left = max(0, len(judged) - _MOST) + max(0, len(rest) - _MOST)
    parts = [
        f"Memory of {name} (pid {pid}) has {len(commands)} command(s) of its history.",
        f"Remarkable: {suspicious}." if judged else "",
        f"{'Others' if judged else 'They are'}: {ordinary}." if rest else "",
        f"{left} more are in the exhibit." if left else "",
    ]
    return Finding(
        rule="shell-history",
        severity=severity,
        title=f"Commands typed in {name} (pid {pid})" + (f": {len(judged)} remarkable" if judged else ""),
        statement=" ".join(filter(None, parts)),
        exhibits=evidence.exhibits(HISTORY),
        repeat=f"vol -f the memory image linux.bash.Bash --pid {pid}",
        technique=worst[1] if worst else "",
        facts={"pid": pid, "process": name, "commands": [*commands[:200]]},
    )
