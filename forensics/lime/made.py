"""A LiME module that was made for a target, wherever: checked, signed where asked, and put on record."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import ForensicsError
from forensics.lime import kmod, module_signing
from forensics.lime.module_signing import Signer
from forensics.model import JSON, Draft, Facts, LimeModule, NotBuilt, Role
from forensics.ssh import Secret
from forensics.stage import Entered

ITEM = "lime"


@dataclass(frozen=True, slots=True)
class Key:
    """What a module is signed with, where the analyst gave it."""

    key: Path | None = None  # a private key that the target's kernel trusts, PEM
    certificate: Path | None = None


def load_module(entered: Entered) -> LimeModule | NotBuilt:
    """Give the module as it stands on record, or why there is none."""
    module, result = entered.one("lime-module"), entered.result(ITEM)
    if module is None:
        return NotBuilt(entered.exhibits, result.reason if result else "the build did not end")
    facts = module.facts
    return LimeModule(entered.exhibits, module, str(facts.get("lime_version", "")), str(facts.get("vermagic", "")))


def checked(path: Path, facts: Facts) -> kmod.KernelModule:
    """Read a module; ForensicsError when it is not for exactly the target's kernel, or no module at all."""
    module = kmod.read(path)
    found = kmod.differences(module, release=facts.release, machine=facts.machine, versions=facts.symbol_versions)
    if found:
        raise ForensicsError(
            "the module is not for the target's kernel, and is not uploaded",
            why="; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else ""),
            remedy="give headers of exactly that kernel",
        )
    return module


def finish(made: Path, kept: Path, facts: Facts, key: Key, passphrase: Secret | None) -> str:
    """Put a module where it is entered from, signed where the analyst gave a key; gives whose signature it is."""
    if key.key is None or key.certificate is None:
        shutil.copyfile(made, kept)
        return ""
    found = module_signing.hash_of(facts.config)
    return module_signing.sign(made, kept, Signer(key.key, key.certificate, passphrase, found))


def module_draft(path: Path, version: str, origin: Sequence[str], module: kmod.KernelModule, signed_by: str) -> Draft:
    """Give the module, with what the case has to know of how it was made."""
    facts: dict[str, JSON] = {
        "lime_version": version,
        "vermagic": module.vermagic,
        "machine": module.machine,
        "signed": bool(signed_by) or module.signed,
        "signed_by": signed_by,
        "symbols_with_crc": len(module.versions),
        "origin": list(origin),
    }
    title = f"LiME {version} for {module.release}"
    return Draft(path, Role.INSTRUMENT, "lime-module", title, "lime.ko", ITEM, facts=facts)


def log_draft(folder: Path, lines: Sequence[str], title: str = "How the LiME module was made") -> Draft:
    """Give what was tried, line by line."""
    path = folder / "build.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="backslashreplace")
    return Draft(path, Role.INSTRUMENT, "build-log", title, "build.txt", ITEM)
