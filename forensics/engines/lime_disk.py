"""LiME writes to a folder on the target that the analyst names: a mounted USB disk, an NFS share.

A deviation, and on record as one: whatever is deleted on that disk may be written over. The file is hashed there and,
fetched, here; then it is removed and looked for, or, where the analyst wants it, left there with its digest beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forensics import text
from forensics.engines import Materials, Paper
from forensics.errors import StageFailed
from forensics.host import MIB, Channel, Host, Limits
from forensics.lime import carrying, folders, loading
from forensics.lime.format import HEADER
from forensics.lime.loading import Insmod
from forensics.model import JSON, Facts, Preflight

_HASHING = Limits(seconds=24 * 3600, idle=None)
_STOPPING = 30.0  # seconds for a dump to end once its writes fail


@dataclass(frozen=True, slots=True)
class LimeDisk:
    """The engine that lets LiME write to a disk."""

    name: str = "lime_disk"

    def check(self, facts: Facts, materials: Materials) -> Preflight:
        """Tell whether the kernel will load LiME, and whether a folder was named."""
        if not materials.wishes.folder:
            return Preflight(
                "acquire: lime_disk", works=False, why="no folder on the target was named: --target-folder"
            )
        return loading.check("acquire: lime_disk", facts, materials.module)

    @contextmanager
    def prepare(self, host: Host, facts: Facts, materials: Materials) -> Iterator[DiskPrepared]:
        """Look at the folder, and put the module on tmpfs; afterwards nothing is there but what is to stay."""
        if materials.module_path is None or materials.module_digest is None:
            raise ValueError("prepared without a module")
        needed = sum(one.size + HEADER.size for one in facts.ram) or facts.memory_total
        record: dict[str, JSON] = {
            "disk": folders.inspect(host, materials.wishes.folder, needed),
            "bytes_expected": needed,
        }
        place = folders.name(materials.wishes.folder)
        with (
            loading.placed(host, materials.module_path, materials.module_digest, record) as module,
            host.change(folders.change(place, stays=materials.wishes.leave_there)),
        ):
            folders.make(host, place)
            yield DiskPrepared(host, module, place / folders.FILE, materials, record)


@dataclass
class DiskPrepared:
    """A target with the module and the folder in place."""

    host: Host
    module: Path
    file: Path
    materials: Materials
    record: dict[str, JSON] = field(default_factory=dict)
    papers: list[Paper] = field(default_factory=list)

    @contextmanager
    def stream(self) -> Iterator[Channel]:
        """Let LiME write, hash what it wrote, and give it; or nothing, when it is to stay there."""
        self._dump()
        self.record |= folders.close(self.host, self.file)
        digest = self._hash()
        self.record |= {"source_digest": f"sha256:{digest}", "source_digest_by": "sha256sum, of the file on the target"}
        if self.materials.wishes.leave_there:
            self._leave(digest)
            yield _Nothing()
            return
        ends: list[JSON] = []
        self.record["fetched"] = ends
        with self.host.stream("cat", "--", str(self.file), root=True) as running:
            yield carrying.Printed(running, ends)

    def _dump(self) -> None:
        sha256 = self.materials.module_digest.value if self.materials.module_digest else ""
        wanted = {"path": str(self.file), "format": "lime", "timeout": "0"}
        self.record["parameters"] = list(loading.words(wanted))
        loading.confirm(self.host, self.module, sha256)
        loading.refuse_loaded(self.host)
        try:
            with self.host.change(loading.change(self.module, sha256, wanted)):
                self._load(wanted)
                taken = loading.taken(self.host, wanted)
                self.record |= {"loaded_as": taken, "zero_fill_excluded": taken.get("timeout") == "0"}
        finally:
            self.record["kernel_messages"] = loading.messages(self.host)

    def _load(self, wanted: dict[str, str]) -> None:
        """Load the module, and wait until it has written; the acquisition may have to end before that."""
        with self.host.stream("insmod", str(self.module), *loading.words(wanted), root=True) as running:
            insmod, reason = Insmod(running), ""
            try:
                while not insmod.over.wait(0.5) and not (reason := self.materials.halted()):
                    continue
            finally:
                if not insmod.over.is_set():
                    loading.stop(self.host, self.module)
                told = insmod.finish(_STOPPING)
                self.record["insmod"] = told
            if reason:
                raise StageFailed("LiME's dump to the disk was ended, and what it wrote is removed", why=reason)
            if told.get("status") != 0:
                raise insmod.refusal(self.host)

    def _hash(self) -> str:
        told = self.host.run("sha256sum", "--", str(self.file), root=True, limits=_HASHING, expect=True).stdout
        found = re.match(rb"\\?([0-9a-f]{64}) ", told)
        if found:
            return found[1].decode()
        raise StageFailed("the target's sha256sum gave no digest", where=self.host.label, why=text.show(told, 100))

    def _leave(self, digest: str) -> None:
        """Put the digest beside the image: from then on it stays."""
        line = f"{digest}  {folders.FILE}\n".encode()
        paper = self.file.with_name(folders.PAPER)
        self.host.run("dd", f"of={paper}", "conv=excl,fsync", root=True, stdin=line, expect=True)
        self.record["left_there"] = str(self.file)


class _Nothing:
    """A channel at its end."""

    def read(self, size: int = MIB) -> bytes:
        """Give nothing."""
        del size
        return b""
