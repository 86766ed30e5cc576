"""What this workstation can do, and what to install: the rows of `forensics doctor`. Changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics import tools

_PACKAGES = ("volatility3", "paramiko", "weasyprint", "jinja2", "numpy", "matplotlib", "pydantic", "typer", "rich")
_ROOM = 20 << 30
"""Bytes that a case with an image of a small server takes; less is said, not refused."""

_MEMORY = 4 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One row: is it there, what exactly, what it is for, and what to do when it is not."""

    subject: str
    works: bool | None  # None: there, with a reservation
    found: str
    purpose: str
    remedy: str = ""


def examine(root: Path) -> tuple[Check, ...]:
    """Look at this machine and at the folder in which cases are kept."""
    return (*_python(), *map(_program, tools.NEEDED.values()), *_machine(root))


def healthy(checks: tuple[Check, ...]) -> bool:
    """Tell whether everything is there."""
    return all(check.works is not False for check in checks)


def _python() -> Iterator[Check]:
    version = platform.python_version()
    yield Check("Python", sys.version_info >= (3, 11), version, "run the program", "install Python 3.11 or later")
    for name in _PACKAGES:
        try:
            yield Check(name, works=True, found=importlib.metadata.version(name), purpose="Python package")
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, works=False, found="not installed", purpose="Python package", remedy="make setup")


def _program(needed: tools.Needed) -> Check:
    path = tools.find(needed.program)
    if path is None:
        remedy = f"apt-get install {needed.package}"
        works = None if needed.optional else False
        return Check(needed.program, works=works, found="not installed", purpose=needed.purpose, remedy=remedy)
    number = re.search(r"\d+(\.\d+)+", tools.tool(needed.program).version)
    found = f"{number[0]}, {path}" if number else str(path)
    return Check(needed.program, works=True, found=found, purpose=needed.purpose)


def _machine(root: Path) -> Iterator[Check]:
    free = shutil.disk_usage(_existing(root)).free
    room = f"{free / (1 << 30):.1f} GiB free at {root}"
    yield Check("disk", free >= _ROOM or None, room, "keep cases: RAM of the target × 1.05 each", "free some room")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    amount = f"{memory / (1 << 30):.1f} GiB, {os.cpu_count() or 1} processors"
    yield Check("memory", memory >= _MEMORY or None, amount, "analyse images", "4 GiB at least")
    kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    found = "/dev/kvm is there, not tried: lab up --accel kvm" if kvm else "no /dev/kvm: emulated, slower and enough"
    yield Check("KVM", works=None, found=found, purpose="run the practice target faster")
    judge = tools.find("verapdf")
    found = str(judge) if judge else "not installed: nobody here judges whether a report is PDF/A-3a"
    yield Check(
        "veraPDF", bool(judge) or None, found, "judge the PDF by another hand", "verapdf.org; it is not in Debian"
    )
    agent = os.environ.get("SSH_AUTH_SOCK", "")
    yield Check(
        "SSH agent", bool(agent) or None, agent or "none runs: keys are read from files", "sign in with its keys"
    )


def _existing(path: Path) -> Path:
    return next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
