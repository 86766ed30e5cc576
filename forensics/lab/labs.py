"""Labs by name below a root folder: up, down, reboot, or up for the time of a block."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from forensics.errors import ForensicsError, LabFailed, UsageError
from forensics.lab import disk, image, kernel_module, machine, plan, planting, programs, truth
from forensics.lab.reach import ask, boot_id, ssh_command
from forensics.lab.recipe import HIDDEN_MODULE, Recipe
from forensics.lab.state import Lab, folder_of, load, locked, resolve, save, status, write_private
from forensics.progress import Progress, Silent

__all__ = ["Lab", "ask", "boot_id", "booted", "down", "load", "reboot", "resolve", "ssh_command", "status", "up"]

BOOT_SECONDS = 600
"""How long a machine may take until it has started all its services; an emulated one takes about 20 s."""

KVM_SECONDS = 45
"""How long a machine with KVM may take before emulation is tried instead."""

_KEPT = ("truth.json", "console.log")


def up(
    root: Path,
    name: str = "lab",
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    *,
    dies_with_us: bool = False,
    rebuild: bool = False,
) -> Lab:
    """Boot a lab, wait until all is planted, and write the truth. It goes on running when this process ends.

    With `dies_with_us` it is killed when the calling thread ends, however that comes. Raises UsageError when a lab of
    this name runs, ToolMissing, and LabFailed when the machine did not come up; then no QEMU is left.
    """
    folder = folder_of(root, name)
    for needed in ("qemu-system-x86_64", "debugfs", "ssh", "ssh-keygen", "openssl"):
        programs.find(needed)
    with locked(folder):
        if (found := load(root, name)) and found.runs:
            raise UsageError(f"lab {name} runs already", remedy=f"forensics lab down --name {name}, or another --name")
        try:
            return _bring_up(
                folder, recipe or Recipe(), progress or Silent(), rebuild=rebuild, dies_with_us=dies_with_us
            )
        except BaseException:
            _clear(folder)
            raise


def down(root: Path, name: str = "lab") -> bool:
    """End a lab's QEMU and remove its disk and secrets; truth and console stay. False when it did not run."""
    folder = folder_of(root, name)
    with locked(folder):
        lab = load(root, name)
        if lab is None:
            return False
        ended = machine.end(lab.pid, folder)
        _clear(folder)
        return ended


@contextmanager
def booted(
    root: Path, name: str = "lab", recipe: Recipe | None = None, progress: Progress | None = None
) -> Iterator[Lab]:
    """Boot a lab for the time of the block. It is taken down after it, and killed with this process in any case."""
    lab = up(root, name, recipe, progress, dies_with_us=True)
    try:
        yield lab
    finally:
        down(root, name)


def reboot(lab: Lab) -> None:
    """Reboot the guest, wait until it is up again, and write the truth anew: its processes have other pids."""
    before = boot_id(lab)
    if not before:
        raise LabFailed(f"lab {lab.name} does not answer", why=machine.last_words(lab.folder))
    # It ends with the connection lost: what it exits with says nothing, the boot id does.
    subprocess.run(ssh_command(lab, "systemctl reboot"), capture_output=True, timeout=60, check=False)
    if not machine.wait_until(lambda: boot_id(lab) not in {"", before}, BOOT_SECONDS):
        raise LabFailed(f"lab {lab.name} did not come up again", why=machine.last_words(lab.folder))
    _settle(lab, plan.draw(lab.recipe.seed))


def _clear(folder: Path) -> None:
    for file in folder.iterdir() if folder.exists() else ():
        if file.name not in _KEPT:
            file.unlink()


