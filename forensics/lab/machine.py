"""QEMU: started on a disk with a kernel, watched while it boots, ended by its own pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from forensics.errors import LabFailed
from forensics.lab import programs
from forensics.lab.image import Image
from forensics.lab.recipe import Recipe
from forensics.text import show

POLL = 0.3  # seconds


def free_port() -> int:
    """Find a port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def arguments(recipe: Recipe, image: Image, folder: Path, port: int, accel: str) -> list[str]:
    """Write QEMU's command line: no window, no monitor, one port on the loopback, no way out of the guest's network."""
    append = f"root=/dev/vda ro console=ttyS0 net.ifnames=0 {recipe.append}".strip()
    return [
        *("-name", folder.name, "-no-user-config", "-display", "none", "-monitor", "none", "-parallel", "none"),
        *("-accel", accel, "-machine", "q35", "-cpu", recipe.cpu, "-m", f"{recipe.memory}M", "-smp", str(recipe.cpus)),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", append),
        *("-drive", f"if=none,id=disk,format=raw,cache=unsafe,file={_value(folder / 'disk.img')}"),
        *("-device", "virtio-blk-pci,drive=disk,num-queues=1", "-device", "virtio-rng-pci"),
        *(
            "-netdev",
            f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
            "-device",
            "virtio-net-pci,netdev=net,romfile=",
        ),
        *("-serial", f"file:{_value(folder / 'console.log')}"),
    ]


def _value(path: Path) -> str:
    return str(path).replace(",", ",,")


def start(recipe: Recipe, image: Image, folder: Path, accel: str, *, dies_with_us: bool) -> tuple[int, int]:
    """Start QEMU and give the loopback port that leads to its SSH server, and its pid; LabFailed when it ends at once.

    `dies_with_us`: the kernel ends it when the thread that called this is gone, however that came.
    """
    prefix = [programs.find("setpriv"), "--pdeathsig", "KILL", "--"] if dies_with_us else []
    said = ""
    for _attempt in range(3):
        port = free_port()
        argv = [*prefix, programs.find("qemu-system-x86_64"), *arguments(recipe, image, folder, port, accel)]
        child = _launch(argv, folder)
        if child.poll() is None:
            _CHILDREN[child.pid] = child
            return port, child.pid
        said = show((folder / "qemu.log").read_bytes().strip(), 600)
        if "host forwarding" not in said:  # else another process was quicker to take the port
            break
    raise LabFailed("QEMU did not start", where=folder.name, why=f"it said: {said or 'nothing'}")


def _launch(argv: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Run QEMU and look after a moment whether it still runs."""
    with (folder / "qemu.log").open("wb") as log:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: child.poll() is not None, seconds=0.7)
    except BaseException:
        child.kill()
        child.wait()
        raise
    return child


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""QEMUs that this process started: they must be waited for, or they stay as zombies."""


def runs(pid: int, folder: Path) -> bool:
    """Tell whether this pid is the QEMU of this folder, and not another process that got its number."""
    child = _CHILDREN.get(pid)
    if child is not None and child.poll() is not None:
        return False
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    console = f"file:{_value(folder / 'console.log')}".encode()
    return console in words and any(word.endswith(b"qemu-system-x86_64") for word in words)


def end(pid: int, folder: Path) -> bool:
    """End the QEMU of this folder and wait until it is gone; False when there was none. LabFailed if it will not go."""
    if not runs(pid, folder):
        return False
    for word in (signal.SIGTERM, signal.SIGKILL):
        os.kill(pid, word)
        if wait_until(lambda: not runs(pid, folder), seconds=10):
            return True
    raise LabFailed(f"QEMU does not end: pid {pid}", where=folder.name, remedy=f"kill -9 {pid}")


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again until the condition holds; False when it did not within this time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(POLL)
    return True


def last_words(folder: Path, lines: int = 8) -> str:
    """Give the last lines of the machine's console, safe to show."""
    try:
        raw = (folder / "console.log").read_bytes()[-8192:]
    except OSError:
        return "the console is empty"
    kept = [line for line in raw.splitlines() if line.strip()][-lines:]
    return " | ".join(show(line, 160) for line in kept) or "the console is empty"
