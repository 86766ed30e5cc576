"""What several commands share: options, how they are stopped, an exit code."""

from __future__ import annotations

from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

HERE = Path()
GAPS = 3  # exit code: done, but for some items, as the error of that code says

Root = Annotated[
    Path,
    typer.Option(
        "--root",
        envvar="FORENSICS_ROOT",
        help="The folder that holds cases/, profiles/ and reports/.",
        show_default="here",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, errors too.")]
CaseNumber = Annotated[str, typer.Argument(help="The case's number.", metavar="CASE")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger.")]

Key = Annotated[
    str,
    typer.Option(
        "--key", metavar="FILE|agent:SHA256:…", help="The SSH key that signs: a private key file, or one in the agent."
    ),
]
Authorities = Annotated[
    list[str] | None, typer.Option("--tsa", metavar="URL", help="A time stamp authority, RFC 3161 (again for more).")
]
Roots = Annotated[
    Path | None,
    typer.Option(
        "--tsa-roots", help="Certificates trusted for it, PEM; else this system's.", exists=True, dir_okay=False
    ),
]


def stop(_number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt
