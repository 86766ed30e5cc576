"""Structures that the kernel was changing while the image was taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from forensics import tables
from forensics.model import Outcome
from forensics.volatility import Ended
from tests.volatility import tiny
from tests.volatility.conftest import Running
from tests.volatility.tiny_mounts import Mount, plant

MOUNTINFO = "linux.mountinfo.MountInfo"
Plugin = Callable[..., Path]


def mounts(running: Running, folder: Path, *planted: Mount) -> tuple[Ended, list[tables.Row]]:
    image, table = tiny.image(folder / "image.lime"), tiny.table(folder / "table.json")
    plant(image, table, [Mount(1, b"/", b"ext4", b"/dev/vda"), *planted])
    _, ended = running(MOUNTINFO, image=image, table=table)
    assert isinstance(ended, Ended)
    return ended, list(tables.read(folder / "rows" / f"{MOUNTINFO}.jsonl"))


def test_mounts_are_read_as_they_are(running: Running, tmp_path: Path) -> None:
    ended, rows = mounts(running, tmp_path, Mount(7, b"proc", b"proc", b"proc"), Mount(8, b"run", b"tmpfs"))
    assert (ended.outcome, ended.reason) == (Outcome.DONE, "")
    told = [(row["MOUNT ID"], row["MOUNT_POINT"], row["FSTYPE"], row["MOUNT_SRC"]) for row in rows]
    assert told == [(1, "/", "ext4", "/dev/vda"), (7, "/proc", "proc", "proc"), (8, "/run", "tmpfs", "none")]


def test_a_torn_superblock_costs_its_cell_and_no_other_mount(running: Running, tmp_path: Path) -> None:
    ended, rows = mounts(running, tmp_path, Mount(7, b"gone", b"nfs", torn="type"), Mount(8, b"run", b"tmpfs"))
    assert (ended.outcome, ended.facts["torn_rows"]) == (Outcome.DONE, 1)
    assert [row["MOUNT_POINT"] for row in rows] == ["/", "/gone", "/run"]
    assert rows[1]["FSTYPE"] == tables.Absent("not readable in the image")
    words = str(ended.facts["warnings"])
    assert "row 2 has no FSTYPE" in words
    assert "MOUNT_POINT /gone" in words


def test_a_mount_that_cannot_be_read_is_named_and_the_others_are_kept(running: Running, tmp_path: Path) -> None:
    ended, rows = mounts(running, tmp_path, Mount(7, b"gone", b"nfs", torn="parent"), Mount(8, b"run", b"tmpfs"))
    assert [row["MOUNT ID"] for row in rows] == [1, 8]
    assert ended.outcome is Outcome.PARTIAL
    assert ended.reason.startswith("1 could not be read and have no row: mount 7 (")


def test_a_value_of_another_kind_is_absent_in_any_plugin(running: Running, plugin: Plugin, tmp_path: Path) -> None:
    plugin("Mixed", "yield 0, (1, 'a')\nyield 0, (None, 'b')\nyield 0, (3, 4)\nyield 0, (5, 'd')")
    _, ended = running("mixed.Mixed")
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.facts["torn_rows"]) == (Outcome.DONE, 2)
    rows = [row[1:] for row in tables.read(tmp_path / "rows" / "mixed.Mixed.jsonl").rows]
    absent = tables.Absent("not readable in the image"), tables.Absent("not understood: int")
    assert rows == [(1, "a"), (absent[0], "b"), (3, absent[1]), (5, "d")]


def test_a_row_of_another_length_ends_the_plugin_with_its_rows_kept(running: Running, plugin: Plugin) -> None:
    plugin("Short", "yield 0, (1, 'a')\nyield 0, (2,)")
    _, ended = running("short.Short")
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.facts["rows"]) == (Outcome.PARTIAL, 1)
    assert "2 columns" in ended.reason
