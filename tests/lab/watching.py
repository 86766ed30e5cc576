"""The target's side of a whole case: what it looks like before and after, and where a secret could have gone."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forensics.lab import labs
from forensics.lab.state import Lab

FOLDERS = "/dev/shm /run /tmp /var/tmp"
LOGIN = (
    "/run/user/",
    "/run/systemd/",
    "/run/sudo/",
    "/run/log/",
    "/run/udev/",
    "/run/blkid",
    "/run/motd",
    "/run/lock/",
)
"""Where a login, and sudo, write: kept by logind, sudo's own mark, the journal."""

_LOOK = r"""
echo "[mounts]"; sort /proc/mounts | grep -v ' /run/user/'
echo "[modules]"; cut -d' ' -f1 /proc/modules | sort
echo "[settings]"
find /proc/sys/kernel /proc/sys/vm -type f -exec grep -sH '' {} + |
 grep -vE 'kernel/(random|sched_domain|ns_last_pid|pty/nr|tainted)' | sort
echo "[tracing]"
for f in /sys/block/*/trace/* /sys/kernel/tracing/tracing_on /sys/kernel/tracing/current_tracer \
 /sys/kernel/tracing/trace_clock /sys/kernel/tracing/options/* /sys/kernel/tracing/saved_cmdlines_size \
 /sys/kernel/debug/block/*
do [ -e "$f" ] && echo "$f $(cat "$f" 2>&1 | tr '\n' ' ')"; done
echo "[files]"; find FOLDERS -xdev ! -type d 2>/dev/null | sort; find FOLDERS -xdev -type d 2>/dev/null | sort
echo "[programs]"
ps -e -o args= | grep -E 'insmod|lime|blktrace|trace_pipe|iostat|iotop|pidstat|[l]ynis' | grep -v grep | sort
echo "[sockets]"; awk '$4 == "0A" {print $2}' /proc/net/tcp /proc/net/tcp6 | sort
"""
"""Nothing here may load a module or mount a thing: ss would load inet_diag, a path below debugfs mount tracefs, and
sysctl -a binfmt_misc."""


@dataclass(frozen=True)
class View:
    """What can be seen of a target, by part."""

    parts: dict[str, frozenset[str]]

    def __getitem__(self, part: str) -> frozenset[str]:
        return self.parts[part]


def look(lab: Lab) -> View:
    """Look at mounts, modules, settings, tracers, files on tmpfs and in the temporary folders, programs, listeners."""
    parts: dict[str, set[str]] = {}
    lines: set[str] = set()
    for line in labs.ask(lab, _LOOK.replace("FOLDERS", FOLDERS), seconds=600).decode().splitlines():
        if line.startswith("[") and line.endswith("]"):
            lines = parts.setdefault(line[1:-1], set())
        else:
            lines.add(line)
    return View({name: frozenset(found) for name, found in parts.items()})


def ours(before: View, after: View) -> list[str]:
    """Files that came since, but for those of a login."""
    return sorted(path for path in after["files"] - before["files"] if not f"{path}/".startswith(LOGIN))


@contextmanager
def sampled(lab: Lab, cases: Path, every: float = 15.0) -> Iterator[list[bytes]]:
    """Take samples of every process's words and environment, on the target and here, while the block runs.

    Nobody logs in while memory is read: what a login makes and drops would be torn in the image.
    """
    over = threading.Event()
    samples: list[bytes] = []

    def sample() -> None:
        while not over.wait(every):
            samples.extend(_own())
            if any(cases.glob("*/work/*-acquire-*")):
                continue
            samples.append(
                labs.ask(lab, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; true", seconds=600)
            )

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def _own() -> Iterator[bytes]:
    for path in (one for folder in Path("/proc").glob("[0-9]*") for one in (folder / "cmdline", folder / "environ")):
        try:
            yield path.read_bytes()
        except OSError:  # it ended meanwhile
            continue


def forms(secret: bytes) -> list[bytes]:
    """Give a secret as it is, in hexadecimal, and in Base64 wherever in a longer text it may stand."""
    shifted = [base64.b64encode(b"\0" * pad + secret)[2 if pad else 0 :] for pad in range(3)]
    whole = [part[pad : (len(part) - 4) // 4 * 4] for pad, part in zip((0, 2, 2), shifted, strict=True)]
    return [secret, secret.hex().encode(), *(part for part in whole if len(part) >= 8)]


def holds(content: bytes, secret: bytes) -> bool:
    """Whether a secret is in there, in any of its forms."""
    return any(form in content for form in forms(secret))


def files_that_hold(folder: Path, secret: bytes, *, but: frozenset[Path] = frozenset()) -> list[Path]:
    """Name the files below a folder that hold a secret."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path not in but]
    return [path for path in files if holds(path.read_bytes(), secret)]


def logs_that_hold(lab: Lab, secret: bytes) -> list[str]:
    """Name the files of the target's logs and temporary folders that hold a secret; it goes there by stdin."""
    found = labs.ask(lab, f"grep -rlaF -f - /var/log {FOLDERS} || true", stdin=secret + b"\n", seconds=600)
    return found.decode().splitlines()
