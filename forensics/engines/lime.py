"""LiME over SSH: the module on tmpfs, its port on the target's loopback, one SSH channel straight to that port.

insmod blocks until somebody connects and the dump has ended, and returns 0 whatever happened in between (LiME's
main.c): its status proves nothing, and is only recorded. `timeout=0` always: LiME's default writes zeros for the rest
of a range after one page slower than a second. Arguments are separate words: in one quoted string they fail.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forensics import text
from forensics.engines import Materials, Paper
from forensics.errors import ForensicsError, Refused, StageFailed
from forensics.host import Change, Channel, Completed, Host, Limits, Stream
from forensics.lime import refusals
from forensics.model import JSON, Facts, LimeModule, Preflight
from forensics.survey import preflight

OPENING = 60.0
"""Seconds within which LiME has to listen."""

ENDING = 60.0
"""Seconds within which insmod has to end once our end of the stream is closed."""

_PORTS = range(61000, 65536)  # above the range that Linux hands out by itself (ip_local_port_range)
_LISTEN, _LOOPBACK = "0A", "0100007F"

# The path is of a folder with 128 random bits in its name: no process but ours has it among its words. A module with
# another port among its parameters is somebody else's, and stays.
_UNLOAD = """for d in /proc/[0-9]*; do
 { read -r c <"$d/comm"; } 2>/dev/null || continue
 [ "$c" = insmod ] && grep -qsF -- "$0" "$d/cmdline" && kill -s INT "${d#/proc/}"
done
i=0; while [ -d /sys/module/lime ]; do
 read -r p </sys/module/lime/parameters/path || p=$1
 [ "$p" = "$1" ] || exit 0
 rmmod lime && exit 0
 i=$((i+1)); [ "$i" -lt 25 ] || exit 1; sleep 0.2 2>/dev/null || sleep 1
done
"""
_GONE = (
    'read -r p 2>/dev/null </sys/module/lime/parameters/path || [ ! -d /sys/module/lime ] || exit 1; [ "$p" != "$0" ]'
)


@dataclass(frozen=True, slots=True)
class Lime:
    """The engine that loads LiME."""

    name: str = "lime"

    def check(self, facts: Facts, materials: Materials) -> Preflight:
        """Tell whether the kernel will load the module, and whether there is one for exactly this kernel."""
        module = materials.module
        told = preflight.lime(
            facts, str(module.module.facts.get("signed_by") or "") if isinstance(module, LimeModule) else ""
        )
        if told.works is False:
            return told
        if not isinstance(materials.module, LimeModule):
            return Preflight(told.subject, works=False, why=f"there is no module: {materials.module.reason}")
        if materials.module.vermagic.partition(" ")[0] != facts.release:
            why = f"the module is for {materials.module.vermagic!r}, the target runs {facts.release!r}"
            return Preflight(told.subject, works=False, why=why)
        return told

    @contextmanager
    def prepare(self, host: Host, facts: Facts, materials: Materials) -> Iterator[LimePrepared]:
        """Put the module on tmpfs; afterwards nothing of it is there, and the kernel's taint is read again."""
        del facts
        if materials.module_path is None or materials.module_digest is None:
            raise ValueError("prepared without a module")
        _refuse_loaded(host)
        record: dict[str, JSON] = {"module": str(materials.module_digest), "taint_before": _taint(host)}
        with host.workplace() as place:
            module = place / "lime.ko"
            host.put(materials.module_path, module)
            yield LimePrepared(host, module, materials.module_digest.value, record)
        record["taint_after"] = _taint(host)
        record["still_loaded"] = "lime" in _modules(host)


@dataclass
class LimePrepared:
    """A target with the module in place, not yet loaded."""

    host: Host
    module: Path
    sha256: str
    record: dict[str, JSON] = field(default_factory=dict)
    papers: list[Paper] = field(default_factory=list)

    @contextmanager
    def stream(self) -> Iterator[Channel]:
        """Load the module and connect to it; on leaving it is unloaded, and seen to be gone."""
        port = _free_port(self.host)
        words = tuple(f"{name}={value}" for name, value in _wanted(port).items())
        self.record |= {"port": port, "parameters": list(words)}
        self._confirm()
        _refuse_loaded(self.host)
        change = Change(
            kind="module",
            subject="lime",
            undo=("/bin/sh", "-c", _UNLOAD, str(self.module), f"tcp:{port}"),
            gone=("/bin/sh", "-c", _GONE, f"tcp:{port}"),
            details=f"{' '.join(words)}, sha256:{self.sha256}",
        )
        try:
            with self.host.change(change), self._loaded(port, words) as channel:
                yield channel
        finally:
            self.record["kernel_messages"] = _messages(self.host)

    @contextmanager
    def _loaded(self, port: int, words: tuple[str, ...]) -> Iterator[Channel]:
        with self.host.stream("insmod", str(self.module), *words, root=True) as running:
            insmod = _Insmod(running)
            try:
                self._wait(port, insmod)
                taken = _loaded_parameters(self.host, port)
                self.record |= {"loaded_as": taken, "zero_fill_excluded": taken.get("timeout") == "0"}
                with self.host.connect(port) as channel:
                    yield channel
            finally:
                self.record["insmod"] = insmod.finish()

    def _confirm(self) -> None:
        """Compare the module on the target once more, right before it is loaded, where it can be."""
        told = self.host.run("sha256sum", "--", str(self.module), root=True, expect=True).stdout
        found = text.show(told.split(b" ")[0], 80)
        if found != self.sha256:
            raise Refused(
                "the module on the target is not the one that was put there; it is not loaded",
                where=f"{self.host.label}:{self.module}",
                why=f"sha256 is {found} there, and {self.sha256} here",
                remedy="somebody with root's rights changes files there: think again before going on",
            )

    def _wait(self, port: int, insmod: _Insmod) -> None:
        """Wait until the port listens, on the loopback only; raise when insmod ended before that."""
        limit = time.monotonic() + OPENING
        while time.monotonic() < limit:
            if insmod.over.wait(0.1):
                raise self._refusal(insmod)
            listening = _listeners(self.host, port)
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
        if listening != (_LOOPBACK,):
            raise Refused(
                "LiME listens where others could connect; nothing is taken",
                where=f"{self.host.label}, port {port}",
                why=f"it listens on {', '.join(listening)} (as /proc/net/tcp writes it), and not on 127.0.0.1 alone",
                remedy="use a LiME that knows localhostonly=1",
            )

    def _refusal(self, insmod: _Insmod) -> ForensicsError:
        said = insmod.finish()
        words = str(said.get("stderr", ""))
        why, remedy = refusals.explain(words)
        return StageFailed(
            "the target did not load LiME",
            where=self.host.label,
            why=f"{why}; insmod ended with {said.get('status')}: {words or 'no word'}",
            remedy=remedy,
        )


