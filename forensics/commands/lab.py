"""`forensics lab`, with the demo in it: that works a whole case, so it stands above the labs."""

from __future__ import annotations

from typing import ClassVar

import typer

from forensics.commands.late import Late
from forensics.lab import cli


class _Lab(Late):
    late: ClassVar = {"demo": "demonstration"}


app = typer.Typer()
app.add_typer(cli.app, name="lab", cls=_Lab)
