"""The process that opens the image once and runs each plugin in a child of its own.

Reads one job from stdin, writes messages to stdout, and ends when stdin is closed: whoever asked is then gone.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

from forensics.model import Outcome
from forensics.volatility import child, messages
from forensics.volatility.catalogue import by_length
from forensics.volatility.child import Child
from forensics.volatility.image import KERNEL, Image, Unopened, open_image
from forensics.volatility.messages import Ended, Job, Message, Opened, Started, Unusable
from forensics.volatility.plugins import Plugin, find, load, why_not
from forensics.volatility.reused import reuse
from forensics.volatility.scanning import quicken
from forensics.volatility.swift import hasten
from forensics.volatility.warm import warm


class Worker:
    """The loop over plugins and their children."""

    def __init__(self, job: Job, out: int) -> None:
        self._job = job
        self._out = out
        self._children: dict[int, Child] = {}  # by the descriptor they speak through
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Open the image, then run every plugin."""
        hasten()
        reuse()
        quicken()
        classes = load(self._job.plugin_folders)
        try:
            image = open_image(Path(self._job.image), Path(self._job.table), self._job.places)
        except Unopened as why:
            self._say(Unusable(str(why)))
            return
        warm(image.context, KERNEL)
        self._say(Opened(image.facts))
        waiting = self._waiting(classes)
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        while waiting or self._children:
            while waiting and len(self._children) < self._job.children:
                item, kind = waiting.pop(0)
                self._start(image, item, kind)
            self._wait()

    def _waiting(self, classes: Mapping[str, Plugin]) -> list[tuple[str, Plugin]]:
        """Say which plugins are not run, and give the others, the longest first."""
        waiting = []
        for item in by_length(self._job.plugins):
            name = find(item, classes)
            why = (
                why_not(name, classes[name], self._job.arguments.get(item))
                if name
                else "there is no such plugin; forensics plugins lists them"
            )
            if why or name is None:
                self._say(Ended(item, Outcome.NOT_RUN, why))
            else:
                waiting.append((item, classes[name]))
        return waiting

    def _start(self, image: Image, item: str, kind: Plugin) -> None:
        self._say(Started(item))
        begun = child.start(self._job, image, item, kind)
        self._children[begun.told] = begun
        self._selector.register(begun.told, selectors.EVENT_READ)

    def _wait(self) -> None:
        """Wait until a child speaks, ends or must be ended."""
        first = min(one.started for one in self._children.values()) + self._job.limits.seconds
        for key, _ in self._selector.select(max(first - time.monotonic(), 0)):
            if key.fd not in self._children:
                sys.exit(1)  # stdin was closed; the children die with this process
            self._hear(self._children[key.fd])
        for one in list(self._children.values()):
            if time.monotonic() - one.started >= self._job.limits.seconds:
                self._end(one, cut=f"it was ended after its {self._job.limits.seconds:.0f} s")

    def _hear(self, one: Child) -> None:
        words = os.read(one.told, 1 << 16)
        one.words += words
        if not words:
            self._end(one)

    def _end(self, one: Child, cut: str = "") -> None:
        if cut:
            os.kill(one.pid, signal.SIGKILL)
        _, status = os.waitpid(one.pid, 0)
        self._selector.unregister(one.told)
        os.close(one.told)
        del self._children[one.told]
        self._say(child.ended(one, status, cut))

    def _say(self, message: Message) -> None:
        os.write(self._out, messages.encode(message).encode())


_NETWORK = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"})


def _refuse_network(event: str, _: tuple[object, ...]) -> None:
    """Let nothing of Volatility's, nor of a plugin's, speak to another machine: it would fetch tables by itself."""
    if event in _NETWORK:
        raise PermissionError(f"an analysis does not use the network ({event})")


def main() -> None:
    """Do the job that stdin tells; what plugins print goes to stderr."""
    warnings.simplefilter("ignore", FutureWarning)
    sys.addaudithook(_refuse_network)
    out = os.dup(1)
    os.dup2(2, 1)
    Worker(Job.decode(sys.stdin.readline()), out).run()


if __name__ == "__main__":
    main()
