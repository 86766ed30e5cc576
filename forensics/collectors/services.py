"""Services as systemd knows them: what runs, from which file, started how, by whom."""

from __future__ import annotations

import re

from forensics import records
from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.tables import Absent, Cell, Column, Table

_ASKED = (
    *("Id", "Description", "ActiveState", "SubState", "UnitFileState", "FragmentPath", "DropInPaths"),
    *("MainPID", "User", "ExecStart", "OOMScoreAdjust"),
)
_ARGV = re.compile(r"\bargv\[\]=(.*?) ; ")
_COLUMNS = (
    Column("unit"),
    Column("state"),
    Column("enabled"),
    Column("pid", "integer"),
    Column("user"),
    Column("command"),
    Column("file"),
    Column("changed_by"),
    Column("oom_score_adj", "integer"),
    Column("description"),
)
_NONE = Absent("systemd does not tell it")


class Services(Collector[Bounds]):
    """Services that systemd has loaded."""

    name = "services"
    title = "Services"
    volatility = 43
    program = "systemctl"
    package = "systemd"
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Ask for all loaded services with a few properties each."""
        wanted = f"--property={','.join(_ASKED)}"
        return (Command("services", ("systemctl", "show", "--no-pager", wanted, "*.service"), settings.limits),)

    def read(self, output: Output) -> Reading:
        """Make the table `services`."""
        found, bad = records.blocks(output.part("services"))
        rows = tuple(_row(block) for block in found if block.get("Id"))
        lost = sum(not block.get("Id") for block in found)
        return Reading((Table("services", "Services", _COLUMNS, rows),), {"services": bad + lost})


def _row(block: dict[str, str]) -> tuple[Cell, ...]:
    state = f"{block.get('ActiveState', '?')} ({block.get('SubState', '?')})"
    pid = block.get("MainPID", "")
    command = " && ".join(_ARGV.findall(block.get("ExecStart", "")[:20_000])) or _NONE
    return (
        block["Id"],
        state,
        block.get("UnitFileState") or _NONE,
        int(pid) if re.fullmatch(r"[1-9]\d{0,9}", pid, re.ASCII) else Absent("it does not run"),
        block.get("User") or _NONE,
        command,
        block.get("FragmentPath") or _NONE,
        block.get("DropInPaths") or _NONE,
        _number(block.get("OOMScoreAdjust", "")),
        block.get("Description", ""),
    )


def _number(words: str) -> Cell:
    return int(words) if re.fullmatch(r"-?\d{1,5}", words, re.ASCII) else _NONE


COLLECTOR = Services()
