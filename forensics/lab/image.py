"""The disk image that labs begin from: made once for each recipe, kept in the cache.

A cached image is a folder named by the recipe's digest: `disk.img` (ext4, no partitions), `vmlinuz`, `initrd.img` and
`shadow`. It is made under a temporary name and renamed when it is whole, under a lock, so that it is there or not.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from forensics.errors import LabFailed
from forensics.lab import programs
from forensics.lab.recipe import PACKAGES, Recipe
from forensics.progress import Progress

_MERGE = 'for d in bin sbin lib lib32 lib64 libx32; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'
"""What debootstrap does before it installs anything (setup_merged_usr)."""


@dataclass(frozen=True, slots=True)
class Image:
    """A disk that labs copy, with the kernel and initrd that QEMU starts."""

    folder: Path

    @property
    def disk(self) -> Path:
        """An ext4 file system without partitions."""
        return self.folder / "disk.img"

    @property
    def kernel(self) -> Path:
        """What QEMU starts."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """What the kernel finds its disk with."""
        return self.folder / "initrd.img"

    @property
    def shadow(self) -> Path:
        """The image's /etc/shadow, which the disk itself does not have: each lab writes its own."""
        return self.folder / "shadow"


def cache_folder() -> Path:
    """Tell where images are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "forensics" / "lab"


def obtain(recipe: Recipe, progress: Progress, *, rebuild: bool = False) -> Image:
    """Give the image of a recipe, made now if the cache does not have it (or `rebuild` asks for it).

    Raises ToolMissing for a program that is absent, LabFailed when the image could not be made.
    """
    image = Image(cache_folder() / recipe.image_digest)
    with locked(image.folder):
        if image.folder.exists() and not rebuild:
            return image
        _sweep(image.folder)
        _make(recipe, image, progress)
    return image


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others off an image of the cache, and what is kept beside it, for the time of the block."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(folder: Path) -> None:
    """Take away what a killed attempt left; we hold the lock, so nobody works there."""
    for debris in folder.parent.glob(f"{folder.name}.making-*"):
        _remove(debris)


def _remove(folder: Path) -> None:
    # A killed bootstrap may have left /proc mounted in there: never go across file systems.
    subprocess.run([shutil.which("rm") or "rm", "-rf", "--one-file-system", str(folder)], check=False)


def _make(recipe: Recipe, image: Image, progress: Progress) -> None:
    if os.geteuid() != 0:
        raise LabFailed(
            "the lab's disk image can be made by root only",
            why="it holds files of many owners",
            remedy="make it once as root with the same cache (sudo -E), then labs need no root",
        )
    work = Path(tempfile.mkdtemp(prefix=f"{image.folder.name}.making-", dir=image.folder.parent))
    try:
        made = work / "image"
        made.mkdir()
        _bootstrap(recipe, work / "tree", progress)
        progress.say("lab: writing the disk image")
        _take_out(recipe, work / "tree", Image(made))
        _write_disk(work / "tree", made / "disk.img", recipe.disk)
        _remove(image.folder)
        made.rename(image.folder)
    finally:
        _remove(work)


def _bootstrap(recipe: Recipe, tree: Path, progress: Progress) -> None:
    progress.say(f"lab: bootstrapping Debian {recipe.suite} with linux-image-{recipe.flavour} (once, a minute or two)")
    try:
        _mmdebstrap(recipe, tree)
    except LabFailed as failed:
        if recipe.mirror or "Failed to fetch" not in failed.why:
            raise
        # The security archive of a suite that is no longer served loses files that its lists still name.
        progress.say(f"lab: the archive lacks a package of {recipe.suite}'s security updates: going on without these")
        _remove(tree)
        _mmdebstrap(recipe, tree, '--setup-hook=sed -i /security/d "$1"/etc/apt/sources.list')


def _mmdebstrap(recipe: Recipe, tree: Path, *options: str) -> None:
    packages = ",".join([*PACKAGES, *recipe.packages, f"linux-image-{recipe.flavour}"])
    setup = resources.files("forensics.lab").joinpath("guest", "setup.sh")
    with resources.as_file(setup) as script:
        hook = f'--customize-hook=sh {_quoted(script)} "$1"'
        chosen = ["--variant=minbase", "--format=directory", f"--include={packages}", hook, *options]
        if recipe.is_to_be_merged:
            chosen.append(f"--setup-hook={_MERGE}")
        mirror = [recipe.mirror] if recipe.mirror else []
        what = f"bootstrap Debian {recipe.suite}"
        programs.run("mmdebstrap", *chosen, recipe.suite, str(tree), *mirror, what=what)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def _take_out(recipe: Recipe, tree: Path, image: Image) -> None:
    for name, copy in (("vmlinuz", image.kernel), ("initrd.img", image.initrd)):
        found = sorted((tree / "boot").glob(f"{name}-*{recipe.flavour}"))
        if not found:
            raise LabFailed(f"the bootstrapped system has no /boot/{name}", where=recipe.suite)
        shutil.copyfile(found[-1], copy)
    shutil.move(tree / "etc" / "shadow", image.shadow)
    image.shadow.chmod(0o600)


def _write_disk(tree: Path, disk: Path, mebibytes: int) -> None:
    # Tables are written now, not by the guest's lazy initialisation; no feature that the kernel of bullseye lacks.
    now = "lazy_itable_init=0,lazy_journal_init=0"
    old = "^orphan_file,^metadata_csum_seed"
    options = ["-q", "-t", "ext4", "-L", "root", "-m", "1", "-E", now, "-O", old, "-d", str(tree)]
    programs.run("mke2fs", *options, str(disk), f"{mebibytes}M", what="write the disk image")
