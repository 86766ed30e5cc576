"""The target's OOM killer is kept from the sshd that carries the acquisition, as long as it does.

A dump that loses its connection is no dump, and a machine short of memory kills what it likes. The sshd processes of
our own session are those above our command; the server that listens is left alone. /proc/PID/oom_score_adj takes -1000
for never; kernels before 2.6.36 have oom_adj in its place, and -17. What they start meanwhile inherits it, and ends
with the acquisition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from forensics import text
from forensics.errors import ForensicsError
from forensics.host import Change, Host
from forensics.model import JSON

NEVER = {"oom_score_adj": -1000, "oom_adj": -17}
"""What the OOM killer passes over, in each of the kernel's two files."""

# A session's process is called "sshd: ada [priv]", "sshd: ada@notty" or "sshd-session: …"; the listener "[listener]".
_FIND = """p=$$ proc=$0
while [ "${p:-0}" -gt 1 ]; do
 name= up= title=
 while read -r key value rest; do case $key in Name:) name=$value;; PPid:) up=$value;; esac; done <"$proc/$p/status"
 case $name in sshd*) title=$(tr '\\0' ' ' <"$proc/$p/cmdline");; esac
 case $title in
 *'[listener]'*) ;;
 sshd:*|sshd-session:*)
  said=$(cat "$proc/$p/stat"); set -- ${said##*)}
  f=oom_score_adj; [ -e "$proc/$p/$f" ] || f=oom_adj
  echo "$p ${20} $f $(cat "$proc/$p/$f")";;
 esac
 p=$up
done
"""
# Whether a process is still the one that it was: its start, in ticks since boot, is the 20th word behind its name.
# It may end between this and what follows, so what failed is asked about again: where no process is, nothing is left.
_SAME = 'same() { s=$(cat "$1/stat" 2>/dev/null) || return 1; t=$2; set -- ${s##*)}; [ "${20}" = "$t" ]; }\n'
_SET = _SAME + 'same "$0" "$1" || exit 0; printf "%s\\n" "$3" >"$0/$2" || ! same "$0" "$1"'
_IS = _SAME + 'same "$0" "$1" || exit 0; [ "$(cat "$0/$2")" = "$3" ] || ! same "$0" "$1"'
_TAKE = _SAME + 'same "$0" "$1" && printf "%s\\n" "$3" >"$0/$2" && [ "$(cat "$0/$2")" = "$3" ]'


@dataclass(frozen=True, slots=True)
class _Session:
    """A process of our own session's sshd."""

    pid: int
    start: str
    file: str
    value: str

    def command(self, proc: str, script: str, value: str) -> tuple[str, ...]:
        return ("/bin/sh", "-c", script, f"{proc}/{self.pid}", self.start, self.file, value)


@dataclass(slots=True)
class Shield:
    """What was kept from the OOM killer, and what could not be."""

    protected: list[JSON] = field(default_factory=list)
    problem: str = ""

    def told(self) -> dict[str, JSON]:
        """Put it as the acquisition record has it."""
        return {"protected": list(self.protected), "problem": self.problem}


@contextmanager
def shielded(host: Host, proc: str = "/proc", never: dict[str, int] | None = None) -> Iterator[Shield]:
    """Keep the OOM killer from this connection's sshd while the block runs; then its old value is back, and looked at.

    Where it cannot be done the acquisition goes on, and `problem` says why. TargetError when an old value is not back.
    """
    shield = Shield()
    with ExitStack() as changed:
        try:
            found = _sessions(host, proc)
            shield.problem = "" if found else "no process of sshd's was found above our command"
            for one in found:
                _protect(changed, host, one, shield, (proc, never or NEVER))
        except ForensicsError as problem:
            shield.problem = str(problem)
        yield shield


def _protect(changed: ExitStack, host: Host, one: _Session, shield: Shield, how: tuple[str, dict[str, int]]) -> None:
    proc, never = how
    value = str(never[one.file])
    change = Change(
        kind="setting",
        subject=f"{proc}/{one.pid}/{one.file}",
        undo=one.command(proc, _SET, one.value),
        gone=one.command(proc, _IS, one.value),
        details=f"{value} in place of {one.value}, so that the OOM killer passes over our connection's sshd",
    )
    changed.enter_context(host.change(change))
    if host.run(*one.command(proc, _TAKE, value), root=True).ok:
        shield.protected.append({"pid": one.pid, "file": one.file, "value": int(value), "before": one.value})
    else:
        shield.problem = f"process {one.pid} did not take {value} as its {one.file}, or is gone"


def _sessions(host: Host, proc: str) -> list[_Session]:
    said = text.decode(host.run("/bin/sh", "-c", _FIND, proc, root=True).stdout)
    lines = re.findall(r"^(\d{1,10}) (\d{1,20}) (oom_score_adj|oom_adj) (-?\d{1,5})$", said, re.MULTILINE)
    return [_Session(int(pid), start, file, value) for pid, start, file, value in lines]
