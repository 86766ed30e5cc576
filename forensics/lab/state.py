"""A lab on disk: its folder, its state file, its name as a target.

`<root>/.lab/<name>/` has id_ed25519 (for root and analyst), known_hosts (the pinned host key), password (the
analyst's), truth.json, console.log and state.json. Nothing outside this package reads the truth.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forensics.errors import LabFailed, UsageError
from forensics.lab import machine
from forensics.lab.recipe import Recipe
from forensics.model import Target
from forensics.text import show


@dataclass(frozen=True, slots=True)
class Lab:
    """A machine that was started."""

    name: str
    folder: Path
    port: int  # of 127.0.0.1, leads to the guest's SSH server
    pid: int  # of its QEMU
    recipe: Recipe
    hostname: str
    lacking: Mapping[str, str] = field(default_factory=dict)  # facts that could not be planted, and why

    @property
    def truth(self) -> Path:
        """The file with what was planted."""
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
        """Whether its QEMU lives now."""
        return machine.runs(self.pid, self.folder)


def folder_of(root: Path, name: str) -> Path:
    """Tell where a lab's files are; UsageError when the name cannot be one."""
    if not (name.isascii() and name.replace("-", "").isalnum() and len(name) <= 40 and not name.startswith("-")):
        raise UsageError(f"not a name for a lab: {show(name, 60)}", remedy="letters, digits and hyphens, 40 at most")
    return root.resolve() / ".lab" / name


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other commands off this lab for the time of the block; LabFailed when one is at work on it."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            raise LabFailed(
                f"another command is at work on lab {folder.name}", where=str(folder), remedy="wait until it has ended"
            ) from busy
        yield


def save(lab: Lab) -> None:
    """Write the state file."""
    told = {"port": lab.port, "pid": lab.pid, "hostname": lab.hostname, "lacking": dict(lab.lacking)}
    state = {**told, "recipe": lab.recipe.as_json()}
    write_private(lab.folder / "state.json", json.dumps(state, indent=1) + "\n")


def load(root: Path, name: str) -> Lab | None:
    """Read the state of a lab; None when it was not started or was taken down."""
    folder = folder_of(root, name)
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        recipe = state["recipe"]
        recipe |= {name: tuple(recipe.get(name, ())) for name in ("packages", "without")}
        hostname, lacking = state["hostname"], state.get("lacking", {})
        return Lab(name, folder, state["port"], state["pid"], Recipe(**recipe), hostname, lacking)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as broken:
        where = str(folder / "state.json")
        remedy = "end its QEMU by hand if it runs, and remove the folder"
        raise LabFailed(
            f"the state of lab {name} cannot be read", where=where, why=str(broken), remedy=remedy
        ) from broken


def status(root: Path) -> list[Lab]:
    """Give every lab below this root that was started and not taken down; `runs` says whether its QEMU lives."""
    names = sorted(file.parent.name for file in (root / ".lab").glob("*/state.json"))
    return [lab for name in names if (lab := load(root, name))]


def resolve(root: Path, label: str, user: str = "root", *, gone: bool = False) -> Target:
    """Tell how the target `lab` or `lab:NAME` is reached; LabFailed when it does not run and is not said to be gone."""
    name = label.partition(":")[2] or "lab"
    lab = load(root, name)
    known = "lab" if name == "lab" else f"lab-{name}"
    if gone and (lab is None or not lab.runs):
        return Target(label=known, address="127.0.0.1", port=0, user=user)
    if lab is None or not lab.runs:
        again = "forensics lab up" + (f" --name {name}" if name != "lab" else "")
        raise LabFailed(f"lab {name} is not up", where=str(folder_of(root, name)), remedy=again)
    return Target(
        label=known,
        address="127.0.0.1",
        port=lab.port,
        user=user,
        identities=(lab.folder / "id_ed25519",),
        known_hosts=(lab.folder / "known_hosts",),
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, from its first moment on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
