"""The ledger: what it promises when its writer is killed, its disk is full, its clock jumps, its bytes are changed."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.casefile import LEDGER, Case
from forensics.errors import CaseError, IntegrityError
from forensics.events import LINE_LIMIT, Action, Deed, State, decode, encode
from forensics.hashing import hash_bytes
from tests.casework import REPOSITORY, check, copy, enter_one, new_case, note, program, strace
from tests.sshd import skip

SCHEMA = json.loads((REPOSITORY / "docs" / "ledger.schema.json").read_text(encoding="utf-8"))
APPEND = """
import sys, pathlib
from forensics.casefile import Case
from forensics.events import Action, Deed
from forensics.errors import ForensicsError
case = Case.load(pathlib.Path(sys.argv[1]), "2026-0001")
try:
    for number in range(int(sys.argv[2])):
        case.append(Deed(Action.NOTE, f"{sys.argv[3]} {number}"))
        print(number, flush=True)
except ForensicsError as problem:
    try:
        case.append(Deed(Action.NOTE, "after the fault"))
    except ForensicsError:
        print("nothing more")
    sys.exit(f"{type(problem).__name__}: {problem}")
"""
JUMP = """
import sys, pathlib
from forensics.casefile import Case
from forensics.events import Action, Deed
Case.load(pathlib.Path(sys.argv[1]), "2026-0001").append(Deed(Action.NOTE, "another time"))
"""
HOLD = """
import sys, pathlib, os, signal
from forensics.casefile import Case
with Case.load(pathlib.Path(sys.argv[1]), "2026-0001").ledger.locked():
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return new_case(tmp_path)


def lines(case: Case) -> list[bytes]:
    return (case.folder / LEDGER).read_bytes().splitlines(keepends=True)


def conform(value: Any, schema: dict[str, Any], where: str = "line") -> None:
    """Hold a value against the parts of JSON Schema that ours uses."""
    kinds = {"string": str, "integer": int, "object": dict, "array": list, "null": type(None)}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert isinstance(value, tuple(kinds[one] for one in types)), where
    assert not isinstance(value, bool), where
    assert value == schema.get("const", value), where
    assert value in schema.get("enum", [value]), where
    if isinstance(value, str):
        assert re.search(schema.get("pattern", ""), value), where
    if isinstance(value, int):
        assert value >= schema.get("minimum", value), where
    if isinstance(value, list):
        for one in value:
            conform(one, schema["items"], where)
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) == set(schema["required"]) == set(schema["properties"]), where
        for name, one in value.items():
            conform(one, schema["properties"][name], f"{where}.{name}")


def test_every_line_is_as_the_schema_says(case: Case) -> None:
    enter_one(case)
    case.close("done")
    for line in lines(case):
        value = json.loads(line)
        conform(value, SCHEMA)
        assert list(value) == SCHEMA["required"]


def test_the_schema_lists_the_actions_and_outcomes_that_there_are() -> None:
    assert SCHEMA["properties"]["action"]["enum"] == [one.value for one in Action]
    assert SCHEMA["properties"]["outcome"]["enum"] == [*[one.value for one in State], None]


def test_the_chain_can_be_followed_with_sha256sum_alone(case: Case) -> None:
    note(case)
    first, second = (line.rstrip(b"\n") for line in lines(case))
    told = subprocess.run(["sha256sum"], input=first, capture_output=True, check=True).stdout[:64].decode()
    assert json.loads(second)["previous"] == f"sha256:{told}"
    own = second[: second.rindex(b',"digest":')]
    told = subprocess.run(["sha256sum"], input=own, capture_output=True, check=True).stdout[:64].decode()
    assert json.loads(second)["digest"] == f"sha256:{told}"


def test_no_float_stands_in_a_line_and_all_come_back(case: Case) -> None:
    event = case.append(Deed(Action.NOTE, details={"rate": 0.1, "deep": [{"x": -1e300}]}))
    assert event.details == {"rate": 0.1, "deep": [{"x": -1e300}]}
    json.loads(lines(case)[-1], parse_float=pytest.fail)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "x" * LINE_LIMIT], ids=["NaN", "infinity", "too long"])
def test_what_cannot_be_a_line_leaves_the_ledger_as_it_was(case: Case, value: str | float) -> None:
    before = lines(case)
    with pytest.raises(ValueError):  # noqa: PT011 - whichever words
        case.append(Deed(Action.NOTE, details={"value": value}))
    assert lines(case) == before
    note(case)
    assert check(case.folder)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text())