def _bring_up(folder: Path, recipe: Recipe, progress: Progress, *, rebuild: bool, dies_with_us: bool) -> Lab:
    base = image.obtain(recipe, progress, rebuild=rebuild)
    began = time.monotonic()
    drawn = plan.draw(recipe.seed)
    module, lacking = _hidden_module(recipe, drawn, base, progress)
    for accel in _accelerators(recipe.accel):
        _furnish(folder, recipe, drawn, base, module)
        lab = _start(folder, recipe, drawn, base, accel, lacking, dies_with_us=dies_with_us)
        try:
            progress.say(f"lab: booting {lab.hostname} on 127.0.0.1:{lab.port} ({recipe.memory} MiB, {accel})")
            if _answers(lab, KVM_SECONDS if accel == "kvm" and recipe.accel == "auto" else BOOT_SECONDS):
                progress.say(f"lab: SSH answers, {time.monotonic() - began:.0f} s after the start")
                _settle(lab, drawn)
                progress.say(f"lab: all is planted, {time.monotonic() - began:.0f} s after the start")
                return lab
        except BaseException:
            machine.end(lab.pid, folder)
            raise
        machine.end(lab.pid, folder)
        progress.say(f"lab: it did not boot with {accel}")
    why = machine.last_words(folder)
    raise LabFailed(f"lab {folder.name} did not boot", where=str(folder / "console.log"), why=why)


def _hidden_module(
    recipe: Recipe, drawn: plan.Plan, base: image.Image, progress: Progress
) -> tuple[bytes, Mapping[str, str]]:
    """Make the module that hides; b"" and the reason when it cannot be made: the lab comes up without it."""
    if HIDDEN_MODULE not in recipe.planted:
        return b"", {}
    try:
        return kernel_module.named(kernel_module.obtain(recipe, base, progress), drawn.module), {}
    except (ForensicsError, OSError) as problem:
        progress.say(f"lab: the kernel module that hides is not planted: {problem}")
        return b"", {HIDDEN_MODULE: str(problem)}


def _accelerators(wanted: str) -> tuple[str, ...]:
    if wanted != "auto":
        return (wanted,)
    return ("kvm", "tcg") if os.access("/dev/kvm", os.R_OK | os.W_OK) else ("tcg",)


def _furnish(folder: Path, recipe: Recipe, drawn: plan.Plan, base: image.Image, module: bytes) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    for name, comment in (("id_ed25519", "lab"), ("host_key", drawn.hostname)):
        key = ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(folder / name)]
        programs.run("ssh-keygen", *key, what="make a key")
    password = secrets.token_urlsafe(15)
    write_private(folder / "password", password + "\n")
    facts = [fact for fact in recipe.planted if module or fact != HIDDEN_MODULE]
    planted = planting.files(drawn, facts, module) if recipe.incident else planting.near_misses(drawn)
    disk.prepare(folder / "disk.img", base, drawn, planted, keys=folder, password=password)


def _start(  # noqa: PLR0917 - what a machine is started with, and whether it outlives us
    folder: Path,
    recipe: Recipe,
    drawn: plan.Plan,
    base: image.Image,
    accel: str,
    lacking: Mapping[str, str],
    *,
    dies_with_us: bool,
) -> Lab:
    port, pid = machine.start(recipe, base, folder, accel, dies_with_us=dies_with_us)
    lab = Lab(folder.name, folder, port, pid, recipe, drawn.hostname, lacking)
    try:
        host_key = " ".join((folder / "host_key.pub").read_text(encoding="utf-8").split()[:2])
        write_private(folder / "known_hosts", f"[127.0.0.1]:{port} {host_key}\n")
        save(lab)
    except BaseException:
        machine.end(pid, folder)
        raise
    return lab


def _answers(lab: Lab, seconds: float) -> bool:
    return machine.wait_until(lambda: not lab.runs or boot_id(lab) != "", seconds) and lab.runs


def _settle(lab: Lab, drawn: plan.Plan) -> None:
    """Wait until the machine has started all it was to start, and write the truth as it shows it."""
    ask(lab, "systemctl is-system-running --wait || true", seconds=BOOT_SECONDS)
    view = truth.read(ask(lab, "perl -", stdin=truth.LOOK, seconds=BOOT_SECONDS))
    if lab.recipe.incident:
        tell = truth.tell(drawn, lab.recipe.planted, view, lab.lacking)
    else:
        tell = truth.tell_near_misses(drawn, view)
    write_private(lab.truth, json.dumps(tell, indent=1) + "\n")
