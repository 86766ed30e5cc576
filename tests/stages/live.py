"""Facts, desks and exhibits for the stages that deal with live evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from forensics.model import ClockOffset, Digest, Draft, Exhibit, Facts, Result
from forensics.progress import Silent
from forensics.stage import Desk

FACTS = Facts(
    exhibits=(),
    hostname="web01",
    release="6.1.0",
    version="#1 SMP",
    machine="x86_64",
    distribution="debian",
    distribution_version="12",
    distribution_codename="bookworm",
    pretty_name="Debian",
    boot_id="",
    machine_id="",
    uptime=1.0,
    proc_version=b"",
    cmdline="",
    ram=(),
    memory_total=0,
    memory_available=0,
    btf=None,
    kallsyms=None,
    kernel_offset=None,
    lockdown="",
    signature_enforced=None,
    secure_boot=None,
    modules_disabled=False,
    taint=0,
    kptr_restrict=None,
    five_level_paging=False,
    clock=ClockOffset(0.0, 0.0, ""),
    processes=(),
    modules=(),
    symbol_versions={},
    config={},
    tools={},
    root_device="",
    preflight=(),
)


def desk(folder: Path, results: Mapping[str, Result] | None = None, earlier: Sequence[Exhibit] = ()) -> Desk:
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return Desk(work, folder, {}, "web01", results or {}, tuple(earlier), Silent())


def enter(folder: Path, draft: Draft, number: int, stage: str) -> Exhibit:
    """Keep a draft as the loop would: read-only bytes under a number."""
    content = draft.path.read_bytes()
    name = f"{draft.role}{number:04}"
    path = Path("exhibits") / f"{name}-{draft.name}"
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_bytes(content)
    digest = Digest("sha256", hashlib.sha256(content).hexdigest())
    return Exhibit(
        name, draft.kind, draft.title, path, len(content), digest, "web01", stage, draft.item, facts=draft.facts
    )