def test_any_text_comes_back_as_it_was(case: Case, text: str) -> None:
    event = replace(case.events()[0], reason=text)
    body = {name: getattr(event, name) for name in event.__slots__ if name not in {"digest", "line"}}
    line = encode({**body, "action": event.action.value, "outcome": None})
    assert line.count(b"\n") == 1
    assert decode(line[:-1], "").reason == text


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.replace(b'"attempt":0', b'"attempt":0.0'),
        lambda line: line.replace(b'"attempt":0', b'"attempt":0,"attempt":0'),
        lambda line: line.replace(b'"attempt":0', b'"attempt":NaN'),
        lambda line: line.replace(b'"attempt":0', b'"attempt":0,"more":1'),
        lambda line: line.replace(b'"attempt":0,', b""),
        lambda line: line.replace(b"Ann", b"\xff\xfe\xfd"),
        lambda line: b"[" * 100_000 + line,
    ],
    ids=["a float", "a name twice", "NaN", "a field more", "a field less", "no ASCII", "deep nesting"],
)
def test_a_line_that_is_none_is_refused_even_with_its_digest_right(case: Case, damage: Any) -> None:
    own = damage(lines(case)[0].rpartition(b',"digest":"')[0])
    (case.folder / LEDGER).write_bytes(own + b',"digest":"' + str(hash_bytes(own)).encode() + b'"}\n')
    with pytest.raises(IntegrityError, match="cannot be read"):
        Case.load(case.folder.parents[1], case.number)
    assert check(case.folder).code == 4


@pytest.mark.parametrize("step", [17, pytest.param(1, marks=pytest.mark.faults)])
def test_a_torn_last_line_is_set_aside_at_every_length(case: Case, tmp_path: Path, step: int) -> None:
    note(case, "the first")
    note(case, "the last")
    folder = copy(case, tmp_path / "copy")
    whole = lines(case)
    last, before = whole[-1], b"".join(whole[:-1])
    for length in sorted({*range(1, len(last) - 1, step), len(last) - 2}):
        (folder / LEDGER).write_bytes(before + last[:length])
        again = Case.load(folder.parents[1], case.number)
        assert len(again.events()) == 2, "a torn line is not on record"
        assert check(folder).code == 5
        note(again, "going on")
        repaired, after = again.events()[-2:]
        assert (repaired.action, repaired.outcome, after.reason) == (
            Action.LEDGER_REPAIRED, State.RECOVERED, "going on",
        )  # fmt: skip
        assert repaired.deviation is not None
        aside = folder / "work" / str(repaired.details["file"])
        assert aside.read_bytes() == last[:length]
        aside.unlink()
        assert lines(again)[:2] == whole[:2]
        assert check(folder)


def test_a_whole_last_line_without_its_newline_is_kept(case: Case) -> None:
    note(case, "the last")
    path = case.folder / LEDGER
    path.write_bytes(path.read_bytes()[:-1])
    again = Case.load(case.folder.parents[1], case.number)
    note(again, "going on")
    assert [one.reason for one in again.events()][1:] == ["the last", "going on"]
    assert check(case.folder)


def test_a_changed_end_of_the_last_line_is_damage_and_no_tear(case: Case) -> None:
    note(case, "the last")
    path = case.folder / LEDGER
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    with pytest.raises(IntegrityError):
        note(Case.load(case.folder.parents[1], case.number))
    assert check(case.folder).code == 4


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Case:
    made = new_case(tmp_path_factory.mktemp("ledger"))
    enter_one(made)
    for number in range(4):
        note(made, f"note {number}")
    return made


def refused(case: Case, content: bytes, line: int) -> None:
    """Both readers, ours and the verifier, must find it; the report names the line, counted from 1, or the next."""
    whole = (case.folder / LEDGER).read_bytes()
    try:
        (case.folder / LEDGER).write_bytes(content)
        result = check(case.folder)
        assert result.code == 4, content
        assert {one.where for one in result.problems} & {f"custody.jsonl, line {one}" for one in (line, line + 1)}
        with pytest.raises(IntegrityError):
            note(Case.load(case.folder.parents[1], case.number))
    finally:
        (case.folder / LEDGER).write_bytes(whole)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_one_changed_byte_anywhere_is_found(ledger: Case, data: st.DataObject) -> None:
    content = bytearray((ledger.folder / LEDGER).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    refused(ledger, bytes(content), 1 + content[:place].count(b"\n"))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_one_byte_more_or_less_inside_is_found(ledger: Case, data: st.DataObject) -> None:
    content = (ledger.folder / LEDGER).read_bytes()
    place = data.draw(st.integers(0, len(content) - 2))
    more = data.draw(st.binary(min_size=0, max_size=1))
    changed = content[:place] + more + content[place + (0 if more else 1) :]
    refused(ledger, changed, 1 + content[:place].count(b"\n"))


@pytest.mark.parametrize("end", [b"", b"\nx", b"\n\n", b"\n{}"])
def test_the_very_end_is_looked_at_too(ledger: Case, end: bytes) -> None:
    """Behind the last whole line an end is missing, or something stands that is none: torn, or damage, and named."""
    path = ledger.folder / LEDGER
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-1] + end)
        result = check(ledger.folder)
        assert result.code in {4, 5}
        assert result.problems[0].where == f"custody.jsonl, line {whole.count(bytes([10])) + (1 if end else 0)}"
    finally:
        path.write_bytes(whole)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_lines_swapped_dropped_or_doubled_are_found(ledger: Case, data: st.DataObject) -> None:
    whole = lines(ledger)
    one, other = sorted(data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=2, max_size=2, unique=True)))
    swapped = [*whole]
    swapped[one], swapped[other] = swapped[other], swapped[one]
    refused(ledger, b"".join(swapped), one + 1)
    refused(ledger, b"".join(whole[:one] + whole[one + 1 :]), one + 1)
    refused(ledger, b"".join([*whole[: one + 1], *whole[one:]]), one + 1)
    refused(ledger, b"".join([*whole, whole[-1]]), len(whole))


