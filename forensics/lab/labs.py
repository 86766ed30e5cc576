"""Labs by name below a root folder: up, down, status, and how to reach one.

A lab's folder, `<root>/.lab/<name>/`, has id_ed25519 (for root and analyst), known_hosts (the pinned host key), password
(the analyst's), truth.json, console.log and state.json. Nothing outside this package reads the truth.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import LabFailed, UsageError
from forensics.lab import disk, image, machine, plan, planting, programs, truth
from forensics.lab.recipe import Recipe
from forensics.model import Target
from forensics.progress import Progress, Silent
from forensics.text import show

BOOT_SECONDS = 240
"""How long a machine may take until it has started all its services; an emulated one takes about 20 s."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A machine that was started."""

    name: str
    folder: Path
    port: int
    pid: int
    recipe: Recipe
    hostname: str

    @property
    def truth(self) -> Path:
        return self.folder / "truth.json"

    @property
    def password(self) -> Path:
        """The file with the analyst's password; one line."""
        return self.folder / "password"

    @property
    def label(self) -> str:
        """The name of this machine as a target."""
        return "lab" if self.name == "lab" else f"lab:{self.name}"

    @property
    def runs(self) -> bool:
        return machine.runs(self.pid, self.folder)


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

    With `dies_with_us` it is ended when the calling thread ends. Raises UsageError when a lab of this name runs,
    ToolMissing, and LabFailed when the machine did not come up; then no QEMU is left.
    """
    recipe, progress = recipe or Recipe(), progress or Silent()
    folder = folder_of(root, name)
    if (found := load(root, name)) and found.runs:
        raise UsageError(f"lab {name} runs already", remedy=f"forensics lab down {name}, or another --name")
    base = image.obtain(recipe, progress, rebuild=rebuild)
    drawn = plan.draw(recipe.seed)
    _furnish(folder, recipe, drawn, base)
    lab = _start(folder, recipe, drawn, base, progress, dies_with_us=dies_with_us)
    try:
        _wait(lab, progress)
        _write_truth(lab, drawn)
    except BaseException:
        machine.end(lab.pid, lab.folder)
        (folder / "disk.img").unlink(missing_ok=True)
        raise
    return lab


def down(root: Path, name: str = "lab") -> bool:
    """End a lab's QEMU and remove its disk and secrets; truth and console stay. False when it did not run."""
    lab = load(root, name)
    if lab is None:
        return False
    ended = machine.end(lab.pid, lab.folder)
    kept = {"truth.json", "console.log"}
    for file in lab.folder.iterdir():
        if file.name not in kept:
            file.unlink()
    return ended


def status(root: Path) -> list[Lab]:
    """Give every lab below this root that was started and not taken down; `runs` says whether its QEMU lives."""
    folders = sorted((root / ".lab").glob("*/state.json"))
    return [lab for file in folders if (lab := load(root, file.parent.name))]


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


def folder_of(root: Path, name: str) -> Path:
    """Tell where a lab's files are; UsageError when the name cannot be one."""
    if not (name.isascii() and name.replace("-", "").isalnum() and len(name) <= 40 and name[0] != "-"):
        raise UsageError(f"not a name for a lab: {show(name, 60)}", remedy="letters, digits and hyphens, 40 at most")
    return root.absolute() / ".lab" / name


def load(root: Path, name: str) -> Lab | None:
    """Read the state of a lab; None when it was not started or was taken down."""
    folder = folder_of(root, name)
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    recipe = state["recipe"]
    recipe["without"] = tuple(recipe["without"])
    return Lab(name, folder, state["port"], state["pid"], Recipe(**recipe), state["hostname"])


def resolve(root: Path, label: str, user: str = "root") -> Target:
    """Tell how the target `lab` or `lab:NAME` is reached; LabFailed when it does not run."""
    name = label.partition(":")[2] or "lab"
    lab = load(root, name)
    if lab is None or not lab.runs:
        up_again = "forensics lab up" + (f" --name {name}" if name != "lab" else "")
        raise LabFailed(f"lab {name} is not up", where=str(folder_of(root, name)), remedy=up_again)
    return Target(
        label="lab" if name == "lab" else f"lab-{name}",
        address="127.0.0.1",
        port=lab.port,
        user=user,
        identities=(lab.folder / "id_ed25519",),
        known_hosts=(lab.folder / "known_hosts",),
    )


