"""Rules are used when all of them compile; the file and the line of what does not are named."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from forensics import plan, yararules
from forensics.errors import UsageError

GOOD = 'rule one { meta: severity = "high" strings: $a = "marker-00ff" condition: $a }\n'


def folder(at: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        place = at / name.replace("__", "/").replace("_", ".")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
    return at


def test_rules_are_read_with_their_digests_and_the_same_rules_are_the_same_archive(tmp_path: Path) -> None:
    one = yararules.read(folder(tmp_path / "a", b_yar=GOOD, sub__c_yara=GOOD, notes_txt="no rule"))
    other = yararules.read(folder(tmp_path / "b", sub__c_yara=GOOD, b_yar=GOOD))
    assert list(one.files) == ["b.yar", "sub/c.yara"]
    assert (one.digest, one.archive()) == (other.digest, other.archive())
    assert one.told()["digests"]["b.yar"] == f"sha256:{hashlib.sha256(GOOD.encode()).hexdigest()}"  # type: ignore[call-overload,index]
    with tarfile.open(fileobj=io.BytesIO(one.archive())) as archive:
        assert archive.getnames() == ["b.yar", "sub/c.yara"]


def test_a_changed_rule_is_another_digest(tmp_path: Path) -> None:
    before = yararules.read(folder(tmp_path, b_yar=GOOD)).digest
    assert yararules.read(folder(tmp_path, b_yar=GOOD.replace("00ff", "00fe"))).digest != before


def test_what_was_read_is_what_is_written(tmp_path: Path) -> None:
    rules = yararules.read(folder(tmp_path / "a", b_yar=GOOD, sub__c_yara=GOOD))
    rules.write(tmp_path / "copy")
    assert yararules.read(tmp_path / "copy").digest == rules.digest


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        (GOOD + "\nrule two {\n condition: nothing_known\n}\n", 4, "nothing_known"),
        ('rule a {\n strings: $a = "x"\n condition: $a\n', 4, "syntax error"),
        (GOOD + 'include "/etc/passwd"\n', 2, "include"),
        (GOOD.encode() + b'rule b { strings: $a = "\xff" condition: $a }', 2, ""),
    ],
)
def test_a_rule_that_does_not_compile_is_named_by_file_and_line(
    tmp_path: Path, content: str | bytes, line: int, word: str
) -> None:
    place = folder(tmp_path, a_yar=GOOD, sub__bad_yar=content)
    with pytest.raises(UsageError) as raised:
        yararules.read(place)
    assert str(place / "sub/bad.yar") in raised.value.where
    assert f"line {line}" in raised.value.where
    assert word in raised.value.why


def test_a_folder_without_rules_is_an_error_and_no_empty_answer(tmp_path: Path) -> None:
    for place in (folder(tmp_path, notes_txt="x"), tmp_path / "absent"):
        with pytest.raises(UsageError):
            yararules.read(place)


def test_a_plan_names_rules_beside_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\ncollectors: [processes]\nyara: rules\n")
    assert plan.load(str(tmp_path / "mine.yaml")).yara == str(tmp_path / "rules")
    assert plan.load("triage").yara == ""
