"""Kernel profiles: what is kept, whether it is as it was recorded, and its way to another workstation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from forensics import terminal
from forensics.commands.options import HERE, AsJson, Root
from forensics.errors import ForensicsError, UsageError
from forensics.lime import kmod
from forensics.model import JSON
from forensics.profiles import archive, keeping
from forensics.profiles.keeping import Checked, KeptModule, KeptTable
from forensics.profiles.record import Kernel
from forensics.volatility import tablefile

profiles = typer.Typer(no_args_is_help=True, help="Kernel profiles: modules and symbol tables kept for the next case.")
app = typer.Typer()
app.add_typer(profiles, name="profiles")

_BANNER = re.compile(r"Linux version (\S+) [^\n]*?(#\d[^\n]*)")
_BUILD_ID = re.compile(r"[0-9a-f]{16,128}")
Release = Annotated[str, typer.Argument(metavar="RELEASE", help="A kernel release; all, when none is named.")]


@profiles.command("list")
def list_(*, root: Root = HERE, as_json: AsJson = False) -> None:
    """List what is kept, for which kernel, and where it came from; each file is hashed."""
    _show(root / "profiles", keeping.verify(root / "profiles"), as_json=as_json)


@profiles.command()
def verify(release: Release = "", *, root: Root = HERE, as_json: AsJson = False) -> None:
    """Hash what is kept again. Exits with 1 when something is not as it was recorded; it is never used then."""
    checks = keeping.verify(root / "profiles", release)
    _show(root / "profiles", checks, as_json=as_json)
    raise typer.Exit(1 if any(one.problem for one in checks) else 0)


@profiles.command()
def add(
    *,
    build_id: Annotated[str, typer.Option(help="The kernel's build id, in hex: file vmlinuz, or readelf -n vmlinux.")],
    source: Annotated[str, typer.Option(help="Where it comes from; it stands in the profile.")],
    module: Annotated[Path | None, typer.Option(help="A LiME module.", exists=True, dir_okay=False)] = None,
    symbols: Annotated[
        Path | None, typer.Option(help="A symbol table for Volatility 3, plain or packed.", exists=True, dir_okay=False)
    ] = None,
    proc_version: Annotated[
        Path | None,
        typer.Option(help="/proc/version of the kernel, as it is; a table has it, too.", exists=True, dir_okay=False),
    ] = None,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Keep a module or a symbol table that was made elsewhere."""
    kernel = _kernel(symbols, proc_version, build_id)
    if module is None and symbols is None:
        raise UsageError("nothing was given to keep", remedy="--module FILE, --symbols FILE, or both")
    found = _module(module, kernel) if module else None
    if module and found:
        keeping.keep(root / "profiles", kernel, KeptModule(module, "of elsewhere", (source,)), found.vermagic)
    if symbols:
        keeping.keep_table(root / "profiles", kernel, KeptTable(symbols, (source,)))
    _show(root / "profiles", keeping.verify(root / "profiles", kernel.release), as_json=as_json)


@profiles.command()
def export(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write; it must not exist.")],
    releases: Annotated[
        list[str] | None, typer.Argument(metavar="RELEASE…", help="Of these kernels; else all.")
    ] = None,
    *,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Write profiles to an archive for another workstation, each verified before; prints the archive's digest."""
    if output.exists():
        raise UsageError("there is such a file already", where=str(output), remedy="name another")
    digest = archive.pack(root / "profiles", releases or (), output)
    if as_json:
        terminal.document({"archive": str(output), "digest": str(digest)})
        return
    terminal.line(f"{output}: {digest}")
    terminal.line(f"There: forensics profiles import {output.name} --digest {digest}")


@profiles.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What export wrote.", exists=True, dir_okay=False)],
    *,
    digest: Annotated[str, typer.Option(metavar="SHA256:…", help="The digest that export printed.")] = "",
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Take profiles out of an archive: all of them, or none. Exits with 7 when it is refused.

    What is in it is loaded into kernels later: take it only from somebody whom you trust, and compare its digest.
    """
    releases = archive.take(root / "profiles", file, digest.lower())
    checks = [one for release in releases for one in keeping.verify(root / "profiles", release)]
    _show(root / "profiles", checks, as_json=as_json)


def _show(profiles: Path, checks: tuple[Checked, ...] | list[Checked], *, as_json: bool) -> None:
    if as_json:
        rows: list[JSON] = [
            {"release": one.release, "part": one.part, "ok": not one.problem, "problem": one.problem, "is": one.words}
            for one in checks
        ]
        terminal.document({"profiles": str(profiles), "parts": rows})
        return
    shown = [(one.release, one.part, "DAMAGED" if one.problem else "ok", one.problem or one.words) for one in checks]
    terminal.grid("", ("kernel", "part", "is", "what, or why"), shown, empty="There are no kernel profiles.")


def _kernel(symbols: Path | None, proc_version: Path | None, build_id: str) -> Kernel:
    """Tell which kernel something is for, by its banner."""
    try:
        banner = tablefile.banner(symbols) if symbols else b""
    except tablefile.NoTable as problem:
        raise UsageError("this is no symbol table", where=str(symbols), why=str(problem)) from None
    given = proc_version.read_bytes()[:4096] if proc_version else banner
    if banner and given.rstrip(b"\0\n") != banner.rstrip(b"\0\n"):
        raise UsageError("the table is of another kernel than /proc/version", where=str(symbols))
    words = _BANNER.fullmatch(given.rstrip(b"\0\n").decode("utf-8", "backslashreplace"))
    if words is None:
        raise UsageError(
            "it is not known for which kernel this is", remedy="--proc-version FILE, a copy of /proc/version"
        )
    if not _BUILD_ID.fullmatch(build_id.lower()):
        raise UsageError("not a build id", where=build_id[:100], remedy="40 hex digits, as readelf -n prints them")
    return Kernel(words[1], words[2], "x86_64", build_id.lower(), given)


def _module(path: Path, kernel: Kernel) -> kmod.KernelModule:
    try:
        found = kmod.read(path)
    except ValueError as problem:
        raise UsageError("this is no kernel module", where=str(path), why=str(problem)) from None
    wrong = kmod.differences(found, release=kernel.release, machine=kernel.machine, versions={})
    if wrong or found.name != "lime":
        raise ForensicsError(
            "the module is not LiME for this kernel, and is not kept",
            where=str(path),
            why="; ".join(wrong) or f"its name is {found.name!r}",
        )
    return found
