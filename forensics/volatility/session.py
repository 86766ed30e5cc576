"""One image, one table, many plugins: starts the worker, hands on what it says, and outlives its death."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from forensics.model import Outcome
from forensics.volatility import messages
from forensics.volatility.messages import Ended, Job, Message, Opened, Started, Unusable
from forensics.volatility.process import command, environment

STACKING_SECONDS = 1800.0
_STARTS = 3


def run(job: Job, stacking_seconds: float = STACKING_SECONDS) -> Generator[Opened | Unusable | Ended]:
    """Run the plugins of a job, and say how each ended as it ends.

    First comes `Opened` or `Unusable`; after Unusable nothing more. A worker that dies is started again (three times at
    most) for what is left; the plugins that it was running are then failed. Leaving the iterator early ends the worker.
    """
    left = list(job.plugins)
    why = ""
    for attempt in range(_STARTS):
        worker = _Worker(replace(job, plugins=tuple(left)), stacking_seconds)
        with closing(worker.messages()) as said:
            for message in said:
                if isinstance(message, Ended):
                    left.remove(message.item)
                if not (attempt and isinstance(message, Opened | Unusable)):
                    yield message
                elif isinstance(message, Unusable):
                    why = message.reason
        if not left or not worker.opened:
            break
        why = worker.death
        for name in worker.running:
            left.remove(name)
            yield Ended(name, Outcome.FAILED, f"Volatility's process died while this plugin ran: {why}")
    if why:
        yield from (Ended(name, Outcome.NOT_RUN, f"Volatility's process died: {why}") for name in left)


@dataclass
class _Worker:
    """A worker process and the pipe from it."""

    job: Job
    stacking_seconds: float
    running: list[str] = field(default_factory=list)  # begun, and not ended
    opened: bool = False
    death: str = ""

    def messages(self) -> Generator[Opened | Unusable | Ended]:
        """Start it, give what it says, and end it; `running` and `death` tell what was left."""
        process = self._start()
        try:
            for message in self._said(process):
                self.opened = self.opened or isinstance(message, Opened)
                if isinstance(message, Started):
                    self.running.append(message.item)
                    continue
                if isinstance(message, Ended) and message.item in self.running:
                    self.running.remove(message.item)
                yield message
                if isinstance(message, Unusable):
                    return
            if not self.opened:
                yield Unusable(f"the image could not be opened: {self._why(process)}")
            self.death = self._why(process)
        finally:
            _end(process)

    def _start(self) -> subprocess.Popen[bytes]:
        folder = Path(self.job.folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "worker.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            return subprocess.Popen(
                command("forensics.volatility.worker"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(folder),
                start_new_session=True,
                umask=0o077,
            )

    def _said(self, process: subprocess.Popen[bytes]) -> Iterator[Message]:
        """Give its messages; without the first within the time for stacking, it is not waited for."""
        assert process.stdin is not None  # noqa: S101 (both are pipes, as asked for above)
        assert process.stdout is not None  # noqa: S101
        with suppress(BrokenPipeError):  # it died at once; then it says nothing, and that is told
            process.stdin.write(self.job.encode().encode() + b"\n")
            process.stdin.flush()
        before = time.monotonic()
        ready, _, _ = select.select([process.stdout], [], [], self.stacking_seconds)
        if not ready:
            yield Unusable(f"finding the kernel in the image took over {time.monotonic() - before:.0f} s")
            return
        for line in process.stdout:
            yield messages.decode(line.decode())

    def _why(self, process: subprocess.Popen[bytes]) -> str:
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        status = process.returncode
        if status is None:
            return "it closed its output and went on"
        if status < 0:
            return f"it was ended by {signal.Signals(-status).name}"
        return f"it ended with status {status}; its last words: {_last_words(Path(self.job.folder) / 'worker.log')}"


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "none"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker and its children: it leads a process group of its own."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
