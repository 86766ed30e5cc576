"""The kernel module that an incident hides: compiled once for the kernel of an image, and given its name in each lab.

It is made as the pipeline makes its own module for a target: with the distribution's headers of exactly that release,
in a closed room. It is kept beside the image, under a name that tells its source apart.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from forensics.errors import ForensicsError, LabFailed
from forensics.lab.image import Image, locked
from forensics.lab.recipe import Recipe
from forensics.lime import apt, trees
from forensics.lime import headers as kernel_headers
from forensics.lime.apt import AptSource
from forensics.lime.headers import Headers
from forensics.lime.room import Room
from forensics.lime.trees import Wanted
from forensics.progress import Progress
from forensics.text import show

_NAME = "name_of_a_module"
"""Stands for the module's name when it is compiled; no lab's name is longer."""
_BUILD = f"obj-m := {_NAME}.o\n"
_FLAGS = "KCFLAGS=-g0"
"""Without debugging symbols: they would tell where it was compiled."""
_VERSION_AT = 0x20E  # Documentation/arch/x86/boot.rst: kernel_version, an offset behind 0x200


@dataclass(frozen=True, slots=True)
class Kernel:
    """Which kernel an image boots."""

    release: str  # 6.1.0-56-cloud-amd64
    package: str  # version of the package that it came in, "" when it does not tell


def kernel_of(image: Path) -> Kernel:
    """Read from a bzImage which kernel it is; LabFailed when it does not say."""
    head = image.read_bytes()[:0x10000]
    at = int.from_bytes(head[_VERSION_AT : _VERSION_AT + 2], "little") + 0x200
    words = head[at : at + 512].partition(b"\0")[0].decode("ascii", "replace")
    release = re.match(r"[\w.+~-]+", words)
    if head[0x202:0x206] != b"HdrS" or not release:
        raise LabFailed("the kernel of the image does not tell its release", where=str(image))
    package = re.search(r"\bDebian (\d\S*)", words)
    return Kernel(release[0], package[1] if package else "")


def obtain(recipe: Recipe, image: Image, progress: Progress) -> bytes:
    """Give the module for the kernel of an image, made now when the cache has none.

    Raises LabFailed, or another error of ours, when it cannot be made; the lab then comes up without it.
    """
    source = resources.files("forensics.lab").joinpath("guest", "module.c").read_bytes()
    made_of = source + _BUILD.encode() + _FLAGS.encode()
    kept = image.folder / f"module-{hashlib.sha256(made_of).hexdigest()[:16]}.ko"
    with locked(image.folder):
        if not kept.exists():
            progress.say("lab: compiling a kernel module for the image's kernel (once)")
            with tempfile.TemporaryDirectory(prefix="forensics-lab-module-", ignore_cleanup_errors=True) as work:
                made = _compile(recipe, kernel_of(image.kernel), source, Path(work))
                shutil.copyfile(made, kept.with_suffix(".new"))
            kept.with_suffix(".new").rename(kept)
    return kept.read_bytes()


def named(module: bytes, name: str) -> bytes:
    """Give the module this name: wherever the compiled one has its own, the new one stands, filled up with zeros."""
    if len(name) > len(_NAME):
        raise LabFailed(f"too long for a module: {name}")
    return module.replace(_NAME.encode(), name.encode().ljust(len(_NAME), b"\0"))


def _compile(recipe: Recipe, kernel: Kernel, source: bytes, work: Path) -> Path:
    headers = _headers(recipe, kernel, work)
    folder = work / "module"
    folder.mkdir()
    (folder / f"{_NAME}.c").write_bytes(source)
    (folder / "Kbuild").write_text(_BUILD, encoding="ascii")
    said = ""
    for room in _rooms(recipe, headers):
        compiler = headers.compiler if headers.compiler and room.has(headers.compiler) else "gcc"
        command = ("make", "-C", str(headers.tree), f"M={folder}", f"CC={compiler}", _FLAGS, "modules")
        said = room.run(command, folder, headers.places).stdout
        if (made := folder / f"{_NAME}.ko").is_file():
            return made
    why = show(said.strip()[-400:]) or "make said nothing"
    raise LabFailed(f"no module could be compiled for {kernel.release}", why=why)


def _headers(recipe: Recipe, kernel: Kernel, work: Path) -> Headers:
    found = kernel_headers.installed(kernel.release)
    if found is None:
        found = kernel_headers.packaged(_archives(recipe), kernel.release, kernel.package, work)
    if found is None:
        raise LabFailed(
            f"no module can be compiled for {kernel.release}",
            why="no source of packages has its headers any more",
            remedy=f"forensics lab up --rebuild takes today's kernel; wanted: {kernel_headers.wanted(kernel.release)}",
        )
    return found


def _archives(recipe: Recipe) -> AptSource:
    if recipe.mirror:
        return AptSource((apt.given_archive(recipe.mirror, "debian", (recipe.suite,)),), "amd64")
    # The same suites as the pipeline's own build asks for, so that the lists are fetched once for both.
    return AptSource(apt.configured_archives("debian", (recipe.suite, "sid")), "amd64")


def _rooms(recipe: Recipe, headers: Headers) -> Iterator[Room]:
    """Give the places to compile in: here, where the kernel's own compiler is here; else its suite's own programs."""
    if not headers.compiler or Room().has(headers.compiler):
        yield Room()
    try:
        wanted = Wanted("debian", recipe.suite, "amd64", headers.compiler or "gcc", headers.needs)
        yield trees.bootstrap(wanted, _archives(recipe).archives)
    except ForensicsError:
        yield Room()
