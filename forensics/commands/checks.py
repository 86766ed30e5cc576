"""What this workstation can do, which plugins can run, symbol tables, and the check of a case."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from forensics import doctor as workstation
from forensics import plan as plans
from forensics import terminal, verify
from forensics.commands.options import HERE, AsJson, Root
from forensics.errors import NothingToCheck, SymbolsError, UsageError
from forensics.isf.convert import make
from forensics.isf.dwarf import make_of_dwarf
from forensics.model import JSON
from forensics.survey import kernel_identity
from forensics.text import show
from forensics.volatility import Available, available

app = typer.Typer()
symbols = typer.Typer(no_args_is_help=True, help="Symbol tables for Volatility 3.")
app.add_typer(symbols, name="symbols")

_MOST_NOTES = 1 << 20  # bytes
WORKS = {True: "yes", False: "no", None: "with a reservation"}


@app.command()
def doctor(*, root: Root = HERE, as_json: AsJson = False) -> None:
    """Say what this workstation can do, and what to install. Exits with 1 when something needed is missing."""
    checks = workstation.examine(root)
    if as_json:
        rows: list[JSON] = [
            {"subject": one.subject, "works": one.works, "found": one.found, "purpose": one.purpose, "do": one.remedy}
            for one in checks
        ]
        terminal.document(rows)
    else:
        shown = [
            (one.subject, WORKS[one.works], one.found, one.purpose, "" if one.works else one.remedy) for one in checks
        ]
        terminal.grid("", ("what", "works", "found", "for", "to do"), shown, empty="Nothing was looked at.")
    raise typer.Exit(0 if workstation.healthy(checks) else 1)


@app.command()
def plugins(
    *,
    plan: Annotated[str, typer.Option(help="A plan, whose own plugin folders are looked into.")] = "",
    folder: Annotated[
        list[Path] | None,
        typer.Option(exists=True, file_okay=False, help="A folder of your own plugins; again for more."),
    ] = None,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """List the Volatility plugins that can run here, and why others cannot."""
    del root
    planned = plans.load(plan).folders if plan else ()
    found = available((*planned, *(folder or ())))
    if as_json:
        rows: list[JSON] = [
            {
                "name": one.name,
                "runs": not one.why_not,
                "reason": one.why_not,
                "purpose": one.purpose,
                "default": one.default,
            }
            for one in found
        ]
        terminal.document(rows)
        return
    shown = [(one.name, _runs(one), one.why_not or one.purpose) for one in found]
    terminal.grid("", ("plugin", "runs", "what it shows, or why it does not run"), shown, empty="There are no plugins.")


def _runs(plugin: Available) -> str:
    return "no" if plugin.why_not else "by default" if plugin.default else "when a plan names it"


@symbols.command("make")
def make_symbols(
    *,
    btf: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="/sys/kernel/btf/vmlinux of the kernel.")
    ] = None,
    kallsyms: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="/proc/kallsyms as root reads it, or a real System.map."),
    ] = None,
    proc_version: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="/proc/version, as it is.")
    ] = None,
    module_btf: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="/sys/kernel/btf/MODULE, of that name; again for more."),
    ] = None,
    build_id: Annotated[
        str, typer.Option(metavar="HEX", help="The target's build id, where the BTF is of another machine.")
    ] = "",
    btf_notes: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="/sys/kernel/notes of the machine that the BTF is of."),
    ] = None,
    vmlinux: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A vmlinux with DWARF: dwarf2json reads it.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The symbol table to write; it must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Make a symbol table that Volatility 3 reads (vol -s FOLDER), without debug packages.

    BTF of another machine with the same kernel serves, too: give that machine's notes and the target's build id.
    """
    _same_build(build_id, btf_notes)
    if vmlinux is not None:
        banner = make_of_dwarf(vmlinux, output, proc_version.read_bytes() if proc_version else None)
        told = show(banner.rstrip(b"\0").strip(), 300)
        terminal.document({"banner": told}) if as_json else terminal.line(f"{output}: {told}")
        return
    if btf is None or kallsyms is None or proc_version is None:
        raise UsageError(
            "a symbol table is made of a kernel's BTF, its symbols and its banner, or of its vmlinux",
            remedy="give --btf, --kallsyms and --proc-version, or --vmlinux",
        )
    modules = {show(one.name, 60): one for one in module_btf or ()}
    notes = make(btf, kallsyms, proc_version, output, modules=modules)
    if as_json:
        terminal.document(notes.json())
        return
    terminal.line(f"{output}: {notes.user_types} types, {notes.symbols} symbols of {notes.release}")
    for name in notes.rows_without_type:
        terminal.line(f"without its type, which the kernel's type information lacks: {name}")


def _same_build(build_id: str, notes: Path | None) -> None:
    """Refuse a BTF of another build: its types may lie elsewhere, though release and version be the same."""
    if not build_id and notes is None:
        return
    if not build_id or notes is None:
        raise UsageError(
            "whether another machine's BTF is of the target's kernel is told by both build ids",
            remedy="give --build-id (the target's, of its facts) and --btf-notes (the other's /sys/kernel/notes)",
        )
    theirs = kernel_identity.build_id(notes.read_bytes()[:_MOST_NOTES], b"")
    if theirs != build_id.lower():
        raise SymbolsError(
            "The BTF is of another kernel than the target's.",
            where=str(notes),
            why=f"its machine runs build id {theirs or 'unknown'}, and the target {show(build_id, 130)}",
            remedy="take BTF and System.map of a machine that runs exactly this build",
        )


@app.command("verify", context_settings={"ignore_unknown_options": True})
def verify_case(
    case: Annotated[
        str,
        typer.Argument(
            help="A case's number, or the path of its folder, of a bag or of a report's PDF.", metavar="CASE|BAG|PDF"
        ),
    ],
    *,
    head: Annotated[
        str, typer.Option(help="A ledger head that you trust, sha256:…, from a report or a receipt.", metavar="DIGEST")
    ] = "",
    signers: Annotated[
        Path | None, typer.Option(help="The keys that you trust: an allowed-signers file.", exists=True, dir_okay=False)
    ] = None,
    tsa_roots: Annotated[
        Path | None,
        typer.Option(help="Certificates of the authorities that you trust, PEM.", exists=True, dir_okay=False),
    ] = None,
    since: Annotated[
        str, typer.Option(help="Hash only exhibits without a check on record since this UTC date.", metavar="DATE")
    ] = "",
    age_identity: Annotated[
        Path | None,
        typer.Option(help="The age identity that opens what is encrypted, to check it inside.", exists=True),
    ] = None,
    pieces: Annotated[
        bool, typer.Option("--pieces", help="Check large exhibits by their pieces, on all processors, not whole.")
    ] = False,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Check a case, a bag or a report: read-only and offline. Exits with 0 ok, 4 damaged, 5 incomplete, 6 cannot check.

    The check is forensics/verify.py, which imports nothing of ours; it is run as an auditor runs it.
    """
    inside = root / "cases" / case
    folder = inside if inside.is_dir() else Path(case)
    if not folder.exists():
        raise NothingToCheck(
            "there is no such case, bag or report", where=str(inside), remedy="forensics list, or give its path"
        )
    options = {"--head": head, "--signers": signers, "--tsa-roots": tsa_roots, "--since": since}
    options["--identity"] = age_identity
    words = [str(folder), *(word for name, one in options.items() if one for word in (name, str(one)))]
    words += [name for name, one in (("--pieces", pieces), ("--json", as_json)) if one]
    done = subprocess.run([sys.executable, "-I", str(verify.__file__), *words], check=False)
    raise typer.Exit(done.returncode)
