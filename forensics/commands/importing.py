"""Take an image that someone else took into a case."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Annotated

import typer

from forensics import imported, terminal
from forensics.casefile import Case
from forensics.commands.options import GAPS, HERE, AsJson, CaseNumber, Root, stop
from forensics.errors import UsageError
from forensics.model import JSON, NotAcquired
from forensics.progress import Progress, Silent
from forensics.stages.imports import ImportSettings
from forensics.terminal import TerminalProgress

app = typer.Typer()
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}")


@app.command("import")
def import_(
    number: CaseNumber,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="The image, then its papers: digest files, logs.", exists=True, dir_okay=False
        ),
    ],
    *,
    target: Annotated[str, typer.Option(help="What the machine is called in the case.")] = "imported",
    digest: Annotated[list[str] | None, typer.Option(help="A digest that it has to have, md5:… or any other.")] = None,
    ram_map: Annotated[
        Path | None, typer.Option(help="A copy of the machine's /proc/iomem.", exists=True, dir_okay=False)
    ] = None,
    source: Annotated[str, typer.Option(help="Who took it, when and how.")] = "",
    despite_papers: Annotated[
        str, typer.Option(metavar="REASON", help="Enter it though its papers do not agree, and why.")
    ] = "",
    new_attempt: Annotated[str, typer.Option(metavar="REASON", help="Import another image for this machine.")] = "",
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Take an image that someone else took into a case, with its papers; `forensics run CASE` goes on from there.

    Read are LiME, padded and raw images, AVML (version 2), ELF cores, and vmcores of kdump and makedumpfile, compressed
    or flattened. What Volatility does not read is converted; the file itself is kept as it came. Exits with 3 when
    something is short of complete, 7 when the papers say otherwise.
    """
    signal.signal(signal.SIGTERM, stop)
    if not _LABEL.fullmatch(target):
        raise UsageError("not a name for a machine in a case", where=repr(target), why="letters, digits, '.' and '-'")
    case = Case.load(root, number)
    image, *papers = (path.absolute() for path in files)
    settings = ImportSettings(
        image, tuple(papers), tuple(digest or ()), ram_map.absolute() if ram_map else None, source, despite_papers
    )
    progress: Progress = Silent() if as_json else TerminalProgress()
    made = imported.take(case, target, settings, progress, new_attempt)
    short = _show(case, target, made.exhibits, made.reason if isinstance(made, NotAcquired) else "", as_json=as_json)
    raise typer.Exit(GAPS if short else 0)


def _show(case: Case, label: str, exhibits: tuple[object, ...], problem: str, *, as_json: bool) -> bool:
    del exhibits
    listed = [one for one in case.exhibits() if one.target == label and one.stage == "import"]
    image = next((one for one in reversed(listed) if one.kind == "memory-image"), None)
    told = image.facts if image else {}
    lacking = [problem, str(told.get("reason") or ""), str(told.get("left_out") or "")]
    lacking = [one for one in lacking if one]
    if as_json:
        shown: list[JSON] = [
            {"number": one.number, "title": one.title, "size": one.size, "digest": str(one.digest)} for one in listed
        ]
        lacks: list[JSON] = list(lacking)
        terminal.document({"case": case.number, "target": label, "exhibits": shown, "short": lacks})
        return bool(lacking)
    rows = [(one.number, one.title, one.size, str(one.digest)) for one in listed]
    terminal.grid("", ("number", "title", "bytes", "digest"), rows, empty="Nothing was entered.")
    for one in lacking:
        terminal.line(f"Short of complete: {one}")
    if image:
        terminal.line(f"forensics run {case.number} goes on from here.")
    return bool(lacking)
