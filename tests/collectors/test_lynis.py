"""Our own copy of Lynis: one archive, the same each time, for its owner alone."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

from forensics.collectors.lynis import tree


def test_the_archive_of_lynis_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        tree.pack(tmp_path / "lynis.tar.gz")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lynis.tar.gz").stat().st_mode) == 0o600


def test_one_package_gives_one_archive_to_the_byte(tmp_path: Path) -> None:
    first, second = (tree.pack(tmp_path / name)["content_sha256"] for name in ("one", "two"))
    assert first == second
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_archive_holds_the_program_owned_by_root_and_no_way_out(tmp_path: Path) -> None:
    tree.pack(tmp_path / "lynis.tar.gz")
    with tarfile.open(tmp_path / "lynis.tar.gz") as archive:
        members = archive.getmembers()
    assert {"lynis", "default.prf"} <= {member.name for member in members}
    assert all((member.uid, member.gid, member.mtime) == (0, 0, 0) for member in members)
    assert not [member.name for member in members if member.name.startswith("/") or ".." in Path(member.name).parts]
