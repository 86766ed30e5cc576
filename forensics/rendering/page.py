"""Sections to one HTML page, the same for the screen and for print.

Every value passes `finish` on its way into the page: it is made safe to show, and then escaped. Nothing else may
write a target's text into markup. Pictures are our own SVG, embedded as data: nothing is fetched.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from forensics import attack
from forensics.rendering.blocks import Block, FactList, Figure, FindingList, Grid, Section, Words
from forensics.text import show


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
    environment.globals["picture"] = picture
    environment.globals["technique"] = attack.named
    return environment


def page(
    title: str,
    cover: Section,
    sections: Sequence[Section],
    *,
    language: str = "en",
    sort: str = "Memory forensics case report",
) -> str:
    """Make the whole page; `sort` says above its title what it is."""
    style = resources.files("forensics.rendering").joinpath("templates/style.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=title,
            cover=cover,
            sections=sections,
            language=language,
            sort=sort,
            style=Markup(style),  # noqa: S704 - our own file
        )
    )
