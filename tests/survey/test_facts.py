"""The facts of a captured survey: what the guest was, from its answers alone, again and again the same."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from forensics.errors import CaseError
from forensics.host import Completed
from forensics.model import Digest, Exhibit, Facts, MemoryRange
from forensics.stage import Entered
from forensics.survey import facts, kernel_identity, kernel_state, preflight, transcript
from forensics.survey.transcript import Answer

CAPTURED = Path(__file__).parent / "bookworm"


@pytest.fixture(scope="module")
def answers() -> tuple[Answer, ...]:
    return transcript.read((CAPTURED / "survey.jsonl").read_bytes(), lambda name: (CAPTURED / name).read_bytes())


@pytest.fixture(scope="module")
def known(answers: tuple[Answer, ...]) -> Facts:
    return facts.derive(answers).facts


def test_the_guest_is_described(known: Facts) -> None:
    assert (known.release, known.machine) == ("6.1.0-56-cloud-amd64", "x86_64")
    assert (known.distribution, known.distribution_version) == ("debian", "12")
    assert known.proc_version.startswith(b"Linux version 6.1.0-56-cloud-amd64 ")
    assert known.ram == (MemoryRange(0x1000, 0x9FBFF), MemoryRange(0x100000, 0xFFDBFFF))
    assert known.ram[-1].end < 256 << 20
    assert known.root_device == "vda"
    assert (known.lockdown, known.signature_enforced, known.secure_boot) == ("none", False, False)
    assert not known.five_level_paging
    assert known.tools["insmod"] == "/usr/sbin/insmod"
    assert "virtio_net" in known.modules
    assert known.symbol_versions == {}


def test_the_process_list_has_what_every_system_has(known: Facts) -> None:
    by_pid = {one.pid: one for one in known.processes}
    assert (by_pid[1].comm, by_pid[1].kernel_thread, by_pid[1].uid) == ("systemd", False, 0)
    assert (by_pid[2].comm, by_pid[2].kernel_thread) == ("kthreadd", True)
    assert all(one.kernel_thread == (one.pid == 2 or one.ppid == 2) for one in known.processes)
    assert all(one.started <= known.uptime + 10 for one in known.processes)


def test_both_ways_to_the_slide_agree(answers: tuple[Answer, ...], known: Facts) -> None:
    said = {answer.name: answer.said.stdout for answer in answers}
    by_symbols = kernel_state.slide(said["kallsyms"], b"", known.config)
    assert known.kernel_offset == by_symbols
    assert known.kernel_offset is not None
    assert known.kernel_offset % (2 << 20) == 0


def test_the_kernel_is_known_by_its_build_id_and_its_banner_by_its_place(
    answers: tuple[Answer, ...], known: Facts
) -> None:
    assert f"BUILD-ID={known.build_id}\n".encode() in known.vmcoreinfo
    assert len(known.build_id) == 40
    said = {answer.name: answer.said.stdout for answer in answers}
    by_iomem = kernel_identity.places(said["kallsyms"], b"", said["iomem"], b"0x10cc000 1024\n")
    assert by_iomem == {"linux_banner": known.places["linux_banner"], "vmcoreinfo": 0x10CC000}


def test_a_build_id_is_read_of_the_kernels_notes() -> None:
    notes = struct.pack("<III", 4, 4, 1) + b"GNU\0ABCD" + struct.pack("<III", 4, 20, 3) + b"GNU\0" + bytes(range(20))
    assert kernel_identity.build_id(notes, b"") == bytes(range(20)).hex()
    assert kernel_identity.build_id(notes[:-1], b"") == ""
    assert kernel_identity.build_id(b"\xff" * 64, b"BUILD-ID=0123456789abcdef\n") == "0123456789abcdef"


def test_facts_of_an_earlier_version_are_read_still(answers: tuple[Answer, ...]) -> None:
    told = json.loads(facts.to_json(facts.derive(answers)))
    for name in ("build_id", "vmcoreinfo", "places"):
        del told["facts"][name]
    read = facts.from_json(json.dumps(told).encode(), Entered((), (), Path()))
    assert (read.build_id, read.vmcoreinfo, read.places) == ("", b"", {})


def test_what_is_not_known_has_its_reason(answers: tuple[Answer, ...]) -> None:
    assert facts.derive(answers).unknown["system_map"] == "the file is only a note"
    silent = facts.derive([])
    assert silent.facts.ram == ()
    assert silent.facts.kernel_offset is None
    assert silent.facts.signature_enforced is None
    assert {"ram", "btf", "kallsyms", "clock", "processes", "kernel_offset", "taint"} <= set(silent.unknown)


def test_the_same_answers_give_the_same_facts(answers: tuple[Answer, ...]) -> None:
    again = transcript.read(transcript.write(answers), lambda name: (CAPTURED / name).read_bytes())
    assert again == answers
    assert facts.to_json(facts.derive(again)) == facts.to_json(facts.derive(answers))


def exhibit(number: str, kind: str, digest: str) -> Exhibit:
    return Exhibit(number, kind, "", Path(number), 1, Digest.parse(digest), "lab", "survey", "survey")


def test_facts_come_back_from_their_file_with_their_exhibits(answers: tuple[Answer, ...]) -> None:
    derived = facts.derive(answers)
    right = exhibit("E0002", "btf", derived.files["btf"])
    other = exhibit("E0009", "btf", "sha256:" + "0" * 64)
    entered = Entered((right, other), (), Path())
    read = facts.from_json(facts.to_json(derived), entered)
    assert read.btf == right
    assert read.kallsyms is None
    assert replace(read, exhibits=(), btf=None) == derived.facts


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format":"forensics facts 1","facts":{},"files":{}}'])
def test_a_file_that_holds_no_facts_is_refused(content: bytes) -> None:
    with pytest.raises(CaseError):
        facts.from_json(content, Entered((), (), Path()))


def test_a_file_that_is_not_the_one_of_the_transcript_is_refused() -> None:
    with pytest.raises(ValueError, match="is not the file"):
        transcript.read((CAPTURED / "survey.jsonl").read_bytes(), lambda name: (CAPTURED / name).read_bytes() + b"x")


def date(seconds: float, round_trip: float, shown: str) -> Answer:
    moment = f"2026-11-23T21:00:{seconds:09.6f}Z"
    return Answer("clock", root=False, said=Completed(("date",), 0, shown.encode(), b"", "", moment, round_trip))


def test_the_clock_reading_with_the_shortest_round_trip_counts() -> None:
    base = 1795467600  # 2026-11-23T21:00:00Z
    slow, fast = date(1, 2.0, f"{base + 9}.000000000\n"), date(5, 0.2, f"{base + 8}.000000000\n")
    told = kernel_state.clock_offset([slow, fast, date(7, 0.01, "not a time")])
    assert told is not None
    assert told.seconds == pytest.approx(2.9)
    assert told.uncertainty == pytest.approx(0.1)


def test_five_levels_are_told_from_the_kernel_before_the_processor() -> None:
    able = b"flags\t\t: fpu la57 lm\n"
    assert kernel_state.five_levels(b"", able, "quiet", {})
    assert not kernel_state.five_levels(b"", able, "quiet no5lvl", {})
    assert not kernel_state.five_levels(b"NUMBER(pgtable_l5_enabled)=0\n", able, "", {})
    assert kernel_state.five_levels(b"NUMBER(pgtable_l5_enabled)=1\n", b"flags : lm\n", "", {})


def test_hidden_addresses_are_unknown_and_not_zero() -> None:
    hidden = b"0000000000000000 T _text\n0000000000000000 D init_task\n"
    assert kernel_state.symbol_addresses(hidden, ["_text", "init_task"]) == {}
    assert kernel_state.slide(hidden, b"", {}) is None


def rows(known: Facts, **changed: object) -> dict[str, tuple[str, str]]:
    around = preflight.Surroundings(room="/dev/shm tmpfs 4096 26000\n", has_btf=True, has_symbols=True)
    different = replace(known, **changed)  # type: ignore[arg-type]
    return {subject: (works, why) for subject, works, why in preflight.show(preflight.check(different, around))}


def test_everything_works_on_the_captured_guest(known: Facts) -> None:
    assert {why for works, why in rows(known).values() if works == "no"} == set()


def test_a_kernel_that_wants_signatures_is_told_before_anything_is_changed(known: Facts) -> None:
    told = rows(known, signature_enforced=True)
    assert told["acquire: lime"][0] == "no"
    assert "module.sig_enforce=1" in told["acquire: lime"][1]


def test_lockdown_closes_what_it_closes(known: Facts) -> None:
    integrity, confidentiality = rows(known, lockdown="integrity"), rows(known, lockdown="confidentiality")
    assert [integrity[name][0] for name in ("acquire: lime", "collect: blktrace")] == ["no", "yes"]
    assert "its own tracer blk" in integrity["collect: blktrace"][1]
    assert confidentiality["collect: blktrace"][0] == "no"
    assert confidentiality["acquire: lime"][0] == "no"


def test_five_level_paging_is_analysed_as_four_levels_are(known: Facts) -> None:
    assert rows(known, five_level_paging=True)["analyse"] == rows(known)["analyse"] != ("no", "")


def test_a_missing_program_is_named_with_its_package(known: Facts) -> None:
    fewer = {name: path for name, path in known.tools.items() if name not in ("blktrace", "iostat")}
    told = rows(known, tools=fewer)
    assert told["collect: blktrace"] == ("no", "not installed: blktrace (package blktrace)")
    assert told["collect: iostat"] == ("no", "not installed: iostat (package sysstat)")


def test_a_lime_that_is_loaded_already_is_not_ours(known: Facts) -> None:
    assert rows(known, modules=("lime",))["acquire: lime"][0] == "no"


@pytest.mark.parametrize(
    ("own", "listed", "works", "said"),
    [
        ("a" * 32, "a" * 32, True, "as its package lists it"),
        ("a" * 32, "b" * 32, False, "has to be changed"),
        ("a" * 32, "", None, "dpkg there lists no digest"),
        ("", "b" * 32, None, "could not be read"),
    ],
)
def test_a_sudo_that_is_not_its_packages_is_told(own: str, listed: str, works: bool | None, said: str) -> None:  # noqa: FBT001
    row = preflight.sudo(preflight.Surroundings(sudo=own, sudo_listed=listed))
    assert row.works is works
    assert said in row.why


def test_nothing_known_is_neither_yes_nor_no() -> None:
    silent = facts.derive([]).facts
    told = {row.subject: row.works for row in silent.preflight}
    assert told["acquire: lime"] is not True
    assert told["workplace"] is None
    assert json.loads(facts.to_json(facts.derive([])))["facts"]["clock"]["uncertainty"] == "Infinity"
