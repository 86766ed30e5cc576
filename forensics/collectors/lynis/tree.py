"""Our own copy of Lynis as one archive: from the package installed here, or downloaded and only unpacked."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from forensics.errors import ToolMissing
from forensics.model import JSON

_REMEDY = "install the package lynis on this machine (its files are used; nothing is installed on the target)"
SHARE = "usr/share/lynis"
_PLACES = ("usr/sbin/lynis", "etc/lynis/default.prf", SHARE)


def pack(archive: Path) -> Mapping[str, JSON]:
    """Write the archive: owned by root, in a fixed order, without times, so that one package gives one digest.

    The file is for its owner alone from its first byte on. Gives where it came from. ToolMissing when there is no
    Lynis here and none can be downloaded.
    """
    root, origin = _root()
    digest = hashlib.sha256()
    with (
        open(archive, "xb", opener=_for_owner) as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for path, name in sorted(_files(root), key=lambda pair: pair[1]):
            _add(tar, path, name)
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return {"origin": origin, "content_sha256": digest.hexdigest()}


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def here() -> Path | None:
    """Give the root of the package's tree where it is on this machine, installed or kept; nothing is downloaded."""
    return next((root for root in (Path("/"), _kept()) if _whole(root)), None)


def _root() -> tuple[Path, str]:
    """Find the package's tree: installed, kept from before, or downloaded now."""
    root = here()
    if root is None:
        root = _kept()
        _download(root)
    if root == Path("/"):
        return root, "package lynis as installed on the analyst's machine"
    return root, "package lynis, downloaded and unpacked on the analyst's machine"


def _kept() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forensics" / "lynis"


def _whole(root: Path) -> bool:
    return all((root / place).exists() for place in (*_PLACES, f"{SHARE}/include/functions"))


def _download(kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as name:
        folder = Path(name)
        _tool(folder, "apt-get", "download", "lynis")
        for package in folder.glob("lynis_*.deb"):
            _tool(folder, "dpkg-deb", "-x", str(package), "tree")
        if not _whole(folder / "tree"):
            raise ToolMissing("the package lynis does not hold what it should", remedy=_REMEDY)
        shutil.rmtree(kept, ignore_errors=True)
        (folder / "tree").rename(kept)


def _tool(folder: Path, *argv: str) -> None:
    try:
        subprocess.run(argv, cwd=folder, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissing(
            "Lynis is not on this machine and could not be downloaded", why=str(error), remedy=_REMEDY
        ) from error


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    yield root / "usr/sbin/lynis", "lynis"
    yield root / "etc/lynis/default.prf", "default.prf"
    share = root / SHARE
    for path in share.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path, str(path.relative_to(share))


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = path.stat().st_size
    entry.mode = 0o750 if name == "lynis" else 0o640
    entry.uname = entry.gname = "root"
    with path.open("rb") as file:
        tar.addfile(entry, file)
