"""What a target wrote is shown, and does nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.text import LIMIT, harmless, show

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(max_size=300) | st.binary(max_size=300))
def test_nothing_that_is_shown_can_drive_a_terminal(value: str | bytes) -> None:
    assert not {one for one in show(value) if unicodedata.category(one) in HIDDEN}


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=LIMIT))
def test_plain_words_stay_as_they_are(value: str) -> None:
    assert show(value) == value


def test_accents_cannot_pile_up_over_the_lines_above() -> None:
    shown = show("a" + "\u0301" * 300)
    assert shown.count("\u0301") == 4
    assert "\\u0301" in shown
    assert show("Việt Nam, é, ñ́") == "Việt Nam, é, ñ́"


def test_a_long_word_is_cut_and_the_cut_is_counted() -> None:
    assert show("x" * 200_000).endswith(f"… [{200_000 - LIMIT} more]")


@pytest.mark.parametrize("value", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "＝1", '=HYPERLINK("http://x")'])
def test_a_spreadsheet_is_given_no_formula(value: str) -> None:
    assert harmless(value) == f"'{value}"


@pytest.mark.parametrize("value", ["-1000", "+1.5", "-3,000", "plain", ""])
def test_figures_stay_figures(value: str) -> None:
    assert harmless(value) == value


def test_tabs_and_line_breaks_do_not_begin_a_cell() -> None:
    assert harmless(show("\t=1")) == "\\t=1"
