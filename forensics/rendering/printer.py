"""The child that prints: reads its order from standard input, limits itself, writes one PDF. Run by `pdf.print_pdf`."""

from __future__ import annotations

import json
import logging
import resource
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

CREATED = '<meta name="dcterms.created" content="{stamp}"><meta name="dcterms.modified" content="{stamp}">'


def _limit(memory: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


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


def _print(order: dict[str, Any]) -> None:
    import weasyprint  # noqa: PLC0415 - only after the limits are set

    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    stamp = datetime.fromisoformat(order["stamp"])
    attachments = [
        weasyprint.Attachment(
            string=Path(one["path"]).read_bytes(),
            name=one["name"],
            description=one["description"],
            created=stamp,
            modified=stamp,
            relationship="Data",
        )
        for one in order["attached"]
    ]
    page = Path(order["html"]).read_text(encoding="utf-8")
    dated = page.replace("<title>", CREATED.format(stamp=order["stamp"][:19] + "Z") + "<title>", 1)
    document = weasyprint.HTML(string=dated, url_fetcher=_fetcher(), base_url=None)
    document.write_pdf(
        order["output"], pdf_variant="pdf/a-3a", pdf_identifier=order["stamp"].encode(), attachments=attachments
    )


def main() -> None:
    """Print as ordered on standard input."""
    order = json.load(sys.stdin)
    _limit(order["memory"], order["seconds"])
    _print(order)


if __name__ == "__main__":
    main()
