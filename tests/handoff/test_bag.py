"""A bag: what stands in it, that stock tools and the verifier agree about it, and that no change to it goes unseen."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import bagit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.casefile import LEDGER, Case
from forensics.events import Action, State
from forensics.verify import DAMAGED, OK, Given, verify
from tests.authority import Authority, ssh_key
from tests.damages import DAMAGES, Bags
from tests.handing import HOSTILE, alone, copied, full_case, handed, remade, run, stock


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, tsa: Authority) -> Case:
    return full_case(tmp_path_factory.mktemp("root"), tsa)


@pytest.fixture(scope="module")
def bags(case: Case, tsa: Authority) -> Bags:
    """Give bags of one case without its image, of another one, of the first one whole and later; and its folder."""
    first = handed(case, without=("E0001",)).path
    other = handed(full_case(case.folder.parents[1], tsa, "2026-0002")).path
    return {"bag": first, "other": other, "later": handed(case).path, "case": case.folder}


@pytest.fixture
def bag(bags: Bags, tmp_path: Path) -> Path:
    return copied(bags["later"], tmp_path / "bag")


def test_a_bag_is_sound_to_the_verifier_in_it_to_stock_tools_and_to_the_library(bag: Path) -> None:
    inside = alone(bag)
    assert inside.returncode == OK, inside.stdout
    assert "the bag's payload was signed by Ann_Examiner" in inside.stdout
    assert "existed at" in inside.stdout
    by_hand = stock(bag)
    assert (by_hand.returncode, by_hand.stderr) == (0, ""), by_hand.stdout
    known = bagit.Bag(str(bag))
    known.validate()
    assert known.version_info == (1, 0)
    assert run("python3", "-I", bag / "verify.py", bag / "data" / "2026-0001").returncode == OK


def test_every_command_of_its_readme_works(bag: Path) -> None:
    text = (bag / "README.txt").read_text()
    commands = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert {one.split()[0] for one in commands} >= {
        "bash", "python3", "sha256sum", "sha512sum", "tail", "sed", "ssh-keygen", "openssl", "grep", "pdfsig", "printf",
    }  # fmt: skip
    for one in commands:
        if one.startswith(("WHO=", "printf", "ssh-keygen -Y sign")):
            continue  # the receipt's, which has a test of its own
        done = run("bash", "-c", one, cwd=bag)
        unsigned = one.startswith("pdfsig") and "does not contain any signatures" in done.stdout + done.stderr
        assert done.returncode == 0 or unsigned, (one, done.stdout, done.stderr)
        if one.startswith("bash -O"):
            assert done.stdout == ""
        if one.startswith("tail"):
            assert done.stdout.split()[0] in text


def test_what_is_left_out_is_said_everywhere_and_is_neither_damage_nor_silence(bags: Bags, case: Case) -> None:
    path = bags["bag"]
    digest = str(case.exhibit("E0001").digest)
    assert not list(path.glob("data/*/exhibits/E0001*"))
    assert f"E0001 ({digest})" in (path / "bag-info.txt").read_text()
    assert "LEFT OUT of it on record: E0001" in (path / "README.txt").read_text()
    assert json.loads((path / "data" / "handoff.json").read_text())["withheld"] == ["E0001"]
    result = verify(path)
    assert result.code == OK, result.problems
    assert f"E0001 is left out of this bag on record, and was not checked: {digest}" in result.notes
    assert "E0001 was left out on record" in stock(path).stdout
    begun = next(one for one in case.events() if one.action is Action.HANDED_OFF)
    assert "E0001" not in {one.exhibit for one in begun.materials}
    assert begun.details["withheld"] == ["E0001"]


def test_an_exhibit_that_was_not_left_out_on_record_is_missed(bag: Path) -> None:
    next(bag.glob("data/*/exhibits/E0001*")).unlink()
    remade(bag)
    assert any(one.where.startswith("E0001") for one in verify(bag).problems)
    assert stock(bag).returncode == DAMAGED


def test_the_report_names_the_entry_of_the_hand_off_and_the_receipt_can_name_the_bag(bags: Bags, case: Case) -> None:
    told = json.loads((bags["later"] / "data" / "handoff.json").read_text())
    begun = next(one for one in case.events() if one.sequence == told["entry"])
    assert (told["as_of"], told["as_of_head"]) == (begun.sequence, begun.digest)
    page = next((bags["later"] / "data" / "report").glob("*.html")).read_text(encoding="utf-8")
    assert begun.digest in page
    ends = [one for one in case.events() if one.details.get("answers") == begun.sequence]
    assert [one.outcome for one in ends] == [State.FINISHED]
    sums = run("sha256sum", bags["later"] / "tagmanifest-sha256.txt").stdout[:64]
    assert ends[0].details["manifest"] == f"sha256:{sums}"


def test_results_are_lines_cells_and_a_timeline_and_no_name_or_formula_is_a_targets(bags: Bags) -> None:
    folder = bags["later"] / "data" / "results"
    stem = "D0001-web01-linux.pslist.PsList"
    rows = [json.loads(line) for line in (folder / f"{stem}.jsonl").read_text().splitlines()]
    assert rows[1]["COMM"] == HOSTILE, "the bytes are the target's, in JSON's own escapes"
    assert rows[2]["COMM"] == {"absent": "gone"}
    with (folder / f"{stem}.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.reader(file))
    assert cells[0] == ["PID", "COMM", "CREATION TIME"]
    assert cells[2][1].startswith("'=cmd")
    assert cells[3][1] == "(gone)"
    assert not any("\x1b" in cell or "\u202e" in cell or "\n" in cell for row in cells for cell in row)
    line = json.loads((folder / "D0002-web01-timeline.timesketch.jsonl").read_text())
    assert {"message", "datetime", "timestamp_desc"} <= line.keys()
    names = [one.relative_to(bags["later"]).as_posix() for one in bags["later"].rglob("*")]
    assert all(re.fullmatch(r"[A-Za-z0-9._/-]+", one) for one in names)


def test_a_key_of_somebody_else_signs_nothing(bag: Path, tmp_path: Path) -> None:
    public = ssh_key(tmp_path).with_suffix(".pub").read_text()
    mine = tmp_path / "signers"
    mine.write_text(f"Ann_Examiner {public}")
    assert verify(bag, given=Given(signers=mine)).code == DAMAGED


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_bag_is_refused_with_its_own_message_and_stock_tools_agree(bag: Path, bags: Bags, name: str) -> None:
    change, words = DAMAGES[name]
    change(bag, bags)
    before = sorted(str(one) for one in bag.rglob("*"))
    result = verify(bag)
    assert result.code == DAMAGED
    assert any(words in one.what for one in result.problems), result.problems
    by_hand = stock(bag)
    assert by_hand.returncode == DAMAGED, by_hand.stdout + by_hand.stderr
    assert sorted(str(one) for one in bag.rglob("*")) == before, "a check writes nothing"


def test_a_missing_file_is_found_and_named_whichever_it_is(bag: Path) -> None:
    for path in sorted(one for one in bag.rglob("*") if one.is_file()):
        name = path.relative_to(bag).as_posix()
        content = path.read_bytes()
        path.unlink()
        result = verify(bag)
        assert result.code == DAMAGED, name
        assert any(name in one.where or one.where in name for one in result.problems), (name, result.problems)
        path.write_bytes(content)
    assert verify(bag).code == OK


@settings(max_examples=60)
@given(data=st.data())
def test_one_changed_byte_in_any_file_is_found_and_its_place_named(bags: Bags, data: st.DataObject) -> None:
    one_changed_byte_is_found(bags, data)


@pytest.mark.faults
@settings(max_examples=2000)
@given(data=st.data())
def test_one_changed_byte_of_many_in_any_file_is_found_and_its_place_named(bags: Bags, data: st.DataObject) -> None:
    one_changed_byte_is_found(bags, data)


def one_changed_byte_is_found(bags: Bags, data: st.DataObject) -> None:
    bag = bags["later"]
    names = sorted(one.relative_to(bag).as_posix() for one in bag.rglob("*") if one.is_file())
    name = data.draw(st.sampled_from(names))
    path = bag / name
    content = path.read_bytes()
    changed = bytearray(content)
    changed[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.chmod(0o600)
    try:
        path.write_bytes(changed)
        result = verify(bag)
    finally:
        path.write_bytes(content)
        path.chmod(0o400)
    assert result.code == DAMAGED, name
    assert any(name in one.where for one in result.problems) or name.startswith("tagmanifest"), (name, result.problems)


def test_names_in_a_bag_reach_no_terminal(bag: Path) -> None:
    (bag / "data" / "\x1b]52;c;x\x07\u202e").write_text("x")
    for done in (alone(bag), stock(bag)):
        assert done.returncode == DAMAGED
        assert "\x1b" not in done.stdout + done.stderr


def test_a_list_that_is_too_large_to_be_read_is_damage_and_ends_no_program(bag: Path) -> None:
    with (bag / "manifest-sha512.txt").open("r+b") as file:
        file.truncate((1 << 26) + 1)
    result = verify(bag)
    assert result.code == DAMAGED, "as its tag manifest tells"
    assert ("manifest-sha512.txt", "it cannot be read") in [(one.where, one.what) for one in result.problems]
    inside = alone(bag)
    assert (inside.returncode, inside.stderr) == (DAMAGED, "")


def test_a_ledger_in_a_bag_ends_at_the_entry_that_the_bag_names(bags: Bags, case: Case) -> None:
    told = json.loads((bags["bag"] / "data" / "handoff.json").read_text())
    lines = (bags["bag"] / "data" / case.number / LEDGER).read_bytes().splitlines()
    assert len(lines) == told["entries"]
    assert (case.folder / LEDGER).read_bytes().startswith(b"\n".join(lines))
