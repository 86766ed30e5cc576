"""Crash dumps: whether one would be taken, how that is set, and what lies there already. No dump is ever copied."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics import records
from forensics.collectors import MIB, Bench, Collector, Command, Output, Reading
from forensics.host import Limits
from forensics.model import utc
from forensics.oom import lines, reports, tables
from forensics.tables import Absent, Cell, Column, Table

_STATE = (
    *("/sys/kernel/kexec_loaded", "/sys/kernel/kexec_crash_loaded", "/sys/kernel/kexec_crash_size", "/proc/cmdline"),
    *(
        "/proc/sys/kernel/panic",
        "/proc/sys/kernel/panic_on_oops",
        "/proc/sys/kernel/sysrq",
        "/proc/sys/vm/panic_on_oom",
    ),
    *("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/kexec_load_disabled"),
)
_SETTINGS = ("/etc/default/kdump-tools", "/etc/kdump.conf", "/etc/sysconfig/kdump", "/etc/kdump")
_PLACES = ("/var/crash", "/var/lib/kdump", "/sys/fs/pstore", "/var/lib/systemd/pstore")
_HEADS = r"""
most=$1; shift
for f; do
  printf '%s\t' "$f"; head -c 16 -- "$f" | od -An -v -tx1 | tr -d ' \n'; printf '\t'
  if [ "$(stat -c %s -- "$f")" -le "$most" ]; then sha256sum -b <"$f" | cut -d' ' -f1 | tr -d '\n'; fi
  printf '\0'
done
"""
_MOST = 200
"""Files that are looked into; the list itself has all."""
_DUMPS = re.compile(r"(?:^|/)(?:vmcore|dump\.)(?!.*\.txt$)[^/]*$")
_TEXTS = re.compile(r"(?:^|/)(?:vmcore-dmesg\.txt|dmesg\.[^/]*|dmesg-[^/]*|dmesg\.txt)$")
_MAGIC = {
    "4b44554d502020": "kdump-compressed",
    "6d616b6564756d7066696c65": "kdump-compressed, flattened",
    "7f454c46": "ELF core",
    "4449534b44554d50": "diskdump",
}
_NAMED = (Column("name"), Column("value"))
_FILES = (
    Column("path"),
    Column("size", "bytes"),
    Column("modified", "time"),
    Column("mode"),
    Column("kind"),
    Column("sha256"),
)


@dataclass(frozen=True, slots=True)
class Looked:
    """How much of what lies there is hashed, file by file."""

    seconds: float = 120.0
    bytes: int = 16 * MIB
    hash_up_to: int = 256 * MIB


class Kdump(Collector[Looked]):
    """Settings of kdump, and the crash dumps and kept logs that are there."""

    name = "kdump"
    title = "Crash dumps"
    volatility = 65
    settings = Looked

    def command(self, settings: Looked) -> tuple[Command, ...]:
        """Read the state and the settings, and list what lies in the usual places."""
        limits = Limits(seconds=settings.seconds, bytes=settings.bytes)
        listed = ("find", *_PLACES, "-xdev", "-maxdepth", "4", "-type", "f", "-printf", r"%p\t%s\t%T@\t%m\0")
        return (
            Command("state", ("grep", "-sH", "", *_STATE), limits, accepts=(0, 2)),
            Command(
                "settings",
                ("grep", "-rsHZI", "-D", "skip", "^[^#]", *_SETTINGS),
                limits,
                accepts=(0, 1, 2),
                optional=True,
            ),
            Command("files", listed, limits, accepts=(0, 1), optional=True),
        )

    @contextmanager
    def capture(self, bench: Bench, settings: Looked) -> Iterator[Callable[[], None]]:
        """Run these, then look at the head of each dump, hash it where it is small, and take the logs beside it."""

        def work() -> None:
            for command in self.command(settings):
                bench.run(command)
            limits = Limits(seconds=settings.seconds, bytes=settings.bytes)
            found = [one[0] for one in records.fields((bench.folder / "files").read_bytes(), 4)[0]]
            dumps = [path for path in found if _DUMPS.search(path) and "\n" not in path][:_MOST]
            texts = [path for path in found if _TEXTS.search(path) and "\n" not in path][:_MOST]
            if dumps:
                argv = ("sh", "-c", _HEADS, "sh", str(settings.hash_up_to), *dumps)
                bench.run(Command("heads", argv, limits, optional=True))
            if texts:
                argv = ("grep", "-aHZ", "-D", "skip", "", "--", *texts)
                bench.run(Command("crash-logs", argv, limits, accepts=(0, 1, 2), optional=True))

        yield work

    def read(self, output: Output) -> Reading:
        """Make `kdump`, `crash_files`, and `oom_kills_crash`, `oom_tasks_crash`, `oom_zones_crash` of the kept logs."""
        state, bad_state = records.named(output.part("state"))
        set_, bad_set = records.grepped(output.part("settings"))
        files, bad_files = _files(output)
        logs, bad_logs = lines.files(output.part("crash-logs"))
        read = {path: reports.read(found) for path, found in logs.items()}
        rows: tuple[tuple[Cell, ...], ...] = tuple((_short(path), words.strip()) for path, words in [*state, *set_])
        made = (
            Table("kdump", "Crash dumps: state and settings", _NAMED, rows),
            Table("crash_files", "Crash dumps and kept logs on the target", _FILES, tuple(files)),
            *tables.made(read, ("oom_kills_crash", "oom_tasks_crash", "oom_zones_crash")),
        )
        logged = bad_logs + sum(one.unread for one in read.values())
        return Reading(made, {"state": bad_state, "settings": bad_set, "files": bad_files, "crash-logs": logged})


def _short(path: str) -> str:
    return path.removeprefix("/proc/sys/").removeprefix("/sys/kernel/").replace("/proc/cmdline", "cmdline")


def _files(output: Output) -> tuple[list[tuple[Cell, ...]], int]:
    heads, bad_heads = records.fields(output.part("heads"), 3)
    looked = {path: (head, digest) for path, head, digest in heads}
    rows: list[tuple[Cell, ...]] = []
    found, bad = records.fields(output.part("files"), 4)
    for path, size, modified, mode in found:
        when = _moment(modified)
        if not (size.isascii() and size.isdecimal() and len(size) < 19) or when is None:
            bad += 1
            continue
        head, digest = looked.get(path, ("", ""))
        rows.append(
            (path, int(size), when, mode, _kind(path, head), digest or Absent("not hashed: too large, or no dump"))
        )
    return rows, bad + bad_heads


def _kind(path: str, head: str) -> str:
    known = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    return known or ("kernel log" if _TEXTS.search(path) else "dump of a kind that is not known" if head else "other")


def _moment(stamp: str) -> Cell | None:
    try:
        return utc(datetime.fromtimestamp(float(stamp), UTC))
    except (ValueError, OverflowError, OSError):
        return None


COLLECTOR = Kdump()