class _Insmod(threading.Thread):
    """Waits for insmod beside the stream; `over` is set when it has ended, or the link with it."""

    def __init__(self, running: Stream) -> None:
        super().__init__(name="insmod", daemon=True)
        self.over = threading.Event()
        self._running = running
        self._ended: Completed | None = None
        self._problem = ""
        self.start()

    def run(self) -> None:
        """Read to the end."""
        try:
            while self._running.read():
                pass
            self._ended = self._running.ended()
        except ForensicsError as problem:
            self._problem = str(problem)
        finally:
            self.over.set()

    def finish(self) -> dict[str, JSON]:
        """Give its end; it is asked to end when it does not by itself."""
        by_itself = self.over.wait(ENDING if self._ended is None else 0)
        if not by_itself:
            self._running.stop("INT")
            self.over.wait(ENDING)
        if self._ended is None:
            return {"status": None, "stderr": "", "problem": self._problem or "it did not end"}
        return {
            "status": self._ended.status,
            "stderr": text.show(self._ended.stderr.strip(), 500),
            "seconds": round(self._ended.seconds, 3),
            "ended_by_itself": by_itself,
        }


def _refuse_loaded(host: Host) -> None:
    if "lime" in _modules(host):
        raise Refused(
            "a module named lime is loaded on the target already; it is not ours, and is not touched",
            where=host.label,
            why="/proc/modules lists it",
            remedy="find out whose it is; once it is unloaded (rmmod lime), run again",
        )


def _modules(host: Host) -> tuple[str, ...]:
    told = host.run("cat", "/proc/modules", expect=True)
    return tuple(line.split(" ", 1)[0] for line in text.decode(told.stdout).splitlines())


def _taint(host: Host) -> int | None:
    told = host.run("cat", "/proc/sys/kernel/tainted").stdout.strip()
    return int(told) if told.isdigit() else None


def _sockets(host: Host) -> list[tuple[str, int, str]]:
    """Give local address, local port and state of each TCP socket, as /proc/net/tcp and tcp6 write them."""
    told = host.run("cat", "/proc/net/tcp", "/proc/net/tcp6")  # no tcp6 where IPv6 is off: the rest is read
    lines = re.findall(
        r"^ *\d+: ([0-9A-F]{8,32}):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) ", text.decode(told.stdout), re.MULTILINE
    )
    return [(address, int(port, 16), state) for address, port, state in lines]


def _free_port(host: Host) -> int:
    used = {port for _, port, _ in _sockets(host)}
    return secrets.choice([port for port in _PORTS if port not in used])


def _listeners(host: Host, port: int) -> tuple[str, ...]:
    return tuple(address for address, local, state in _sockets(host) if local == port and state == _LISTEN)


def _wanted(port: int) -> dict[str, str]:
    return {"path": f"tcp:{port}", "format": "lime", "localhostonly": "1", "timeout": "0"}


def _loaded_parameters(host: Host, port: int) -> dict[str, JSON]:
    """Read the parameters as the kernel has them; Refused when the ones that matter are not as they were given."""
    told = {name: host.run("cat", f"/sys/module/lime/parameters/{name}", root=True) for name in _wanted(port)}
    found: dict[str, JSON] = {name: text.show(one.stdout.strip(), 100) for name, one in told.items() if one.ok}
    wanted = _wanted(port)
    wrong = {name: value for name, value in found.items() if value != wanted[name]}
    if wrong:
        raise Refused(
            "LiME did not take its parameters as they were given; nothing is taken",
            where=host.label,
            why=f"the kernel has {wrong}",
            remedy="build LiME from its unchanged source",
        )
    return found


def _messages(host: Host) -> list[JSON]:
    """Give the kernel's last messages about modules; [] when they cannot be read."""
    lines = text.decode(host.run("dmesg", root=True, limits=Limits(seconds=30)).stdout).splitlines()
    about = [line for line in lines if re.search(r"\blime\b|LiME|module verification|Lockdown|disagrees", line)]
    return [text.show(line, 300) for line in about[-20:]]
