"""Mounts in the tiny kernel: one namespace, a root and what is mounted in it, as fs/mount.h links them."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from tests.volatility.tiny import BASE, INIT_TASK, TASKS

HEADER = 32  # of LiME, before the only range
NSPROXY, NAMESPACE, FS, FIRST = 0x180000, 0x180100, 0x180200, 0x200000
NOWHERE = 0xFFFF_8880_0000_0000  # an address that no page table maps


@dataclass(frozen=True)
class Mount:
    number: int
    point: bytes
    kind: bytes
    device: bytes = b"none"
    torn: str = ""  # "type": its super block names no type any more; "parent": its parent is not in the image


def plant(image: Path, table: Path, mounts: list[Mount]) -> None:
    """Write the mounts into an image and their types into its table."""
    told = json.loads(table.read_text())
    told["user_types"] |= _types(told["user_types"]["task_struct"])
    told["base_types"]["unsigned int"]["signed"] = False
    table.write_text(json.dumps(told))
    memory = bytearray(image.read_bytes())
    for task in (INIT_TASK, *(TASKS + 0x1000 * index for index in range(3))):
        _put(memory, task + 88, "QQ", BASE + FS, BASE + NSPROXY)
    _put(memory, NSPROXY, "Q", BASE + NAMESPACE)
    _put(memory, FS, "QQ", BASE + FIRST + 24, BASE + FIRST + 0x500)
    places = [FIRST + 0x1000 * index for index in range(len(mounts))]
    ring = [NAMESPACE, *(place + 48 for place in places)]
    for index, at in enumerate(ring):
        _put(memory, at, "QQ", BASE + ring[(index + 1) % len(ring)], BASE + ring[index - 1])
    _put(memory, NAMESPACE + 16, "I", 4026531840)
    for place, mount in zip(places, mounts, strict=True):
        _mount(memory, place, mount)
    image.write_bytes(memory)


def _put(memory: bytearray, at: int, form: str, *values: int) -> None:
    struct.pack_into(f"<{form}", memory, HEADER + at, *values)


def _mount(memory: bytearray, at: int, mount: Mount) -> None:
    above = at + 0x580 if at != FIRST else at + 0x500
    parent = NOWHERE if mount.torn == "parent" else BASE + FIRST
    kind = 0 if mount.torn == "type" else BASE + at + 0x300
    _put(memory, at + 8, "QQQQQ", parent, BASE + above, BASE + at + 0x500, BASE + at + 0x200, 0x20)
    _put(memory, at + 64, "QQii", BASE + at + 0x440, 0, mount.number, 0)
    _put(memory, at + 0x200, "IIQQQ", 0x100000 + mount.number, 0, 0, kind, 0)
    _put(memory, at + 0x300, "Q", BASE + at + 0x400)
    for place, text in ((0x400, mount.kind), (0x440, mount.device), (0x480, mount.point)):
        memory[HEADER + at + place : HEADER + at + place + len(text) + 1] = text + b"\0"
    _put(memory, at + 0x500, "QIIQQ", BASE + at + 0x500, 0, 1, BASE + at + 0x4F0, 0)
    memory[HEADER + at + 0x4F0] = ord("/")
    _put(memory, at + 0x580, "QIIQQ", BASE + FIRST + 0x500, 0, len(mount.point), BASE + at + 0x480, 0)


def _types(task: dict[str, object]) -> dict[str, object]:
    def base(name: str) -> dict[str, object]:
        return {"kind": "base", "name": name}

    def of(name: str) -> dict[str, object]:
        return {"kind": "struct", "name": name}

    def to(kind: dict[str, object]) -> dict[str, object]:
        return {"kind": "pointer", "subtype": kind}

    def struct_of(size: int, **fields: tuple[int, dict[str, object]]) -> dict[str, object]:
        placed = {name: {"offset": offset, "type": kind} for name, (offset, kind) in fields.items()}
        return {"kind": "struct", "size": size, "fields": placed}

    text, number, word = to(base("char")), base("unsigned int"), base("long unsigned int")
    fields = dict(task["fields"])  # type: ignore[call-overload]
    fields["fs"] = {"offset": 88, "type": to(of("fs_struct"))}
    fields["nsproxy"] = {"offset": 96, "type": to(of("nsproxy"))}
    return {
        "task_struct": {"kind": "struct", "size": 104, "fields": fields},
        "nsproxy": struct_of(8, mnt_ns=(0, to(of("mnt_namespace")))),
        "ns_common": struct_of(4, inum=(0, number)),
        "mnt_namespace": struct_of(24, list=(0, of("list_head")), ns=(16, of("ns_common"))),
        "path": struct_of(16, mnt=(0, to(of("vfsmount"))), dentry=(8, to(of("dentry")))),
        "fs_struct": struct_of(16, root=(0, of("path"))),
        "vfsmount": struct_of(
            24, mnt_root=(0, to(of("dentry"))), mnt_sb=(8, to(of("super_block"))), mnt_flags=(16, number)
        ),
        "mount": struct_of(
            160,
            mnt_parent=(8, to(of("mount"))),
            mnt_mountpoint=(16, to(of("dentry"))),
            mnt=(24, of("vfsmount")),
            mnt_list=(48, of("list_head")),
            mnt_devname=(64, text),
            mnt_master=(72, to(of("mount"))),
            mnt_id=(80, base("int")),
            mnt_group_id=(84, base("int")),
        ),
        "super_block": struct_of(
            40, s_dev=(0, number), s_flags=(8, word), s_type=(16, to(of("file_system_type"))), s_subtype=(24, text)
        ),
        "file_system_type": struct_of(8, name=(0, text)),
        "qstr": struct_of(16, hash=(0, number), len=(4, number), name=(8, text)),
        "dentry": struct_of(32, d_parent=(0, to(of("dentry"))), d_name=(8, of("qstr")), d_inode=(24, to(of("inode")))),
    }
