"""Every technique that a finding can name is one that the report can spell out."""

from __future__ import annotations

import re
from pathlib import Path

from forensics import attack, findings

SOURCES = Path(findings.__file__).parent


def test_every_technique_that_a_rule_names_has_its_title_and_none_is_idle() -> None:
    told = {one for path in SOURCES.glob("*.py") for one in re.findall(r'"(T1\d{3}(?:\.\d{3})?)"', path.read_text())}
    assert told == set(attack.NAMES)


def test_a_technique_that_is_not_known_keeps_its_number() -> None:
    assert attack.named("T1014") == "T1014 (Rootkit)"
    assert attack.named("T1999.001") == "T1999.001"
    assert not attack.named("")
