"""LiME in a target's kernel: how it is loaded, seen and unloaded; what engines of it share.

insmod blocks until the dump has ended, and returns 0 whatever happened in between (LiME's main.c): its status proves
nothing, and is only recorded. Arguments are separate words: in one quoted string they fail.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from forensics import text
from forensics.errors import ForensicsError, Refused, StageFailed
from forensics.host import Change, Completed, Host, Limits, Stream
from forensics.lime import refusals
from forensics.model import JSON, Digest, Facts, LimeModule, NotBuilt, Preflight
from forensics.survey import preflight

ENDING = 60.0
"""Seconds within which insmod has to end once our end of the stream is closed."""

# The path is of a folder with 128 random bits in its name: no process but ours has it among its words. A module with
# another path among its parameters is somebody else's, and stays.
_UNLOAD = """for d in /proc/[0-9]*; do
 { read -r c <"$d/comm"; } 2>/dev/null || continue
 [ "$c" = insmod ] && grep -qsF -- "$0" "$d/cmdline" || continue
 prlimit --pid "${d#/proc/}" --fsize=1:1 2>/dev/null
 kill -s INT "${d#/proc/}"
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
_STOP = """for d in /proc/[0-9]*; do
 { read -r c <"$d/comm"; } 2>/dev/null || continue
 [ "$c" = insmod ] && grep -qsF -- "$0" "$d/cmdline" && prlimit --pid "${d#/proc/}" --fsize=1:1
done
"""


def check(subject: str, facts: Facts, module: LimeModule | NotBuilt) -> Preflight:
    """Tell whether the kernel will load the module, and whether there is one for exactly this kernel."""
    signed_by = str(module.module.facts.get("signed_by") or "") if isinstance(module, LimeModule) else ""
    told = preflight.lime(facts, signed_by)
    if told.works is False:
        return Preflight(subject, works=False, why=told.why)
    if not isinstance(module, LimeModule):
        return Preflight(subject, works=False, why=f"there is no module: {module.reason}")
    if module.vermagic.partition(" ")[0] != facts.release:
        why = f"the module is for {module.vermagic!r}, the target runs {facts.release!r}"
        return Preflight(subject, works=False, why=why)
    return Preflight(subject, works=told.works, why=told.why)


def change(module: Path, sha256: str, parameters: Mapping[str, str]) -> Change:
    """Describe the loading of a module that lies at this path, with the ways to unload it and to see it gone."""
    return Change(
        kind="module",
        subject="lime",
        undo=("/bin/sh", "-c", _UNLOAD, str(module), parameters["path"]),
        gone=("/bin/sh", "-c", _GONE, parameters["path"]),
        details=f"{' '.join(words(parameters))}, sha256:{sha256}",
    )


@contextmanager
def placed(host: Host, module: Path, digest: Digest, record: dict[str, JSON]) -> Iterator[Path]:
    """Put a module on tmpfs; afterwards nothing of it is there, and the kernel's taint is read again.

    Refused when a module of LiME's name is loaded already.
    """
    refuse_loaded(host)
    record |= {"module": str(digest), "taint_before": taint(host)}
    with host.workplace() as place:
        host.put(module, place / "lime.ko")
        yield place / "lime.ko"
    record["taint_after"] = taint(host)
    record["still_loaded"] = "lime" in modules(host)


def words(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """Put parameters as insmod takes them."""
    return tuple(f"{name}={value}" for name, value in parameters.items())


class Insmod(threading.Thread):
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

    def finish(self, within: float | None = None) -> dict[str, JSON]:
        """Give its end; it is asked to end when it does not by itself within so many seconds (ENDING)."""
        by_itself = self.over.wait(0 if self._ended else ENDING if within is None else within)
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

    def refusal(self, host: Host) -> ForensicsError:
        """Say why the kernel did not load it, once it has ended before its time."""
        told = self.finish()
        said = str(told.get("stderr", ""))
        why, remedy = refusals.explain(said)
        return StageFailed(
            "the target did not load LiME",
            where=host.label,
            why=f"{why}; insmod ended with {told.get('status')}: {said or 'no word'}",
            remedy=remedy,
        )


def stop(host: Host, module: Path) -> None:
    """End a dump that goes on inside insmod, which hears no signal then: its next write to a file fails.

    A dump to a port ends by itself once nobody reads it.
    """
    host.run("/bin/sh", "-c", _STOP, str(module), root=True)


def confirm(host: Host, module: Path, sha256: str) -> None:
    """Compare the module on the target once more, right before it is loaded."""
    told = host.run("sha256sum", "--", str(module), root=True, expect=True).stdout
    found = text.show(told.split(b" ")[0], 80)
    if found != sha256:
        raise Refused(
            "the module on the target is not the one that was put there; it is not loaded",
            where=f"{host.label}:{module}",
            why=f"sha256 is {found} there, and {sha256} here",
            remedy="somebody with root's rights changes files there: think again before going on",
        )


def refuse_loaded(host: Host) -> None:
    """Raise Refused when a module of this name is loaded: it is not ours."""
    if "lime" in modules(host):
        raise Refused(
            "a module named lime is loaded on the target already; it is not ours, and is not touched",
            where=host.label,
            why="/proc/modules lists it",
            remedy="find out whose it is; once it is unloaded (rmmod lime), run again",
        )


def modules(host: Host) -> tuple[str, ...]:
    """List the modules that are loaded."""
    told = host.run("cat", "/proc/modules", expect=True)
    return tuple(line.split(" ", 1)[0] for line in text.decode(told.stdout).splitlines())


def taint(host: Host) -> int | None:
    """Read the kernel's taint flags."""
    told = host.run("cat", "/proc/sys/kernel/tainted").stdout.strip()
    return int(told) if told.isdigit() else None


def taken(host: Host, wanted: Mapping[str, str]) -> dict[str, JSON]:
    """Read the parameters as the kernel has them; Refused when one is not as it was given.

    A kernel that LiME cannot time on has no `timeout`: such a one is not among them.
    """
    told = {name: host.run("cat", f"/sys/module/lime/parameters/{name}", root=True) for name in wanted}
    found: dict[str, JSON] = {name: text.show(one.stdout.strip(), 300) for name, one in told.items() if one.ok}
    wrong = {name: value for name, value in found.items() if value != wanted[name]}
    if wrong:
        raise Refused(
            "LiME did not take its parameters as they were given; nothing is taken",
            where=host.label,
            why=f"the kernel has {wrong}",
            remedy="build LiME from its unchanged source",
        )
    return found


def messages(host: Host) -> list[JSON]:
    """Give the kernel's last messages about modules; [] when they cannot be read."""
    lines = text.decode(host.run("dmesg", root=True, limits=Limits(seconds=30)).stdout).splitlines()
    about = [line for line in lines if re.search(r"\blime\b|LiME|module verification|Lockdown|disagrees", line)]
    return [text.show(line, 300) for line in about[-20:]]
