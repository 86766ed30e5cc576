"""Our own plugins: found beside Volatility's, in its own form, and right about structures written by hand."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forensics import tables
from forensics.model import Outcome
from forensics.volatility import DEFAULT, YARA, Ended, available
from forensics.volatility.plugins import OURS
from tests.volatility import tiny
from tests.volatility.conftest import Running

NAMES = {
    "linux.forensics.modules.ModuleViews",
    "linux.forensics.oom.OomState",
    "linux.forensics.processes.ProcessViews",
    "linux.forensics.routes.Routes",
}


def test_ours_are_listed_run_by_default_and_say_what_they_are_for() -> None:
    found = {one.name: one for one in available() if one.name.startswith("linux.forensics.")}
    assert set(found) == NAMES | {YARA}
    assert set(DEFAULT) >= NAMES
    assert all(one.purpose.endswith(".") and not one.why_not for one in found.values() if one.name != YARA)
    assert found[YARA].why_not == "it needs an argument: rules"


def test_stock_volatility_finds_them_in_the_folder_that_a_finding_names() -> None:
    code = (
        "import sys, volatility3.plugins as p; from volatility3 import framework as f;"
        "from volatility3.framework import constants as c;"
        "p.__path__ = [sys.argv[1]] + c.PLUGINS_PATH; f.import_files(p, True);"
        "print(chr(10).join(n for n in f.list_plugins() if n.startswith('linux.')))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(OURS)], capture_output=True, text=True, check=True, cwd="/"
    )
    assert set(done.stdout.split()) > NAMES | {YARA, "linux.pslist.PsList"}


BASE = tiny.BASE
TABLE_AT, MASK_AT, NAMESPACES, CHAINS, ROUTE, DEVICE = 0x150000, 0x150010, 0x150020, 0x151000, 0x152000, 0x153000
ROUTES = "linux.forensics.routes.Routes"


def struct_of(size: int, **fields: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "struct", "size": size, "fields": {n: {"offset": at, "type": t} for n, (at, t) in fields.items()}}


@pytest.fixture
def old_kernel(tmp_path: Path) -> tuple[Path, Path]:
    """A kernel with the route cache of 2.6 and 3.x (struct rtable of net/route.h): two entries in one chain."""
    image, table = tiny.image(tmp_path / "i.lime"), tiny.table(tmp_path / "t.json")
    memory = bytearray(image.read_bytes())

    def put(at: int, form: str, *values: Any) -> None:
        struct.pack_into(form, memory, 32 + at, *values)

    put(TABLE_AT, "<Q", BASE + CHAINS)
    put(MASK_AT, "<I", 3)
    put(NAMESPACES, "<QQ", BASE + NAMESPACES, BASE + NAMESPACES)
    put(CHAINS + 8, "<Q", BASE + ROUTE)
    for at, following, destination, gateway in (
        (ROUTE, BASE + ROUTE + 0x100, (192, 0, 2, 7), (10, 0, 2, 2)),
        (ROUTE + 0x100, BASE + ROUTE, (198, 51, 100, 9), (10, 0, 2, 3)),  # it leads back: a loop, as in torn memory
    ):
        put(at, "<QQ4B4B4BI", following, BASE + DEVICE, *destination, 10, 0, 2, 15, *gateway, 1)
    memory[32 + DEVICE : 32 + DEVICE + 5] = b"eth0\0"
    image.write_bytes(memory)
    told = json.loads(table.read_text())
    number: dict[str, Any] = {"kind": "base", "name": "unsigned int"}
    pointer = {"kind": "pointer", "subtype": {"kind": "struct", "name": "rtable"}}
    to_device = {"kind": "pointer", "subtype": {"kind": "struct", "name": "net_device"}}
    name = {"kind": "array", "count": 16, "subtype": {"kind": "base", "name": "char"}}
    numbers = {word: (16 + 4 * at, number) for at, word in enumerate(("rt_dst", "rt_src", "rt_gateway", "rt_type"))}
    told["user_types"] |= {
        "rt_hash_bucket": struct_of(8, chain=(0, pointer)),
        "dst_entry": struct_of(16, rt_next=(0, pointer), dev=(8, to_device)),
        "net_device": struct_of(16, name=(0, name)),
        "net": struct_of(16, list=(0, {"kind": "struct", "name": "list_head"})),
        "rtable": struct_of(32, dst=(0, {"kind": "struct", "name": "dst_entry"}), **numbers),
    }
    listed = {"kind": "struct", "name": "list_head"}
    for symbol, at in (("rt_hash_table", TABLE_AT), ("rt_hash_mask", MASK_AT), ("net_namespace_list", NAMESPACES)):
        told["symbols"][symbol] = {"address": BASE + at, "type": listed}
    table.write_text(json.dumps(told))
    return image, table


def test_the_route_cache_of_an_old_kernel_is_read_and_a_loop_in_it_ends(
    old_kernel: tuple[Path, Path], running: Running, tmp_path: Path
) -> None:
    image, table = old_kernel
    _, ended = running(ROUTES, image=image, table=table)
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.reason) == (Outcome.DONE, "")
    rows = tables.read(tmp_path / "rows" / f"{ROUTES}.jsonl")
    told = [[row[name] for name in ("Origin", "Destination", "Gateway", "Device", "Source", "Type")] for row in rows]
    assert told == [
        ["cache", "192.0.2.7/32", "10.0.2.2", "eth0", "10.0.2.15", "unicast"],
        ["cache", "198.51.100.9/32", "10.0.2.3", "eth0", "10.0.2.15", "unicast"],
    ]
