"""One plugin in one child process: forked with the image open, limited, its rows on disk as they come."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from volatility3.framework import exceptions

from forensics.model import JSON, Outcome
from forensics.text import show
from forensics.volatility.image import KERNEL, Image
from forensics.volatility.messages import Ended, Job, Limits
from forensics.volatility.plugins import Plugin, configure, purpose
from forensics.volatility.quirks import prepare
from forensics.volatility.rows import RowWriter
from forensics.volatility.written import Written

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_WARNINGS_KEPT = 20
_TOLD = ("peak_memory", "processor_seconds", "torn_rows", "warnings")


@dataclass
class Child:
    """A plugin that is running."""

    item: str
    pid: int
    told: int  # file descriptor: what it says of its end
    path: Path
    started: float
    words: bytes = b""


class _Warnings(logging.Handler):
    """Keeps what Volatility warns of while the plugin runs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.kept: list[JSON] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.kept) < _WARNINGS_KEPT:
            self.kept.append(record.getMessage())


@dataclass
class _Run:
    """What the child does with its plugin."""

    job: Job
    image: Image
    item: str
    kind: Plugin
    path: Path
    lost: list[str]  # entries that a plugin had to pass over
    torn: list[str] = field(default_factory=list)
    warnings: _Warnings = field(default_factory=_Warnings)
    written: Written | None = None

    def words(self) -> dict[str, JSON]:
        """Run it, and tell how it ended."""
        logging.getLogger("volatility3").addHandler(self.warnings)
        why = ""
        try:
            self._rows()
        except MemoryError:
            why = f"it needed more than {self.job.limits.memory >> 20} MiB of memory"
        except (Exception, SystemExit) as error:  # noqa: BLE001 (told to the worker, which records it; the traceback goes to its log)
            traceback.print_exc()
            why = reason(error)
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "why": why or _lost_words(self.lost),
            "passed_over": bool(self.lost and not why),
            "warnings": [*self.torn[:_WARNINGS_KEPT], *self.warnings.kept],
            "torn_rows": len(self.torn),
            "files": self.written.told if self.written else [],
            "peak_memory": used.ru_maxrss * 1024,
            "processor_seconds": round(used.ru_utime + used.ru_stime, 2),
        }

    def _rows(self) -> None:
        path = configure(self.image.context, self.kind, KERNEL, self.job.arguments.get(self.item))
        missing = self.kind.unsatisfied(self.image.context, path)
        if missing:
            raise exceptions.UnsatisfiedException(missing)
        plugin = self.kind(self.image.context, path)
        self.written = Written(self.path.with_suffix(".files"), self.job.limits.output)
        plugin.set_open_method(self.written.method())
        grid = plugin.run()
        with self.path.open("x", encoding="ascii", buffering=1) as file:
            writer = RowWriter(file, self.item, purpose(self.kind), grid, self.job.sources)
            self.torn = writer.torn
            writer.write()


def _lost_words(lost: Sequence[str]) -> str:
    """Name what is not among the rows, "" when nothing was passed over."""
    return show(f"{len(lost)} could not be read and have no row: {'; '.join(lost)}", 500) if lost else ""


def reason(error: BaseException) -> str:
    """Say what broke, in one line that may be shown."""
    if isinstance(error, exceptions.UnsatisfiedException):
        return f"it lacks {', '.join(sorted(error.unsatisfied))}"
    if isinstance(error, exceptions.PagedInvalidAddressException | exceptions.InvalidAddressException):
        return f"address {error.invalid_address:#x} of layer {error.layer_name} is not in the image"
    return show(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, 500)


def start(job: Job, image: Image, item: str, kind: Plugin) -> Child:
    """Fork the child; it never returns from here."""
    path = Path(job.folder) / f"{item}.jsonl"
    path.unlink(missing_ok=True)  # of a worker that died while it ran this
    shutil.rmtree(path.with_suffix(".files"), ignore_errors=True)
    reading, writing = os.pipe()
    sys.stdout.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Child(item, pid, reading, path, time.monotonic())
    status = 1
    try:
        _limit(job.limits, parent)
        lost: list[str] = []
        prepare(image.context, item, lost)
        words = _Run(job, image, item, kind, path, lost).words()
        os.write(writing, json.dumps(words).encode())
        status = 0
    finally:
        os._exit(status)


def _limit(limits: Limits, parent: int) -> None:
    """Die with the worker; take no more memory, disk or core dump than allowed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.output, limits.output))
    most = _data_held() + limits.memory
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _data_held() -> int:
    """Give the bytes of private writable memory it begins with (VmData), which RLIMIT_DATA counts."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def ended(child: Child, status: int, cut: str) -> Ended:
    """Tell how a plugin ended, from its own words, its rows, and how its process ended; `cut`: why we ended it."""
    told: dict[str, Any] = json.loads(child.words) if child.words and not cut else {}
    why = cut or told.get("why", "") or _death(status)
    rows = _whole_rows(child.path)
    facts: dict[str, JSON] = {"rows": max(rows, 0), "seconds": round(time.monotonic() - child.started, 2)}
    facts |= {
        name: told[name] for name in ("peak_memory", "processor_seconds", "torn_rows", "warnings") if told.get(name)
    }
    files = tuple((str(one["file"]), str(one["named"])) for one in told.get("files", ()))
    if why:
        to_its_end = bool(told.get("passed_over")) and rows >= 0
        some = rows > 0 or bool(files) or to_its_end
        return Ended(child.item, Outcome.PARTIAL if some else Outcome.FAILED, why, rows > 0 or to_its_end, facts, files)
    if not rows and not files:
        return Ended(child.item, Outcome.EMPTY, "the plugin ended well and had no rows", kept=True, facts=facts)
    return Ended(child.item, Outcome.DONE, "", kept=True, facts=facts, files=files)


def _death(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"its process was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return "" if status == 0 else f"its process ended with status {os.waitstatus_to_exitcode(status)}"


def _whole_rows(path: Path) -> int:
    """Count the rows, and cut off what is not a whole line; -1 when not even the head is there."""
    if not path.exists():
        return -1
    whole = lines = 0
    with path.open("rb+") as file:
        for line in file:
            if line.endswith(b"\n"):
                lines, whole = lines + 1, whole + len(line)
        file.truncate(whole)
    return lines - 1