def ssh_command(lab: Lab, *command: str, user: str = "root") -> list[str]:
    """Write the command line of the system's ssh to a lab, its host key pinned, the user's configuration left out."""
    options = {
        "UserKnownHostsFile": f'"{lab.folder / "known_hosts"}"',
        "GlobalKnownHostsFile": "/dev/null",
        "IdentityFile": f'"{lab.folder / "id_ed25519"}"',
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": "20",
        "LogLevel": "ERROR",
    }
    settings = [word for key, value in options.items() for word in ("-o", f"{key}={value.replace('%', '%%')}")]
    return [programs.find("ssh"), "-F", "none", *settings, "-p", str(lab.port), f"{user}@127.0.0.1", *command]


def ask(lab: Lab, *command: str, stdin: bytes = b"", user: str = "root", seconds: float = 60) -> bytes:
    """Run a command line in the guest's shell and give its stdout; LabFailed when it ends otherwise than with 0."""
    try:
        done = subprocess.run(
            ssh_command(lab, *command, user=user), input=stdin, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as expired:
        raise LabFailed(f"lab {lab.name} did not answer within {seconds:.0f} s", where=" ".join(command)) from expired
    if done.returncode:
        why = f"it ended with {done.returncode}: {show(done.stderr[-600:])}"
        raise LabFailed(f"a command failed on lab {lab.name}", where=" ".join(command), why=why)
    return done.stdout


def reboot(lab: Lab) -> None:
    """Reboot the guest, wait until it is up again, and write the truth anew (its processes have other pids)."""
    before = boot_id(lab)
    subprocess.run(ssh_command(lab, "systemctl reboot"), capture_output=True, timeout=60, check=False)
    if not machine.wait_until(lambda: boot_id(lab) not in {"", before}, BOOT_SECONDS):
        raise LabFailed(f"lab {lab.name} did not come up again", why=machine.last_words(lab.folder))
    _wait(lab, Silent())
    _write_truth(lab, plan.draw(lab.recipe.seed))


def boot_id(lab: Lab) -> str:
    """Read which boot this is; "" when the machine does not answer."""
    try:
        return ask(lab, "cat /proc/sys/kernel/random/boot_id", seconds=20).decode().strip()
    except LabFailed:
        return ""


def _furnish(folder: Path, recipe: Recipe, drawn: plan.Plan, base: image.Image) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    for name, comment in (("id_ed25519", "lab"), ("host_key", drawn.hostname)):
        key = ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(folder / name)]
        programs.run("ssh-keygen", *key, what="make a key")
    password = secrets.token_urlsafe(15)
    _write_private(folder / "password", password + "\n")
    planted = planting.files(drawn, recipe.planted) if recipe.incident else planting.near_misses(drawn)
    disk.prepare(folder / "disk.img", base, drawn, planted, folder, password)


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _start(
    folder: Path, recipe: Recipe, drawn: plan.Plan, base: image.Image, progress: Progress, *, dies_with_us: bool
) -> Lab:
    port = machine.free_port()
    progress.say(f"lab: starting {drawn.hostname} on 127.0.0.1:{port} ({recipe.memory} MiB, {recipe.accel})")
    argv = machine.arguments(recipe, base, folder, port, recipe.accel)
    pid = machine.start(argv, folder, dies_with_us=dies_with_us)
    lab = Lab(folder.name, folder, port, pid, recipe, drawn.hostname)
    host_key = " ".join((folder / "host_key.pub").read_text(encoding="utf-8").split()[:2])
    _write_private(folder / "known_hosts", f"[127.0.0.1]:{port} {host_key}\n")
    state = {"port": port, "pid": pid, "recipe": recipe.as_json(), "hostname": drawn.hostname}
    _write_private(folder / "state.json", json.dumps(state, indent=1) + "\n")
    return lab


def _wait(lab: Lab, progress: Progress) -> None:
    """Wait until SSH answers and the machine has started all it was to start."""
    began = time.monotonic()

    def answers() -> bool:
        return not lab.runs or boot_id(lab) != ""

    if not machine.wait_until(answers, BOOT_SECONDS) or not lab.runs:
        raise LabFailed(
            f"lab {lab.name} did not boot", where=str(lab.folder / "console.log"), why=machine.last_words(lab.folder)
        )
    progress.say(f"lab: SSH answers after {time.monotonic() - began:.0f} s")
    settled = "systemctl is-system-running --wait || true"
    ask(lab, settled, seconds=BOOT_SECONDS)
    progress.say(f"lab: up after {time.monotonic() - began:.0f} s")


def _write_truth(lab: Lab, drawn: plan.Plan) -> None:
    view = truth.read(ask(lab, "perl -", stdin=truth.LOOK))
    facts: Sequence[truth.Fact] = (
        truth.tell(drawn, lab.recipe.planted, view) if lab.recipe.incident else truth.tell_near_misses(drawn, view)
    )
    _write_private(lab.truth, json.dumps(list(facts), indent=1) + "\n")
