"""What is put on a target, and the proof that it is gone: recorded first, undone always, looked for afterwards.

Nothing is removed by pattern: every change names its exact path, module or process.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from forensics import text
from forensics.errors import CommandFailed, ForensicsError, TargetError, ToolMissing
from forensics.host import Change, Completed, Identity, Limits, Recorder

TMPFS = ("/run", "/dev/shm")  # noqa: S108 - folders of this kind are what is wanted, under an unguessable name
ENOUGH = 16 << 20  # bytes free that make a tmpfs good to work on
UNDO = Limits(seconds=60)
_VOLATILE = frozenset({"module", "mount", "process", "setting"})


class Runner(Protocol):
    """What of a host is needed here."""

    label: str

    def run(
        self, *argv: str, root: bool = False, stdin: bytes = b"", limits: Limits | None = None, expect: bool = False
    ) -> Completed:
        """Run a program and wait."""

    def find(self, program: str) -> str | None:
        """Tell where a program is."""

    def identity(self) -> Identity:
        """Read which boot answers."""


class Footprint:
    """The changes of one host, and their way to the ledger."""

    def __init__(self, host: Runner, recorder: Recorder) -> None:
        self._host = host
        self._recorder = recorder
        self._files: dict[Path, list[tuple[int, Change]]] = {}  # by workplace
        self._thread = threading.local()

    @contextmanager
    def change(self, change: Change) -> Iterator[None]:
        """Record the change, run the block, undo it, look, and record what was seen; as `Host.change`."""
        intent = self._recorder.intend(change)
        try:
            yield
        except BaseException:
            self._take_away(intent, change)
            raise
        proven, reason = self._take_away(intent, change)
        if not proven:
            raise TargetError(
                f"left on the target: {change.kind} {text.show(change.subject, 200)}",
                where=self._host.label,
                why=reason,
                remedy="run again to have it taken away, or take it away by hand",
            )

    @contextmanager
    def workplace(self, *, programs: bool = False) -> Iterator[Path]:
        """Give a new root-owned 0700 folder on tmpfs; as `Host.workplace`."""
        place = Path(self._tmpfs(programs=programs)) / f"forensics-{secrets.token_hex(16)}"
        change = Change(
            kind="folder",
            subject=str(place),
            undo=("rm", "-rf", "--", str(place)),
            gone=("test", "!", "-e", str(place)),
            details="root-owned, mode 0700, on tmpfs",
        )
        self._files[place] = []
        try:
            with self.change(change):
                self._host.run("mkdir", "-m", "700", "--", str(place), root=True, expect=True)
                self._check_folder(place)
                yield place
        finally:
            self._files_gone(place)

    def put(self, content: bytes | Path, destination: Path, mode: int) -> None:
        """Write a file below a workplace, as root, and compare its digest there; as `Host.put`."""
        place = next((one for one in self._files if destination.is_relative_to(one) and destination != one), None)
        if place is None or ".." in destination.parts:
            raise ValueError(f"not below a workplace: {destination}")
        data = content.read_bytes() if isinstance(content, Path) else content
        digest = hashlib.sha256(data).hexdigest()
        change = Change(
            kind="file",
            subject=str(destination),
            undo=("rm", "-f", "--", str(destination)),
            gone=("test", "!", "-e", str(destination)),
            details=f"{len(data)} bytes, sha256:{digest}, mode {mode:04o}",
        )
        self._files[place].append((self._recorder.intend(change), change))
        self._host.run("dd", f"of={destination}", "bs=65536", "conv=excl", root=True, stdin=data, expect=True)
        self._host.run("chmod", f"{mode:o}", "--", str(destination), root=True, expect=True)
        self._compare(destination, digest)

    def restore(self) -> Iterator[tuple[Change, bool, str]]:
        """Take away what an interrupted run left, the newest first; as `Host.restore`."""
        dangling = list(self._recorder.dangling())
        if not dangling:
            return
        boot = self._host.identity().boot_id
        for intent, change, then in reversed(dangling):
            if then and then != boot and _gone_by_reboot(change):
                proven, reason = True, f"gone by a reboot: boot {then} then, {boot} now"
                self._recorder.restored(intent, change, proven=proven, reason=reason)
            else:
                proven, reason = self._take_away(intent, change)
            yield change, proven, reason

    def left_running(self, pid: int, argv: tuple[str, ...], why: str) -> None:
        """Put a process of ours that may still run on record, and look whether it is gone."""
        change = Change(
            kind="process",
            subject=f"{pid}: {text.show(' '.join(argv), 200)}",
            undo=(),
            gone=("test", "!", "-e", f"/proc/{pid}"),
            details=why,
        )
        self._take_away(self._recorder.intend(change), change)

    @property
    def undoing(self) -> bool:
        """Whether this thread undoes something: what does so stands in the record of what is undone."""
        return getattr(self._thread, "undoing", False)

    @contextmanager
    def undo(self) -> Iterator[None]:
        """Undo something in the block, which is done also when nothing can be put on record any more."""
        before = self.undoing
        self._thread.undoing = True
        try:
            yield
        finally:
            self._thread.undoing = before

    def _take_away(self, intent: int, change: Change) -> tuple[bool, str]:
        """Undo and look; never raises what the target or the link did wrong, but records it.

        It is done before it is recorded: a ledger that cannot be written any more is no reason to leave things there.
        """
        try:
            with self.undo():
                proven, reason = self._undo_and_look(change)
        except ForensicsError as problem:
            proven, reason = False, str(problem)
        self._recorder.restored(intent, change, proven=proven, reason=reason)
        return proven, reason

    def _undo_and_look(self, change: Change) -> tuple[bool, str]:
        undone = self._host.run(*change.undo, root=True, limits=UNDO) if change.undo else None
        said = "" if undone is None or undone.ok else f"taking it away ended with {_end(undone)}"
        if not change.gone:
            return False, said or "there is no way to see that it is gone"
        looked = self._host.run(*change.gone, root=True, limits=UNDO)
        if looked.ok:
            return True, said
        return False, "; ".join(part for part in (said, f"looking for it ended with {_end(looked)}") if part)

    def _files_gone(self, place: Path) -> None:
        """Record the files of a workplace as gone with their folder, or not."""
        files = self._files.pop(place)
        if not files:
            return
        try:
            gone = self._host.run("test", "!", "-e", str(place), root=True, limits=UNDO).ok
        except ForensicsError:
            return  # they stay on record as intended and not taken away, as their folder does
        for intent, change in files:
            reason = "its folder is gone" if gone else "its folder is still there"
            self._recorder.restored(intent, change, proven=gone, reason=reason)

    def _tmpfs(self, *, programs: bool) -> str:
        """Choose the folder to work in: on tmpfs, root's, with room; with `programs`, not mounted noexec."""
        seen, closed = [], self._without_programs() if programs else frozenset()
        for folder in TMPFS:
            if folder in closed:
                continue
            asked = self._host.run("stat", "-f", "-c", "%T %a %S", folder)
            kind, *counts = text.decode(asked.stdout).split() or [""]
            free = int(counts[0]) * int(counts[1]) if len(counts) == 2 and all(map(str.isdecimal, counts)) else 0
            if asked.ok and kind == "tmpfs" and free:
                seen.append((min(free, ENOUGH), folder))
        if not seen:
            raise TargetError(
                "there is no tmpfs with room on the target, and nothing is put on its disk",
                where=self._host.label,
                why=f"looked at {' and '.join(TMPFS)}"
                + (f"; no program may run in {', '.join(sorted(closed))} (noexec)" if closed else ""),
            )
        return max(seen, key=lambda one: one[0])[1]

    def _without_programs(self) -> frozenset[str]:
        """Give the folders that are mounted noexec; the last mount on a folder is the one that counts."""
        lines = text.decode(self._host.run("cat", "/proc/self/mounts").stdout).splitlines()
        fields = [line.split(" ") for line in lines]
        options = {words[1]: words[3].split(",") for words in fields if len(words) > 3}
        return frozenset(folder for folder in TMPFS if "noexec" in options.get(folder, ()))

    def _check_folder(self, place: Path) -> None:
        made = self._host.run("stat", "-c", "%u %a %F", "--", str(place), root=True, expect=True)
        if made.stdout.strip() != b"0 700 directory":
            raise CommandFailed(
                "the folder made on the target is not as it was asked for",
                where=f"{self._host.label}:{place}",
                why=f"it is {text.show(made.stdout.strip(), 100)}, and has to be root's with mode 700",
            )

    def _compare(self, destination: Path, digest: str) -> None:
        """Compare with the target's own sha256sum, where it has one."""
        try:
            summed = self._host.run("sha256sum", "--", str(destination), root=True, expect=True)
        except ToolMissing:
            return
        found = text.show(summed.stdout.split(b" ")[0], 100)
        if found != digest:
            raise CommandFailed(
                "a file did not arrive on the target as it was sent",
                where=f"{self._host.label}:{destination}",
                why=f"sha256 is {found} there, and {digest} here",
            )


def _gone_by_reboot(change: Change) -> bool:
    """Tell whether a reboot alone takes such a change away."""
    path = PurePosixPath(change.subject)
    return change.kind in _VOLATILE or any(path.is_relative_to(folder) for folder in TMPFS)


def _end(completed: Completed) -> str:
    """Say how a command ended, with its last words."""
    if completed.cut:
        return f"our limit ({completed.cut})"
    status = "a signal" if completed.status is None else f"status {completed.status}"
    words = text.show((completed.stderr or completed.stdout).strip(), 300)
    return f"{status}: {words}" if words else status
