"""The child that prints: reads its order from standard input, limits itself, writes one PDF. Run by `pdf.print_pdf`.

It tells on standard output, as JSON, how many pages there are and which characters no font here has: those are written
by their number, for PDF/A has no sign that stands for a missing one.
"""

from __future__ import annotations

import base64
import ctypes
import json
import logging
import mimetypes
import re
import resource
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from forensics.text import escape

CREATED = '<meta name="dcterms.created" content="{stamp}"><meta name="dcterms.modified" content="{stamp}">'
TYPES = {".jsonl": "application/x-ndjson", ".json": "application/json", ".csv": "text/csv"}
PROBE = "<!DOCTYPE html><style>{style}</style><p>{characters}</p><pre>{characters}</pre>"
OURS = frozenset("–—“”‘’…·±−×µ°§→↔≥≤é")
"""Signs of our own sentences: every font that is needed has them. One that lacks them ends the print, by its number."""
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000  # unshare(2)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_PICTURE = re.compile(r"(?<=data:image/svg\+xml;base64,)[A-Za-z0-9+/=]+")
_LACKING = re.compile(r"\.notdef glyph .* \(U\+([0-9A-F]+)\)", re.DOTALL)


def _limit(memory: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _leave_the_network() -> bool:
    """Move to a network of our own that has nothing in it; false where this system does not allow that."""
    libc = ctypes.CDLL(None, use_errno=True)
    return any(int(libc.unshare(flags)) == 0 for flags in (_NEW_NET, _NEW_USER | _NEW_NET))


def _fetcher() -> Any:
    from weasyprint.urls import FatalURLFetchingError, URLFetcher  # noqa: PLC0415 - only after the limits are set

    class OnlyData(URLFetcher):  # type: ignore[misc]
        """Gives what the page itself holds, and ends the run on anything else."""

        def fetch(self, url: str, headers: Any = None) -> Any:
            if not url.startswith("data:"):
                self._refuse(url)
            return super().fetch(url, headers)

        @staticmethod
        def _refuse(url: str) -> NoReturn:
            raise FatalURLFetchingError(f"the page asked for {url[:80]!r}: nothing is fetched")

    return OnlyData(allowed_protocols=["data"], allow_redirects=False, fail_on_errors=True)


class _Lacking(logging.Handler):
    """Collects the characters that the renderer found in no font."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        told = _LACKING.match(record.getMessage())
        if told:
            self.found.add(chr(int(told[1], 16)))


def _print(order: dict[str, Any]) -> dict[str, Any]:
    import weasyprint  # noqa: PLC0415 - only after the limits are set

    lacking = _Lacking()
    logger = logging.getLogger("weasyprint")
    logger.handlers[:] = [lacking]
    page = Path(order["html"]).read_text(encoding="utf-8")
    written = _written(page, weasyprint, lacking)
    lacking.found.clear()
    dated = written.replace("<title>", CREATED.format(stamp=order["stamp"][:19] + "Z") + "<title>", 1)
    document = weasyprint.HTML(string=dated, url_fetcher=_fetcher(), base_url=None).render(pdf_variant="pdf/a-3a")
    document.write_pdf(
        order["output"],
        pdf_variant="pdf/a-3a",
        pdf_identifier=order["stamp"].encode(),
        attachments=_attachments(order, weasyprint),
        finisher=_finish,
    )
    if lacking.found:
        raise SystemExit(f"no font has these characters: {_named(lacking.found)}")
    return {"pages": len(document.pages), "lacking": sorted(set(page) - set(written))}


def _written(page: str, weasyprint: Any, lacking: _Lacking) -> str:
    """Write every character that no font has by its number, in the words and in the pictures."""
    pictures = [base64.b64decode(one).decode("utf-8", "replace") for one in _PICTURE.findall(page)]
    every = sorted(one for one in set(page).union(*pictures) if not one.isascii() and one not in OURS)
    if not every:
        return page
    style = "".join(_STYLE.findall(page))
    probe = PROBE.format(style=style, characters=" ".join(f"&#{ord(one)};" for one in every))
    weasyprint.HTML(string=probe, url_fetcher=_fetcher(), base_url=None).write_pdf()
    table = {ord(one): escape(one) for one in lacking.found}
    if not table:
        return page

    def drawn(found: re.Match[str]) -> str:
        svg = base64.b64decode(found[0]).decode("utf-8", "replace").translate(table)
        return base64.b64encode(svg.encode("utf-8")).decode("ascii")

    return _PICTURE.sub(drawn, page.translate(table))


def _attachments(order: dict[str, Any], weasyprint: Any) -> list[Any]:
    """Give the files that travel along, by name: the order of a PDF's name tree."""
    for ending, kind in TYPES.items():
        mimetypes.add_type(kind, ending)
    stamp = datetime.fromisoformat(order["stamp"])
    return [
        weasyprint.Attachment(
            string=Path(one["path"]).read_bytes(),
            name=one["name"],
            description=one["description"],
            created=stamp,
            modified=stamp,
            relationship=one["relationship"],
        )
        for one in sorted(order["attached"], key=lambda one: str(one["name"]))
    ]


def _finish(_document: Any, pdf: Any) -> None:
    """Name each attachment once, open with the bookmarks, and show the title where readers show a file's name."""
    if "AF" in pdf.catalog:
        pdf.catalog["AF"][:] = list(dict.fromkeys(pdf.catalog["AF"]))
    pdf.catalog["PageMode"] = "/UseOutlines"
    pdf.catalog["ViewerPreferences"] = "<</DisplayDocTitle true>>"


def _named(characters: set[str]) -> str:
    return ", ".join(f"U+{ord(one):04X}" for one in sorted(characters))


def main() -> None:
    """Print as ordered on standard input."""
    order = json.load(sys.stdin)
    _limit(order["memory"], order["seconds"])
    alone = _leave_the_network()
    json.dump({**_print(order), "without_network": alone}, sys.stdout)


if __name__ == "__main__":
    main()
