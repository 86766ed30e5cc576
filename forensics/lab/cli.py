"""`forensics lab`: bring practice targets up, look at them, log in, take them down."""

from __future__ import annotations

import os
import secrets
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from forensics.errors import LabFailed
from forensics.lab import labs
from forensics.lab.recipe import FACTS, Recipe
from forensics.model import JSON
from forensics.terminal import TerminalProgress, document, grid, line

app = typer.Typer(
    no_args_is_help=True, help="Practice targets: real Debian machines in QEMU, with planted facts to be found."
)

Root = Annotated[
    Path,
    typer.Option("--root", envvar="FORENSICS_ROOT", help="The folder whose .lab/ holds the labs.", show_default="here"),
]
Name = Annotated[str, typer.Option("--name", help="Which lab; as a target it is lab:NAME, or lab for the first.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_HERE = Path()
_DEFAULT = Recipe()


@app.command()
def up(
    *,
    suite: Annotated[str, typer.Option(help="Debian suite.")] = _DEFAULT.suite,
    flavour: Annotated[str, typer.Option(help="Kernel package: cloud-amd64 or amd64.")] = _DEFAULT.flavour,
    memory: Annotated[int, typer.Option(help="Memory in MiB.", min=192)] = _DEFAULT.memory,
    cpu: Annotated[str, typer.Option(help="CPU model, as QEMU reads it.")] = _DEFAULT.cpu,
    append: Annotated[str, typer.Option(help="Words for the kernel's command line.")] = "",
    package: Annotated[list[str] | None, typer.Option(help="A Debian package to have on it; again for more.")] = None,
    accel: Annotated[str, typer.Option(help="tcg, kvm, or auto: kvm where this guest boots with it.")] = _DEFAULT.accel,
    name: Name = "lab",
    seed: Annotated[int | None, typer.Option(help="Repeats names, ports, paths and markers.")] = None,
    incident: Annotated[
        bool, typer.Option("--incident/--no-incident", help="Plant an incident, or only what looks like one.")
    ] = True,
    without: Annotated[
        list[str] | None, typer.Option(help=f"Leave out a fact (again for more): {', '.join(FACTS)}.")
    ] = None,
    mirror: Annotated[str, typer.Option(help="Debian mirror; default: as mmdebstrap knows it.")] = "",
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the disk image anew, with today's packages.")
    ] = False,
    root: Root = _HERE,
    as_json: AsJson = False,
) -> None:
    """Make (once) and boot a practice target, and plant an incident on it."""
    # So that nothing is left behind, whatever ends us; and a shell may have started us with SIGINT ignored.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    recipe = Recipe(
        suite=suite, flavour=flavour, mirror=mirror, memory=memory, cpu=cpu, accel=accel, append=append,
        packages=tuple(package or ()),
        seed=secrets.randbelow(1 << 32) if seed is None else seed, incident=incident, without=tuple(without or ()),
    )  # fmt: skip
    lab = labs.up(root, name, recipe, TerminalProgress(), rebuild=rebuild)
    if as_json:
        document(_facts(lab))
    else:
        _show_up(lab)


@app.command()
def status(*, root: Root = _HERE, as_json: AsJson = False) -> None:
    """List the labs that were brought up and not taken down."""
    found = labs.status(root)
    if as_json:
        document([_facts(lab) for lab in found])
        return
    columns = ("target", "state", "host", "address", "suite", "memory", "incident", "seed", "pid")
    grid("", columns, [_row(lab) for lab in found], empty="No lab is up here; `forensics lab up` brings one up.")


@app.command()
def ssh(
    command: Annotated[
        list[str] | None, typer.Argument(help="A command to run there; after -- if it has options.")
    ] = None,
    *,
    name: Name = "lab",
    user: Annotated[str, typer.Option(help="root or analyst.")] = "root",
    root: Root = _HERE,
) -> None:
    """Log in to a lab with the system's ssh, or run a command there."""
    lab = labs.load(root, name)
    if lab is None or not lab.runs:
        raise LabFailed(f"lab {name} is not up", remedy=f"forensics lab up --name {name}")
    argv = labs.ssh_command(lab, *(command or ()), user=user, interactive=True)
    os.execv(argv[0], argv)  # noqa: S606 - ssh takes over this terminal


@app.command()
def down(
    *,
    name: Name = "lab",
    everything: Annotated[bool, typer.Option("--all", help="Take down every lab below the root.")] = False,
    root: Root = _HERE,
) -> None:
    """End a lab and remove its disk and keys; the truth and the console stay."""
    names = [lab.name for lab in labs.status(root)] if everything else [name]
    for one in names:
        ended = labs.down(root, one)
        line(f"Lab {one} is down." if ended else f"Lab {one} was not running.")


def _row(lab: labs.Lab) -> tuple[object, ...]:
    recipe, state = lab.recipe, "running" if lab.runs else "ended by itself"
    planted = f"{len(recipe.planted)} facts" if recipe.incident else "near misses"
    address, memory = f"127.0.0.1:{lab.port}", f"{recipe.memory} MiB"
    return (lab.label, state, lab.hostname, address, recipe.suite, memory, planted, recipe.seed, lab.pid)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _facts(lab: labs.Lab) -> dict[str, JSON]:
    recipe: dict[str, JSON] = {
        key: list(value) if isinstance(value, list) else value for key, value in lab.recipe.as_json().items()
    }
    return {
        "name": lab.name, "target": lab.label, "running": lab.runs, "hostname": lab.hostname, "address": "127.0.0.1",
        "port": lab.port, "pid": lab.pid, "folder": str(lab.folder), "truth": str(lab.truth), "recipe": recipe,
        "not_planted": dict(lab.lacking),
    }  # fmt: skip


def _show_up(lab: labs.Lab) -> None:
    lines = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    more = "" if lab.name == "lab" else f" --name {lab.name}"
    lines.add_row("target", lab.label)
    lines.add_row("address", f"127.0.0.1:{lab.port}, root and analyst by key")
    lines.add_row("password", f"of analyst, for sudo: in {lab.password}")
    lines.add_row("truth", str(lab.truth))
    for fact, why in lab.lacking.items():
        lines.add_row("not planted", f"{fact}: {why}")
    lines.add_row("seed", str(lab.recipe.seed))
    lines.add_row("log in", f"forensics lab ssh{more}")
    lines.add_row("end", f"forensics lab down{more}")
    Console(soft_wrap=True).print(lines)
