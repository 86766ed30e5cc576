"""An object file with the sections that the kernel looks at, made by the compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.sshd import skip

SOURCE = """
#define SECTION(name) __attribute__((section(name), used))
SECTION(".modinfo") static const char a[] = "vermagic=%s";
SECTION(".modinfo") static const char b[] = "name=lime";
SECTION(".modinfo") static const char c[] = "parmtype=timeout:long";
struct version { unsigned long crc; char name[56]; };
SECTION("__versions") static const struct version v[] = {{0x11223344, "printk"}, {0xcafebabe, "filp_open"}};
SECTION(".gnu.linkonce.this_module") static char module[64];
"""


def make_module(folder: Path, release: str, name: str = "m.ko") -> Path:
    """Make a module that says to be LiME for this release."""
    if not shutil.which("gcc"):
        skip("gcc is missing: install build-essential")
    (folder / "m.c").write_text(SOURCE % f"{release} SMP preempt mod_unload modversions ")
    subprocess.run(["gcc", "-c", "-o", str(folder / name), str(folder / "m.c")], check=True)
    (folder / "m.c").unlink()
    return folder / name
