r"""The one function through which a target's bytes become safe to show.

A target's text can carry escape sequences that drive a terminal, directional marks that turn a line
around, line breaks that forge a log entry, heaps of accents that cover the lines above, and bytes that are no text at
all (CVE-2023-30844 is one such case). `show` makes each of them visible as `\x1b`, `\u202e`, `\n`; raw bytes stay in
the exhibit.
"""

from __future__ import annotations

import re
import unicodedata

LIMIT = 2000
"""Characters of one value that a reader is shown; one unbroken hostile word can hang a page layout."""
STACKED = 4
"""Accents that one letter may carry; the languages of the world need no more."""

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_MARKS = {"Mn", "Me"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection), the wide forms too."""
_FIGURE = re.compile(r"[+-]?[0-9][0-9.,]*")


def decode(raw: bytes) -> str:
    r"""Decode as UTF-8 where that works; every other byte becomes `\xNN`. Control characters are kept."""
    return raw.decode("utf-8", errors="backslashreplace")


def show(value: str | bytes, limit: int = LIMIT) -> str:
    """Make one line of a target's text safe for terminal, HTML, PDF, CSV and log; cut it visibly at `limit`."""
    words = decode(value) if isinstance(value, bytes) else value
    if len(words) <= limit and words.isascii() and words.isprintable():
        return words
    cut = len(words) - limit
    shown = "".join(_visible(words[:limit]))
    return f"{shown}… [{cut} more]" if cut > 0 else shown


def harmless(text: str) -> str:
    """Keep a spreadsheet from running a cell: one that it would take for a formula begins with an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) and not _FIGURE.fullmatch(text) else text


def _visible(words: str) -> list[str]:
    made = []
    marks = 0
    for character in words:
        if character.isascii() and character.isprintable():
            marks = 0
            made.append(character)
            continue
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in _MARKS else 0
        made.append(escape(character) if kind in _HIDDEN or marks > STACKED else character)
    return made


def escape(character: str) -> str:
    r"""Write a character as its number, `\u4e2d`."""
    code = ord(character)
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
