"""Processes that lived throughout and that the image's list lacks: found where they are held, lost where they are not.

On a guest (6.1, 2026-11-26) one sshd of two live lists was not in the image's list. Volatility passes over a task whose
mm and active_mm differ at the moment in which they are read; made here in a tiny kernel.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from forensics.model import ClockOffset, LiveProcess
from forensics.views import lost
from forensics.volatility import listing
from forensics.volatility.listing import HeldProcess, MemoryProcess
from tests.known import facts
from tests.volatility import tiny

HEADS, SET = 0x180000, 0x190000
SYSTEMD = LiveProcess(1, 0, 0, "systemd", 1.0, kernel_thread=False)
SSHD = LiveProcess(77, 1, 0, "sshd", 90.0, kernel_thread=False)
TASKS = (*tiny.THREE[:2], tiny.Task(77, 1, b"sshd"))


def torn(folder: Path, *held: int) -> tuple[Path, Path]:
    """A tiny kernel whose task 77 is half changed; `held`: the tasks, by index, in its one set of control groups."""
    image, table = tiny.image(folder / "image.lime", TASKS), tiny.table(folder / "table.json")
    memory = bytearray(image.read_bytes())

    def put(at: int, *values: int) -> None:
        struct.pack_into(f"<{len(values)}Q", memory, 32 + at, *(tiny.BASE + one for one in values))

    put(tiny.TASKS + 0x2000 + 32, 0x170000, 0x171000)  # mm, active_mm
    put(HEADS + 8 * 5, SET)
    ring = [SET + 16, *(tiny.TASKS + 0x1000 * one + 88 for one in held)]
    for number, at in enumerate(ring):
        put(at, ring[(number + 1) % len(ring)], ring[number - 1])
    image.write_bytes(memory)
    told = json.loads(table.read_text())

    def struct_at(at: int, name: str) -> dict[str, object]:
        return {"offset": at, "type": {"kind": "struct", "name": name}}

    pointer = {"offset": 0, "type": {"kind": "pointer", "subtype": {"kind": "struct", "name": "hlist_node"}}}
    types = told["user_types"]
    types["hlist_node"] = {"kind": "struct", "size": 16, "fields": {"next": pointer}}
    members = {"hlist": struct_at(0, "hlist_node"), "tasks": struct_at(16, "list_head")}
    types["css_set"] = {"kind": "struct", "size": 32, "fields": members}
    types["task_struct"]["size"] = 112
    ended = {"offset": 104, "type": {"kind": "base", "name": "int"}}
    types["task_struct"]["fields"] |= {"cg_list": struct_at(88, "list_head"), "exit_state": ended}
    told["symbols"]["css_set_table"] = {"address": tiny.BASE + HEADS}
    table.write_text(json.dumps(told))
    return image, table


def test_a_process_that_the_list_passes_over_is_lost_only_when_nothing_holds_it(tmp_path: Path) -> None:
    image, table = torn(tmp_path, 0, 2)
    work = tmp_path / "held"
    work.mkdir()
    ways = listing.held(image, table, work)
    found = [MemoryProcess(one.pid, 0, 0, one.comm, None, 0) for one in ways if "list" in one.ways]
    assert [one.pid for one in found] == [1, 2]
    live = (SYSTEMD, SSHD)
    lived = lost.compare(found, live, live)
    assert lived.unlisted == lived.lost == (SSHD,)
    assert lost.figures(lived, found, live, live)["lost"] == [77]
    assert list(lived.words()) == []
    lived = lost.sought(lived, ways, facts())
    assert (lived.unlisted, lived.lost) == ((SSHD,), ())
    assert "77 (sshd) is in the image, held by the control groups, and not in its list" in " ".join(lived.words())
    told = lost.figures(lived, found, live, live)
    assert (told["lost"], told["lived_throughout"]) == ([], 2)
    assert told["held_elsewhere"] == {"77": ["the control groups"]}


def test_who_is_in_one_live_list_alone_is_not_missed() -> None:
    """A number that was used again is two processes, of which none lived throughout."""
    again = LiveProcess(77, 1, 1000, "cat", 95.0, kernel_thread=False)
    assert lost.compare((), (SYSTEMD, SSHD), (SYSTEMD, again)).unlisted == (SYSTEMD,)
    assert lost.compare((), (SYSTEMD, SSHD), (SYSTEMD,)).unlisted == (SYSTEMD,)
    assert lost.compare((), (SYSTEMD,), (SYSTEMD, SSHD)).unlisted == (SYSTEMD,)


@pytest.mark.parametrize(
    ("held", "same"),
    [
        (HeldProcess(77, SSHD.comm, None, ended=False, ways=("table",)), True),
        (HeldProcess(77, "other", None, ended=False, ways=("table",)), False),
        (HeldProcess(78, SSHD.comm, None, ended=False, ways=("table",)), False),
        (HeldProcess(77, SSHD.comm, None, ended=True, ways=("table",)), False),
        (HeldProcess(77, SSHD.comm, None, ended=False, ways=("list",)), False),
        (HeldProcess(77, SSHD.comm, None, ended=False, ways=()), False),
    ],
)
def test_only_the_very_process_alive_takes_its_place(held: HeldProcess, *, same: bool) -> None:
    lived = lost.sought(lost.compare((), (SSHD,), (SSHD,)), (held,), facts())
    assert (lived.lost == ()) is same


def test_a_later_process_of_the_same_number_does_not_take_its_place() -> None:
    known = facts(uptime=100.0, clock=ClockOffset(0.0, 0.0, "2026-11-26T00:10:00Z"))
    for started, same in (("2026-11-26T00:09:50Z", True), ("2026-11-26T00:10:30Z", False)):
        held = HeldProcess(77, SSHD.comm, started, ended=False, ways=("table",))
        assert (lost.sought(lost.compare((), (SSHD,), (SSHD,)), (held,), known).lost == ()) is same
