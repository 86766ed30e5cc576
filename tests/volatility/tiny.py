"""A kernel of three tasks in a 4 MiB LiME image, with its symbol table: enough for Volatility to list them.

Written from x86-64's page tables (Intel SDM 3A, 4.5), the VMCOREINFO note (kernel/crash_core.c) and LiME's header.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BASE = 0xFFFFFFFF80000000
SIZE = 4 << 20
BANNER = b"Linux version 6.1.0-tiny (who@where) (gcc 12) #1 SMP (2026-01-01)\n\x00"
PGD, INIT_TASK, TASKS, CREDS, BANNER_AT, NOTE_AT = 0x1000, 0x100000, 0x101000, 0x120000, 0x130000, 0x140000
FILES, LEVELS_AT = 0x150000, 0x160000
PRESENT, LARGE = 0x3, 0x83


@dataclass(frozen=True)
class Task:
    pid: int
    ppid: int
    comm: bytes
    uid: int = 0


THREE = (Task(1, 0, b"systemd"), Task(2, 0, b"kthreadd"), Task(77, 1, b"sh\x1b[2J\xff", 1000))


def image(
    path: Path,
    tasks: Sequence[Task] = THREE,
    banner: bytes = BANNER,
    note: Mapping[str, str] | None = None,
    levels: int = 4,
) -> Path:
    memory = bytearray(SIZE)
    _page_tables(memory, levels)
    struct.pack_into("<I", memory, LEVELS_AT, levels == 5)
    _tasks(memory, tasks)
    memory[BANNER_AT : BANNER_AT + len(banner)] = banner
    words = {
        "OSRELEASE": banner.split(b" ")[2].decode(),
        "PAGESIZE": "4096",
        "SYMBOL(swapper_pg_dir)": f"{BASE + PGD:x}",
        "NUMBER(phys_base)": "0",
        "KERNELOFFSET": "0",
        **(note or {}),
    }
    text = "".join(f"{name}={value}\n" for name, value in words.items()).encode()
    note_bytes = struct.pack("<III", 11, len(text), 0) + b"VMCOREINFO\0\0" + text
    memory[NOTE_AT : NOTE_AT + len(note_bytes)] = note_bytes
    path.write_bytes(struct.pack("<IIQQ8x", 0x4C694D45, 1, 0, SIZE - 1) + memory)
    return path


def _page_tables(memory: bytearray, levels: int) -> None:
    top = 0x4000 if levels == 5 else 0x2000
    for at, entry in (
        (PGD + 511 * 8, top | PRESENT),
        (0x4000 + 511 * 8, 0x2000 | PRESENT),
        (0x2000 + 510 * 8, 0x3000 | PRESENT),
        (0x3000, 0 | LARGE),
        (0x3008, 0x200000 | LARGE),
    ):
        struct.pack_into("<Q", memory, at, entry)


def _tasks(memory: bytearray, tasks: Sequence[Task]) -> None:
    places = [INIT_TASK, *(TASKS + 0x1000 * index for index in range(len(tasks)))]
    at = {0: INIT_TASK} | {task.pid: place for task, place in zip(tasks, places[1:], strict=True)}
    everyone = [Task(0, 0, b"swapper/0"), *tasks]
    for index, (task, place) in enumerate(zip(everyone, places, strict=True)):
        around = places[(index + 1) % len(places)], places[index - 1]
        struct.pack_into("<QQiiI", memory, place, BASE + around[0], BASE + around[1], task.pid, task.pid, 0)
        struct.pack_into("<QQ", memory, place + 48, BASE + at[task.ppid], BASE + CREDS + 0x100 * index)
        memory[place + 64 : place + 64 + len(task.comm)] = task.comm
        struct.pack_into("<Q", memory, place + 80, BASE + FILES)
        struct.pack_into("<IIII", memory, CREDS + 0x100 * index, *[task.uid] * 4)


def table(path: Path, banner: bytes = BANNER, producer: str = "tiny") -> Path:
    """A symbol table with the types that Volatility insists on, and the fields that pslist reads."""
    addresses = {"init_task": INIT_TASK, "init_top_pgt": PGD, "swapper_pg_dir": PGD, "init_mm": 0}
    addresses |= {"init_files": FILES, "__pgtable_l5_enabled": LEVELS_AT}
    symbols: dict[str, object] = {name: {"address": BASE + at} for name, at in addresses.items()}
    symbols["init_task"] = {"address": BASE + INIT_TASK, "type": {"kind": "struct", "name": "task_struct"}}
    constant = base64.b64encode(banner).decode()
    symbols["linux_banner"] = {"address": BASE + BANNER_AT, "constant_data": constant}
    told = {
        "metadata": {"format": "6.2.0", "producer": {"name": producer, "version": "1.0.0"}, "linux": {}},
        "base_types": _base_types(),
        "user_types": _user_types(),
        "enums": {},
        "symbols": symbols,
    }
    path.write_text(json.dumps(told))
    return path


def _base_types() -> dict[str, object]:
    sizes = {
        "void": (0, "void"),
        "pointer": (8, "int"),
        "int": (4, "int"),
        "char": (1, "char"),
        "unsigned int": (4, "int"),
    }
    sizes["long unsigned int"] = (8, "int")
    signed = {"int", "char"}
    return {
        name: {"size": size, "signed": name in signed, "kind": kind, "endian": "little"}
        for name, (size, kind) in sizes.items()
    }


_INSISTED = [
    "file",
    "list_head",
    "hlist_head",
    "mm_struct",
    "super_block",
    "task_struct",
    "vm_area_struct",
    "qstr",
    "dentry",
    "fs_struct",
    "files_struct",
    "kobject",
    "cred",
    "inode",
    "idr",
    "address_space",
    "page",
    "vfsmount",
    "net",
    "socket",
    "sock",
    "inet_sock",
    "unix_sock",
    "net_device",
    "in_device",
    "in_ifaddr",
    "inet6_dev",
    "inet6_ifaddr",
]


def _user_types() -> dict[str, object]:
    def base(name: str) -> dict[str, object]:
        return {"kind": "base", "name": name}

    def pointer(name: str) -> dict[str, object]:
        return {"kind": "pointer", "subtype": {"kind": "struct", "name": name}}

    def struct_of(size: int, **fields: tuple[int, dict[str, object]]) -> dict[str, object]:
        placed = {name: {"offset": offset, "type": kind} for name, (offset, kind) in fields.items()}
        return {"kind": "struct", "size": size, "fields": placed}

    types: dict[str, object] = {name: struct_of(8) for name in _INSISTED}
    types["list_head"] = struct_of(16, next=(0, pointer("list_head")), prev=(8, pointer("list_head")))
    types["cred"] = struct_of(
        16, **{name: (4 * n, base("unsigned int")) for n, name in enumerate(("uid", "gid", "euid", "egid"))}
    )
    types["task_struct"] = struct_of(
        88,
        tasks=(0, {"kind": "struct", "name": "list_head"}),
        pid=(16, base("int")),
        tgid=(20, base("int")),
        flags=(24, base("unsigned int")),
        mm=(32, pointer("mm_struct")),
        active_mm=(40, pointer("mm_struct")),
        real_parent=(48, pointer("task_struct")),
        cred=(56, pointer("cred")),
        comm=(64, {"kind": "array", "count": 16, "subtype": base("char")}),
        files=(80, pointer("files_struct")),
    )
    return types
