"""Files that processes hold open, and those that were deleted while they are held or mapped."""

from __future__ import annotations

import re
from collections.abc import Iterator

from forensics import records
from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.tables import Cell, Column, Table
from forensics.text import decode

_FDS = r"exec find /proc/[0-9]*/fd -mindepth 1 -maxdepth 1 -type l -printf '%h\t%f\t%l\0'"
_DELETED = r"exec find -L /proc/[0-9]*/fd -mindepth 1 -maxdepth 1 -type f -links 0 -printf '%h\t%f\t%s\t%U\t%m\0'"
_MAPS = "exec grep -sHE '[(]deleted[)]$|/memfd:' /proc/[0-9]*/maps"
_MAPPING = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16}) (\S{4}) \S+ \S+ \S+ +(.*)", re.DOTALL)
_END = " (deleted)"
_OPEN = (Column("pid", "integer"), Column("fd", "integer"), Column("kind"), Column("path"), Column("deleted", "yes/no"))
_HELD = (
    Column("pid", "integer"),
    Column("fd", "integer"),
    Column("path"),
    Column("size", "bytes"),
    Column("owner", "integer"),
    Column("mode"),
)
_MAPPED = (
    Column("pid", "integer"),
    Column("path"),
    Column("regions", "integer"),
    Column("bytes", "bytes"),
    Column("executable", "yes/no"),
)


class OpenFiles(Collector[Bounds]):
    """Open files of every process from /proc, deleted ones with their size."""

    name = "open_files"
    title = "Open files"
    volatility = 13
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Read the links of all descriptors, ask which files have no name left, and which mapped ones."""
        limits = settings.limits
        return (
            Command("descriptors", ("sh", "-c", _FDS), limits, accepts=(0, 1)),
            Command("deleted", ("sh", "-c", _DELETED), limits, accepts=(0, 1), optional=True),
            Command("mapped", ("sh", "-c", _MAPS), limits, accepts=(0, 1, 2), optional=True),
        )

    def read(self, output: Output) -> Reading:
        """Make `open_files`, `deleted_open` and `deleted_mapped`."""
        found, bad = records.fields(output.part("descriptors"), 3)
        links: dict[tuple[int, int], str] = {}
        for folder, number, target in found:
            key = _key(folder, number)
            if key is None:
                bad += 1
            else:
                links[key] = target
        held, bad_held = _held(output.part("deleted"), links)
        mapped, bad_mapped = _mapped(output.part("mapped"))
        rows = tuple(
            (pid, fd, _kind(target), target, target.endswith(_END)) for (pid, fd), target in sorted(links.items())
        )
        return Reading(
            (
                Table("open_files", "Open files", _OPEN, rows),
                Table("deleted_open", "Deleted files that are held open", _HELD, tuple(held)),
                Table("deleted_mapped", "Deleted files that are mapped", _MAPPED, tuple(mapped)),
            ),
            {"descriptors": bad, "deleted": bad_held, "mapped": bad_mapped},
        )


def _key(folder: str, number: str) -> tuple[int, int] | None:
    pid = records.pid_of(folder)
    return (pid, int(number)) if pid is not None and re.fullmatch(r"\d{1,10}", number, re.ASCII) else None


def _kind(target: str) -> str:
    if target.startswith("/memfd:"):
        return "memory"
    if target.startswith("/dev/") and not target.startswith(("/dev/shm/", "/dev/mqueue/")):  # noqa: S108
        return "device"
    return "file" if target.startswith("/") else target.partition(":")[0][:32]


def _held(raw: bytes, links: dict[tuple[int, int], str]) -> tuple[list[tuple[Cell, ...]], int]:
    rows: list[tuple[Cell, ...]] = []
    found, bad = records.fields(raw, 5)
    for folder, number, size, owner, mode in found:
        key = _key(folder, number)
        if key is None or not all(re.fullmatch(r"\d{1,18}", word, re.ASCII) for word in (size, owner)):
            bad += 1
            continue
        rows.append((*key, links.get(key, "").removesuffix(_END), int(size), int(owner), mode))
    return rows, bad


def _mapped(raw: bytes) -> tuple[list[tuple[Cell, ...]], int]:
    regions: dict[tuple[int, str], list[tuple[int, bool]]] = {}
    bad = 0
    for line in raw.splitlines():
        path, _, words = decode(line).partition(":")
        pid, match = records.pid_of(path), _MAPPING.fullmatch(words)
        if pid is None or match is None:
            bad += 1
            continue
        length = max(0, int(match[2], 16) - int(match[1], 16))
        regions.setdefault((pid, match[4].removesuffix(_END)), []).append((length, "x" in match[3]))
    return list(_summed(regions)), bad


def _summed(regions: dict[tuple[int, str], list[tuple[int, bool]]]) -> Iterator[tuple[Cell, ...]]:
    for (pid, path), parts in regions.items():
        yield pid, path, len(parts), sum(length for length, _ in parts), any(runs for _, runs in parts)


COLLECTOR = OpenFiles()
