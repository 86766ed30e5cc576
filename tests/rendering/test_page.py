"""The report shows a target's text as text, whatever it is."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from forensics.rendering import page as page_module
from forensics.rendering.blocks import Section, Words
from forensics.rendering.document import html
from forensics.tables import Column, Table
from forensics.text import show
from tests.rendering import synthetic


class Tags(HTMLParser):
    """Collects tags, addresses and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "data"}]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    return tags


def test_a_hostile_name_is_text_and_nothing_else() -> None:
    report = parsed(html(synthetic.record(synthetic.HOSTILE)))
    words = "".join(report.words)
    assert "script" not in report.tags
    assert all(address.startswith(("data:image/svg+xml", "#")) for address in report.addresses)
    assert '<img src="file:///etc/passwd">' in words
    assert "{{ 7*7 }}" in words
    assert "\\x1b[2J" in words
    assert "invoice\\u202efdp.exe" in words


def test_no_control_or_direction_character_reaches_the_page() -> None:
    report = html(synthetic.record(synthetic.HOSTILE))
    assert not {"\x1b", "\x07", "\u202e", "\ud800", "\x00"} & set(report)


def test_a_page_makes_every_value_safe_in_one_place() -> None:
    hostile = "<b>\x1b[0m"
    made = page_module.page(page_module.Head(hostile), Section("cover", hostile, (Words(hostile),)), [])
    assert made.count("&lt;b&gt;\\x1b[0m") == 3
    assert "<b>" not in made


def test_a_missing_value_stops_the_page() -> None:
    with pytest.raises(Exception, match="undefined"):
        page_module._environment().from_string("{{ nowhere }}").render()


def test_the_same_record_gives_the_same_page() -> None:
    assert html(synthetic.record()) == html(synthetic.record())


def test_every_digest_is_printed_whole() -> None:
    record = synthetic.record()
    words = "".join(parsed(html(record)).words)
    assert all(exhibit.digest.value in words for exhibit in record.exhibits)


def test_an_item_that_failed_says_why_and_is_not_called_empty() -> None:
    words = "".join(parsed(html(synthetic.record())).words)
    assert "a page is not in the image" in words
    assert "iotop is not on the target" in words


def test_a_case_without_an_image_says_so_on_the_cover() -> None:
    words = "".join(parsed(html(synthetic.record(acquired=False))).words)
    assert "none: the kernel loads only signed modules" in words


def test_a_table_that_is_there_and_empty_is_told_from_one_that_was_not_made() -> None:
    record = synthetic.record()
    made = Table("deleted_open", "Deleted files", (Column("path"),), ())
    held = replace(record.targets[0], tables={**record.targets[0].tables, "deleted_open": made})
    words = "".join(parsed(html(replace(record, targets=(held,)))).words)
    assert "No process holds a deleted file open." in words
    assert re.search(r"not run: [a-z_, ]*services", words)


def test_rows_that_are_left_out_are_counted() -> None:
    names = [f"process{n}" for n in range(400)]
    words = "".join(parsed(html(synthetic.record(names))).words)
    assert re.search(r"\d+ of 402 rows are shown", words)


@pytest.mark.parametrize("word", ["compliant", "certified"])
def test_the_report_claims_no_conformance(word: str) -> None:
    assert word not in html(synthetic.record()).lower()


def test_a_very_long_word_is_cut_and_the_cut_is_counted() -> None:
    assert show("x" * 5000, 10) == "x" * 10 + "… [4990 more]"
