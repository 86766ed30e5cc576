"""LiME over SSH: the module on tmpfs, its port on the target's loopback, carried here without touching the disk.

`timeout=0` always: LiME's default writes zeros for the rest of a range after one page slower than a second. With
`digest=sha256` LiME hashes what it sends and gives the digest to a second connection to the same port.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forensics import text
from forensics.engines import Materials, Paper, Wishes
from forensics.errors import ForensicsError, Refused, StageFailed
from forensics.host import MIB, Channel, Host, Piece
from forensics.lime import carrying, loading, ports
from forensics.lime.carrying import Carrier
from forensics.lime.loading import Insmod
from forensics.model import JSON, Facts, Preflight

OPENING = 60.0
"""Seconds within which LiME has to listen."""

_DIGEST = "sha256"
_SOON = 3.0  # seconds for insmod to end when what it waits for will not come
_HOLDS = 0.3  # seconds in which insmod ends when LiME cannot have its port


@dataclass(frozen=True, slots=True)
class Lime:
    """The engine that loads LiME."""

    name: str = "lime"
    timeout: str = "0"  # milliseconds for a page, after which LiME gives a range up; 0: never

    def check(self, facts: Facts, materials: Materials) -> Preflight:
        """Tell whether the kernel will load the module, and whether there is one for exactly this kernel."""
        return loading.check("acquire: lime", facts, materials.module)

    @contextmanager
    def prepare(self, host: Host, facts: Facts, materials: Materials) -> Iterator[LimePrepared]:
        """Put the module on tmpfs; afterwards nothing of it is there, and the kernel's taint is read again."""
        if materials.module_path is None or materials.module_digest is None:
            raise ValueError("prepared without a module")
        path, digest = materials.module_path, materials.module_digest
        record: dict[str, JSON] = {}
        with loading.placed(host, path, digest, record) as module:
            yield LimePrepared(host, module, digest.value, facts, materials.wishes, self.timeout, record)


@dataclass
class LimePrepared:
    """A target with the module in place, not yet loaded."""

    host: Host
    module: Path
    sha256: str
    facts: Facts
    wishes: Wishes
    timeout: str
    record: dict[str, JSON] = field(default_factory=dict)
    papers: list[Paper] = field(default_factory=list)

    @contextmanager
    def stream(self) -> Iterator[Channel]:
        """Load the module and connect to it; on leaving it is unloaded, and seen to be gone."""
        port = ports.free(self.host)
        wanted = self._wanted(port)
        self.record |= {"port": port, "parameters": list(loading.words(wanted))}
        loading.confirm(self.host, self.module, self.sha256)
        loading.refuse_loaded(self.host)
        change = loading.change(self.module, self.sha256, wanted)
        aids = (self.facts.tools, self.module.parent)
        way = carrying.carrier(self.host, port, self.wishes.carry, aids, self.record)
        try:
            with way as carrier, self.host.change(change), self._loaded(port, wanted, carrier) as channel:
                yield channel
        finally:
            self.record["kernel_messages"] = loading.messages(self.host)

    def _wanted(self, port: int) -> dict[str, str]:
        more = {"digest": _DIGEST} if self.wishes.lime_digest else {}
        return {"path": f"tcp:{port}", "format": "lime", "localhostonly": "1", "timeout": self.timeout, **more}

    @contextmanager
    def _loaded(self, port: int, wanted: dict[str, str], carrier: Carrier) -> Iterator[Channel]:
        with self.host.stream("insmod", str(self.module), *loading.words(wanted), root=True) as running:
            insmod, counted = Insmod(running), _Counted()
            try:
                self._wait(port, insmod)
                taken = loading.taken(self.host, wanted)
                self.record |= {"loaded_as": taken, "zero_fill_excluded": taken.get("timeout") == "0"}
                self._see_that_it_is_lime(port, insmod, taken)
                with carrier.open(port) as channel:
                    counted.channel = channel
                    yield counted
                if self.wishes.lime_digest and counted.over:
                    self._ask_digest(port, insmod, carrier)
            finally:
                nobody_asks = self.wishes.lime_digest and not counted.over  # insmod would wait for us for ever
                self.record["insmod"] = insmod.finish(_SOON if nobody_asks else None)

    def _wait(self, port: int, insmod: Insmod) -> None:
        """Wait until the port listens, on the loopback only; raise when insmod ended before that."""
        limit = time.monotonic() + OPENING
        while time.monotonic() < limit:
            if insmod.over.wait(0.1):
                raise insmod.refusal(self.host)
            listening = ports.listeners(self.host, port)
            if listening:
                self.record["listens_on"] = list(listening)
                self._only_loopback(listening, port)
                return
        raise StageFailed(
            "LiME does not listen",
            where=f"{self.host.label}, 127.0.0.1:{port}",
            why=f"nothing listened there within {OPENING:.0f} s after insmod was started",
            remedy="see the kernel's messages on the target, then run again",
        )

    def _only_loopback(self, listening: tuple[str, ...], port: int) -> None:
        if listening != (ports.LOOPBACK,):
            raise Refused(
                "LiME listens where others could connect; nothing is taken",
                where=f"{self.host.label}, port {port}",
                why=f"it listens on {', '.join(listening)} (as /proc/net/tcp writes it), and not on 127.0.0.1 alone",
                remedy="use a LiME that knows localhostonly=1",
            )

    def _see_that_it_is_lime(self, port: int, insmod: Insmod, taken: Mapping[str, JSON]) -> None:
        """Raise when it is not LiME that listens: another was quicker to take the port, and insmod failed for it."""
        if insmod.over.wait(_HOLDS if "path" in taken else _SOON):
            raise insmod.refusal(self.host)
        if "path" not in taken:
            raise StageFailed(
                "what listens at LiME's port is not LiME; nothing is taken",
                where=f"{self.host.label}, port {port}",
                why="the kernel has no module of that name",
                remedy="run again: another port is chosen; or --engine kcore, which needs none",
            )

    def _ask_digest(self, port: int, insmod: Insmod, carrier: Carrier) -> None:
        """Read the digest of what LiME sent, at the port's second connection; why there is none is on record.

        insmod waits for that connection. Where the kernel lacks the algorithm, LiME says nothing and insmod ends.
        """
        try:
            self._wait(port, insmod)
            with carrier.open(port) as channel:
                said = _all(channel, 2 * MIB)
        except ForensicsError as problem:
            self.record["source_digest_problem"] = str(problem)
            return
        found = re.fullmatch(rb"[0-9a-f]{64}", said)
        if found:
            self.record |= {"source_digest": f"{_DIGEST}:{found[0].decode()}", "source_digest_by": "LiME"}
        else:
            self.record["source_digest_problem"] = f"LiME gave no digest: {text.show(said, 100)}"


@dataclass
class _Counted:
    """A channel that knows whether it came to its end."""

    channel: Channel | None = None
    over: bool = False

    def read(self, size: int = MIB) -> Piece:
        """Give at least one byte and at most `size`; b"" at the end."""
        data = self.channel.read(size) if self.channel else b""
        self.over = not data
        return data


def _all(channel: Channel, most: int) -> bytes:
    said = b""
    while len(said) < most and (data := channel.read(4096)):
        said += bytes(data)
    return said