def test_a_cut_tail_is_found_by_a_head_kept_elsewhere_and_said_to_be_beyond_us_without(ledger: Case) -> None:
    path = ledger.folder / LEDGER
    whole = path.read_bytes()
    head = ledger.events()[-1].digest
    assert check(ledger.folder, head)
    try:
        path.write_bytes(b"".join(lines(ledger)[:-1]))
        assert check(ledger.folder).code == 0
        assert check(ledger.folder, head).code == 4
        told = subprocess.run(
            [sys.executable, "-I", REPOSITORY / "forensics" / "verify.py", ledger.folder],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert told.returncode == 0
        assert "cut from the ledger's end" in told.stdout
    finally:
        path.write_bytes(whole)


def test_twenty_writers_leave_one_chain_without_gaps(case: Case) -> None:
    root = case.folder.parents[1]
    command = [sys.executable, "-c", APPEND, str(root), "50"]
    writers = [subprocess.Popen([*command, str(one)], cwd=REPOSITORY, stdout=subprocess.DEVNULL) for one in range(20)]
    assert [one.wait(300) for one in writers] == [0] * 20
    reasons = [one.reason for one in case.events()[1:]]
    assert sorted(reasons) == sorted(f"{writer} {number}" for writer in range(20) for number in range(50))
    assert check(case.folder)


def test_a_killed_holder_of_the_lock_frees_it(case: Case) -> None:
    assert program(HOLD, str(case.folder.parents[1])).returncode == -signal.SIGKILL
    note(case, "going on")
    assert case.events()[-1].reason == "going on"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_failed_fsync_is_final(case: Case, number: int) -> None:
    root = str(case.folder.parents[1])
    done = program(APPEND, root, "5", "x", under=strace(f"fsync:error=EIO:when={number}"))
    assert done.returncode == 1
    assert "Input/output error" in done.stderr
    assert done.stdout.split("\n")[-2] == "nothing more", "a second fsync could succeed without the pages"
    assert [one.reason for one in case.events()[1:]] == [f"x {one}" for one in range(number - 1)]
    note(case, "another run goes on")
    assert check(case.folder)


@pytest.mark.parametrize(
    ("error", "words"),
    [("ENOSPC", "No space left on device"), ("EDQUOT", "Disk quota exceeded"), ("EIO", "Input/output")],
)
def test_a_disk_that_takes_nothing_more_leaves_no_half_line(case: Case, error: str, words: str) -> None:
    under = (*strace(f"write:error={error}:when=1+"), "-P", str(case.folder / LEDGER))
    done = program(APPEND, str(case.folder.parents[1]), "1", "x", under=under)
    assert done.returncode == 1
    assert words in done.stderr
    assert str(case.folder / LEDGER) in done.stderr
    assert len(case.events()) == 1
    assert check(case.folder)


@pytest.mark.parametrize("call", ["write", "fsync", "flock"])
def test_an_interrupted_system_call_loses_nothing(case: Case, call: str) -> None:
    """EINTR at every other call; short writes are what the limit below and the small disk give."""
    done = program(APPEND, str(case.folder.parents[1]), "5", "x", under=strace(f"{call}:error=EINTR:when=1+2"))
    assert done.returncode == 0, done.stderr
    assert [one.reason for one in case.events()[1:]] == [f"x {one}" for one in range(5)]
    assert check(case.folder)


def test_a_line_that_is_cut_by_a_limit_is_taken_back(case: Case) -> None:
    size = (case.folder / LEDGER).stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
    try:
        with pytest.raises(CaseError, match="could not be written"):
            note(case)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (case.folder / LEDGER).stat().st_size == size


@pytest.mark.parametrize(("by", "way"), [("-1h", "back"), ("+1h", "forward")])
def test_a_clock_that_jumps_is_recorded_and_the_order_stays(case: Case, by: str, way: str) -> None:
    faketime = shutil.which("faketime") or ""
    if not faketime:
        skip("faketime is not installed")
    under = ("env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1", faketime, "-f", by)
    done = program(JUMP, str(case.folder.parents[1]), under=under)
    assert done.returncode == 0, done.stderr
    warning, event = case.events()[-2:]
    assert (warning.action, event.reason) == (Action.CLOCK_WARNING, "another time")
    assert way in warning.reason
    assert check(case.folder)
