r"""The one function through which a target's bytes become safe to show.

A target's text can carry escape sequences that drive a terminal, directional marks that turn a line
around, line breaks that forge a log entry, and bytes that are no text at all (CVE-2023-30844 is one such
case). `show` makes each of them visible as `\x1b`, `\u202e`, `\n`; raw bytes stay in the exhibit.
"""

from __future__ import annotations

import unicodedata

LIMIT = 2000
"""Characters of one value that a reader is shown; one unbroken hostile word can hang a page layout."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection)."""
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def decode(raw: bytes) -> str:
    r"""Decode as UTF-8 where that works; every other byte becomes `\xNN`. Control characters are kept."""
    return raw.decode("utf-8", errors="backslashreplace")


def show(value: str | bytes, limit: int = LIMIT) -> str:
    """Make one line of a target's text safe for terminal, HTML, PDF, CSV and log; cut it visibly at `limit`."""
    words = decode(value) if isinstance(value, bytes) else value
    cut = len(words) - limit
    shown = "".join(_visible(character) for character in words[:limit])
    return f"{shown}… [{cut} more]" if cut > 0 else shown


def harmless(text: str) -> str:
    """Keep a spreadsheet from running a cell: one that it would take for a formula begins with an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _visible(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
