"""A file on its way to the disk, written by a thread of its own, and brought to the disk while more is coming.

Linux keeps what is written in memory, and would begin to bring it to the disk seconds later: the fsync at the end would
then wait for most of it. So the kernel is asked for it soon after each piece, by another thread, as that may wait for
the disk: the pieces need not, as long as the kernel has room.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from pathlib import Path

from forensics.encryption import Sealing
from forensics.host import MIB, Piece

PIECES = 4
"""Pieces that wait at most, of at most a MiB each."""

_SOON = 16 * MIB  # bytes after which the kernel is asked to bring them to the disk
_END = b""


class Writer(threading.Thread):
    """Writes pieces to a new file, through age where there are recipients; `problem` says why it stopped."""

    def __init__(self, path: Path, to: tuple[str, ...] = ()) -> None:
        super().__init__(name="disk", daemon=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._sealing = Sealing(path, to) if to else None
        self._descriptor = self._sealing.out if self._sealing else os.open(path, flags, 0o600)
        self._into = self._sealing.descriptor if self._sealing else self._descriptor
        self._pieces: queue.Queue[Piece] = queue.Queue(PIECES)
        self._where = path
        self._hurry: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._hurried = threading.Thread(target=self._bring_to_disk, name="write-back", daemon=True)
        self.problem = ""
        self.written = 0
        self._hurried.start()
        self.start()

    def take(self, piece: Piece) -> bool:
        """Hand a piece over; False when it cannot be written."""
        while not self.problem:
            try:
                self._pieces.put(piece, timeout=0.5)
            except queue.Full:
                continue
            return True
        return False

    def finish(self) -> None:
        """Write what is waiting, fsync and close."""
        while self.is_alive():
            try:
                self._pieces.put(_END, timeout=0.5)
                break
            except queue.Full:
                continue
        self.join()
        self._hurry.put(-1)
        self._hurried.join()
        if self._sealing and (said := self._sealing.finish()):
            self.problem = ""
            self._failed(said)
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._failed(error.strerror)
        finally:
            os.close(self._descriptor)

    def run(self) -> None:
        """Write to the end, or to the first error."""
        try:
            while piece := self._pieces.get():
                view = memoryview(piece)
                while view:
                    count = os.write(self._into, view)
                    self.written += count
                    view = view[count:]
                self._hurry.put(self.written)
        except BrokenPipeError:
            self._failed("age ended")  # why, it says at the end
        except OSError as error:
            self._failed(error.strerror)

    def _failed(self, why: str | None) -> None:
        self.problem = self.problem or f"writing {self._where} failed after {self.written} bytes: {why}"

    def _bring_to_disk(self) -> None:
        """Ask for write-back of each further part: POSIX_FADV_DONTNEED begins it, and drops no dirty page."""
        done = 0
        while (written := self._hurry.get()) >= 0:
            if written - done >= _SOON:
                with contextlib.suppress(OSError):  # what the disk does wrong is fsync's to say
                    os.posix_fadvise(self._descriptor, done, written - done, os.POSIX_FADV_DONTNEED)
                done = written
