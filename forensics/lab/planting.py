"""What a plan puts on the disk of a machine: programs, and the unit that starts them at boot."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from forensics.lab.plan import Plan
from forensics.lab.recipe import HIDDEN_MODULE

PASSING_MODULE = "dummy"
"""A module of every Debian kernel that nothing needs: it comes and goes among the near misses."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A file on the machine's disk."""

    path: str
    content: bytes
    mode: int = 0o644


def files(plan: Plan, facts: Sequence[str], module: bytes = b"") -> tuple[Planted, ...]:
    """Give the files that plant these facts; `module` is the kernel module that hides, by the plan's name for it."""
    programs = [_PROGRAMS[fact](plan) for fact in facts]
    if HIDDEN_MODULE in facts:
        programs.append({_module_path(plan): module})
    return _service(plan, [_SCRIPTS[fact](plan) for fact in facts], programs)


def near_misses(plan: Plan) -> tuple[Planted, ...]:
    """Give the files that plant, for each rule, something that only looks like an incident."""
    upgraded, threaded, script, logger, exposed, _ = plan.benign
    programs = [
        {
            f"/usr/local/sbin/{threaded}": _source("threads", name=threaded),
            f"/usr/local/sbin/{script}": _source("script.sh"),
            f"/usr/local/sbin/{logger}": _source("logger.pl", name=logger),
        }
    ]
    upgrade = f"/usr/local/sbin/{upgraded}"
    text = _source(
        "near_misses.sh",
        upgraded=shlex.quote(upgrade),
        started="\n".join(f"setsid /usr/local/sbin/{name} </dev/null >/dev/null 2>&1 &" for name in programs_of(plan)),
        history=_history(plan.benign_commands),
        exposed=shlex.quote(exposed),
        module=PASSING_MODULE,
        wrapper=f"{plan.folder}/ps",
    )
    programs.append({f"{plan.folder}/ps": _source("wrapped_ps.sh")})
    return _service(plan, [text.decode()], programs)


def programs_of(plan: Plan) -> tuple[str, ...]:
    """Name the programs that run among the near misses: threaded, script, logger."""
    return plan.benign[1:4]


def _service(plan: Plan, scripts: list[str], programs: Sequence[Mapping[str, bytes]]) -> tuple[Planted, ...]:
    start = f"{plan.folder}/start"
    launcher = "#!/bin/sh\n" + "\n".join([*scripts, "exit 0", ""])
    return (
        Planted(start, launcher.encode(), 0o755),
        Planted(f"/etc/systemd/system/{plan.service}.service", _source("unit", name=plan.service, start=start)),
        *(Planted(path, content, 0o755) for each in programs for path, content in each.items()),
    )


def _source(file: str, /, **values: str) -> bytes:
    text = resources.files("forensics.lab").joinpath("guest", file).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text.encode()


def _deleted(plan: Plan) -> str:
    return _source(
        "deleted.sh",
        path=plan.deleted_path,
        variable=plan.marker_variable,
        marker=plan.marker,
        arguments=shlex.join(plan.deleted_arguments),
    ).decode()


def _forged(plan: Plan) -> str:
    values = {"path": plan.forged_path, "folder": plan.forged_path.rpartition("/")[0]}
    return _source("forged.sh", **values, shown=plan.forged_arguments, comm=plan.forged_comm).decode()


def _hidden_values(plan: Plan) -> dict[str, str]:
    return {"real": f"{plan.folder}/ps.real", "false": f"{plan.folder}/ps", "hidden": plan.hidden_path}


def _hidden_programs(plan: Plan) -> Mapping[str, bytes]:
    values = {**_hidden_values(plan), "hidden": plan.hidden}
    return {plan.hidden_path: _source("hidden.pl"), f"{plan.folder}/ps": _source("false_ps.sh", **values)}


def _module_path(plan: Plan) -> str:
    return f"{plan.folder}/{plan.module}.ko"


def _start(name: str) -> str:
    return f"setsid /usr/local/sbin/{name} </dev/null >/dev/null 2>&1 &"


def _history(commands: tuple[str, ...]) -> str:
    return "\n".join(f"history -s -- {shlex.quote(command)}" for command in commands)


def _shell(plan: Plan) -> str:
    return _source("shell.sh", history=_history(plan.commands)).decode()


def _victim(plan: Plan) -> str:
    limit = f"-p MemoryMax={plan.victim_limit}M -p MemorySwapMax=0"
    return f"systemd-run --quiet --wait --collect {limit} /usr/local/sbin/{plan.victim}"


def _writer_program(plan: Plan) -> Mapping[str, bytes]:
    numbers = {"bytes": str(plan.block_bytes), "blocks": str(plan.blocks), "pause": str(plan.pause)}
    program = _source("writer.pl", file=plan.writer_file, pattern=plan.writer_pattern, **numbers)
    return {f"/usr/local/sbin/{plan.writer}": program}


_SCRIPTS: Mapping[str, Callable[[Plan], str]] = {
    "deleted-executable": _deleted,
    "forged-name": _forged,
    "listening-socket": lambda plan: _start(plan.listener),
    "shell-history": _shell,
    "io-burst": lambda plan: f"mkdir -p {plan.writer_file.rpartition('/')[0]}\n{_start(plan.writer)}",
    "oom-kill": _victim,
    "hidden-process": lambda plan: _source("hidden.sh", **_hidden_values(plan)).decode(),
    HIDDEN_MODULE: lambda plan: f"insmod {_module_path(plan)}",
}

_PROGRAMS: Mapping[str, Callable[[Plan], Mapping[str, bytes]]] = {
    "deleted-executable": lambda _plan: {},
    "forged-name": lambda _plan: {},
    "listening-socket": lambda plan: {f"/usr/local/sbin/{plan.listener}": _source("listener.pl", port=str(plan.port))},
    "shell-history": lambda _plan: {},
    "io-burst": _writer_program,
    "oom-kill": lambda plan: {f"/usr/local/sbin/{plan.victim}": _source("victim.pl")},
    "hidden-process": _hidden_programs,
    HIDDEN_MODULE: lambda _plan: {},
}
