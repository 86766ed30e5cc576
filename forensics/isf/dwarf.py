"""A symbol table of a vmlinux with DWARF, made by dwarf2json where it is installed: for kernels without BTF."""

from __future__ import annotations

import subprocess
from pathlib import Path

from forensics import tools
from forensics.errors import SymbolsError, ToolMissing, UsageError
from forensics.text import show
from forensics.volatility import tablefile

_PROGRAM = "dwarf2json"
_SECONDS = 3600.0


def make_of_dwarf(vmlinux: Path, output: Path, proc_version: bytes | None = None) -> bytes:
    """Write the table to a new file and give the banner of the kernel that it is for.

    SymbolsError when the program fails, or its table is for another kernel than `proc_version` says; then there is no
    output. ToolMissing where it is not installed. It takes several GB of memory and about a minute.
    """
    program = tools.find(_PROGRAM)
    if program is None:
        raise ToolMissing(
            f"{_PROGRAM} is not installed",
            why="it reads the DWARF of a kernel that has no BTF",
            remedy="build it (github.com/volatilityfoundation/dwarf2json) and put it on PATH",
        )
    try:
        with output.open("xb") as file:
            banner = _run(program, vmlinux, output, file.fileno())
    except FileExistsError:
        raise UsageError(f"{output} exists.", remedy="name another output file, or move this one away") from None
    except BaseException:
        output.unlink(missing_ok=True)
        raise
    if proc_version is not None and banner.rstrip(b"\0\n") != proc_version.rstrip(b"\0\n"):
        output.unlink()
        raise SymbolsError(
            "The vmlinux is of another kernel.",
            where=str(vmlinux),
            why=f"its banner is {show(banner.rstrip(bytes(2)).strip(), 200)}",
            remedy="take the debug package of exactly the release and version that /proc/version tells",
        )
    return banner


def _run(program: Path, vmlinux: Path, output: Path, to: int) -> bytes:
    words = [str(program), "linux", "--elf", str(vmlinux)]
    try:
        done = subprocess.run(words, stdout=to, stderr=subprocess.PIPE, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise SymbolsError(f"{_PROGRAM} had not ended after {_SECONDS:.0f} s", where=str(vmlinux)) from None
    last = show((done.stderr.strip().splitlines() or [b"nothing"])[-1], 300)
    if done.returncode:
        raise SymbolsError(
            f"{_PROGRAM} made no table.",
            where=str(vmlinux),
            why=f"it ended with {done.returncode} and said: {last}",
            remedy="give the vmlinux of the kernel's debug package, with DWARF in it; it takes 3 to 8 GB of memory",
        )
    try:
        return tablefile.banner(output)
    except tablefile.NoTable as problem:
        raise SymbolsError(
            f"{_PROGRAM} made a table that cannot be used.", where=str(vmlinux), why=str(problem)
        ) from None
