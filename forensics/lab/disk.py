"""A lab's own disk: a copy of the image, with what belongs to this machine alone written into it while it is off."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from forensics.errors import LabFailed
from forensics.lab import programs
from forensics.lab.image import Image
from forensics.lab.plan import Plan
from forensics.lab.planting import Planted
from forensics.text import show

ANALYST = 1000  # uid and gid that useradd gives the first account
SHADOW = 42  # gid of that group in Debian


def prepare(disk: Path, image: Image, plan: Plan, planted: Sequence[Planted], *, keys: Path, password: str) -> None:
    """Make `disk` from the image: names, host key, accounts and what is planted.

    `keys` is the folder with id_ed25519.pub and host_key. Raises LabFailed when anything could not be written.
    """
    programs.run("cp", "--sparse=always", "--reflink=auto", str(image.disk), str(disk), what="copy the disk image")
    disk.chmod(0o600)
    authorised = (keys / "id_ed25519.pub").read_bytes()
    own = [
        Planted("/etc/hostname", f"{plan.hostname}\n".encode()),
        Planted("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {plan.hostname}\n".encode()),
        Planted("/etc/machine-id", f"{plan.machine_id}\n".encode(), 0o444),
        Planted("/etc/ssh/ssh_host_ed25519_key", (keys / "host_key").read_bytes(), 0o600),
        Planted("/etc/ssh/ssh_host_ed25519_key.pub", (keys / "host_key.pub").read_bytes()),
        Planted("/etc/shadow", _shadow(image.shadow, password), 0o640),
        Planted("/root/.ssh/authorized_keys", authorised, 0o600),
        Planted("/home/analyst/.ssh/authorized_keys", authorised, 0o600),
    ]
    _write(disk, [*own, *planted], plan.service)


def _shadow(base: Path, password: str) -> bytes:
    """Set the password of `analyst` in what the image had as /etc/shadow."""
    digest = programs.run(
        "openssl", "passwd", "-6", "-stdin", what="hash the analyst's password", stdin=f"{password}\n".encode()
    )
    lines = [line.split(":") for line in base.read_text(encoding="utf-8").splitlines()]
    changed = [
        [name, digest.decode().strip(), *rest] if name == "analyst" else [name, old, *rest]
        for name, old, *rest in lines
    ]
    return "".join(":".join(fields) + "\n" for fields in changed).encode()


def _write(disk: Path, files: Iterable[Planted], service: str) -> None:
    with tempfile.TemporaryDirectory(prefix="forensics-lab-") as folder:
        orders = list(_orders(files, Path(folder)))
        unit = f"/etc/systemd/system/{service}.service"
        orders.append(f"symlink /etc/systemd/system/multi-user.target.wants/{service}.service {unit}")
        script = Path(folder) / "orders"
        script.write_text("\n".join(orders) + "\n", encoding="utf-8")
        said = programs.run("debugfs", "-w", "-f", str(script), str(disk), what="write to the lab's disk")
    # debugfs ends with 0 whatever happened: what it says beyond its own prompt and receipts is a complaint.
    complaints = [line for line in said.decode(errors="replace").splitlines() if not _is_receipt(line)]
    if complaints:
        raise LabFailed("could not write to the lab's disk", where=str(disk), why=show(complaints[0], 300))


def _is_receipt(line: str) -> bool:
    return line.startswith(("debugfs", "Allocated inode:")) or not line.strip()


def _orders(files: Iterable[Planted], folder: Path) -> Iterable[str]:
    made: set[str] = set()
    for number, file in enumerate(files):
        source = folder / str(number)
        source.write_bytes(file.content)
        parent = str(PurePosixPath(file.path).parent)
        if parent.startswith("/usr/local/lib/") and parent not in made:
            made.add(parent)
            yield f"mkdir {parent}"
        yield f"write {source} {file.path}"
        yield f"set_inode_field {file.path} mode 0100{file.mode:03o}"
        owner = ANALYST if file.path.startswith("/home/analyst/") else 0
        yield f"set_inode_field {file.path} uid {owner}"
        yield f"set_inode_field {file.path} gid {SHADOW if file.path == '/etc/shadow' else owner}"
