"""Arguments in, exit code out: every command, and what each error becomes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from forensics import __version__, terminal
from forensics.commands.late import Late
from forensics.errors import ForensicsError, StageFailed, UsageError

INTERRUPTED = 130


class _Program(Late):
    late: ClassVar = {
        "doctor": "checks",
        "plugins": "checks",
        "verify": "checks",
        "open": "cases",
        "list": "cases",
        "status": "cases",
        "custody": "cases",
        "close": "cases",
        "reopen": "cases",
        "note": "deeds",
        "deviation": "deeds",
        "access": "deeds",
        "transfer": "deeds",
        "dispose": "deeds",
        "seal": "seals",
        "countersign": "seals",
        "handoff": "handover",
        "receive": "handover",
        "run": "run",
        "report": "reporting",
        "timeline": "chronology",
        "import": "importing",
        "symbols": "checks",
        "blockio": "blockio",
        "profiles": "profiles",
        "lynis": "lynis",
        "lab": "lab",
    }


app = typer.Typer(
    cls=_Program,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="From a suspect Linux host to a report that anyone can check.",
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        terminal.line(f"forensics {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """From a suspect Linux host to a report that anyone can check."""


def main() -> None:
    """Run the command line; exits with the code that the outcome has."""
    sys.exit(_run(sys.argv[1:]))


def _run(words: list[str]) -> int:
    try:
        code: object = app(words, standalone_mode=False)
    except typer.TyperException as problem:
        terminal.error(UsageError(problem.format_message(), remedy="--help tells"), as_json="--json" in words)
        return UsageError.exit_code
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("Interrupted.\n")
        return INTERRUPTED
    except ForensicsError as problem:
        terminal.error(problem, as_json="--json" in words)
        return problem.exit_code
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ForensicsError.exit_code
    except OSError as problem:
        terminal.error(StageFailed.of(problem, Path.cwd()), as_json="--json" in words)
        return StageFailed.exit_code
    except Exception as problem:  # noqa: BLE001 - shown whole, without the control characters that evidence may hold
        terminal.fault(problem)
        return ForensicsError.exit_code
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
