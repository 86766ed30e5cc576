"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HERE = Path()

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
