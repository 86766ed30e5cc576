"""Sections to one HTML page: for the screen with every row, or for print with the rows that a reader reads.

Every value passes `finish` on its way into the page: it is made safe to show, and then escaped. Nothing else may
write a target's text into markup. Pictures are our own SVG, embedded as data: nothing is fetched.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from forensics import attack
from forensics.rendering.blocks import Block, FactList, Figure, FindingList, Grid, Section, Words
from forensics.text import show


@dataclass(frozen=True, slots=True)
class Head:
    """What a page says of itself; `printed` is a page for paper, which leaves rows out."""

    title: str
    sort: str = "Memory forensics case report"  # what stands above the title
    author: str = ""
    subject: str = ""
    record: str = ""  # what stands at the foot of every printed page
    language: str = "en"
    printed: bool = False


def finish(value: object) -> object:
    """Make a value safe to show, just before it is escaped; our own markup and whole numbers pass as they are."""
    return value if isinstance(value, Markup | int) else show(str(value))


def kind(block: Block) -> str:
    """Name the macro that draws a block."""
    names: Mapping[type, str] = {
        Words: "words",
        FactList: "facts",
        Grid: "grid",
        Figure: "figure",
        FindingList: "findings",
    }
    return names[type(block)]


def picture(svg: bytes) -> Markup:
    """Give an SVG as the address of an image: in an image no script runs and nothing is loaded."""
    return Markup("data:image/svg+xml;base64,") + Markup(base64.b64encode(svg).decode("ascii"))  # noqa: S704


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("forensics.rendering"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finish,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["kind"] = kind
    environment.globals["zip"] = zip
    environment.globals["picture"] = picture
    environment.globals["technique"] = attack.named
    return environment


def page(head: Head, cover: Section, sections: Sequence[Section]) -> str:
    """Make the whole page."""
    return _template().render(_words(head, cover, sections))


def write(path: Path, head: Head, cover: Section, sections: Sequence[Section]) -> None:
    """Write the whole page to a new file, a piece at a time: it may have a hundred thousand rows."""
    stream = _template().stream(_words(head, cover, sections))
    stream.enable_buffering(512)
    with path.open("xb") as file:
        stream.dump(file, encoding="utf-8")


def _template() -> Template:
    return _environment().get_template("report.html")


def _words(head: Head, cover: Section, sections: Sequence[Section]) -> dict[str, object]:
    style = resources.files("forensics.rendering").joinpath("templates/style.css").read_text(encoding="utf-8")
    return {"head": head, "cover": cover, "sections": sections, "style": Markup(style)}  # noqa: S704 - our own file
