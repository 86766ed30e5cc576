"""An image that someone else took goes through a case from its papers to the report, and is called what it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from forensics import verify
from tests.imports import vmcores
from tests.imports.vmcores import PAGE
from tests.lab.workstation import CaseFolder, Ended, Workstation
from tests.volatility import tiny

NUMBER = "2026-0007"
NOBODY = "linux.pslist.PsList: {pid: [4711]}"
"""A plugin that finds nothing in that memory."""


@pytest.fixture
def desk(tmp_path: Path) -> Workstation:
    desk = Workstation(tmp_path)
    desk.open_case(NUMBER)
    return desk


def case(desk: Workstation) -> CaseFolder:
    return CaseFolder(desk.root / "cases" / NUMBER)


def memory(desk: Workstation) -> dict[int, bytes]:
    """The memory of a tiny kernel with three processes."""
    return vmcores.memory(tiny.image(desk.root / "tiny.lime"))


def vmcore(desk: Workstation, name: str = "vmcore", *, level: int = 0) -> Path:
    pages = {
        (start + at) // PAGE: data[at : at + PAGE]
        for start, data in memory(desk).items()
        for at in range(0, len(data), PAGE)
    }
    return vmcores.kdump(desk.root / name, pages, present=max(pages) + 1, level=level, info=b"OSRELEASE=6.1\n")


def run(desk: Workstation, *words: str) -> Ended:
    return desk.forensics("run", NUMBER, *words)


def proof(desk: Workstation) -> dict[str, object]:
    told = json.loads(case(desk).entered("proof")[-1].read_text())
    assert isinstance(told, dict)
    return told


def test_a_compressed_vmcore_goes_through_to_a_report_with_its_processes(desk: Workstation) -> None:
    image, table = vmcore(desk), tiny.table(desk.root / "table.json")
    paper = desk.root / "vmcore.md5"
    paper.write_text(f"{hashlib.md5(image.read_bytes()).hexdigest()}  vmcore\n")  # noqa: S324 - as old papers have it
    done = desk.forensics("import", NUMBER, str(image), str(paper), "--target", "db02")
    assert done.code == 0, (done.out, done.err)
    (original,), (converted,) = case(desk).entered("memory-original"), case(desk).entered("memory-image")
    assert original.read_bytes() == image.read_bytes()
    assert b"".join(vmcores.memory(converted).values()) == b"".join(memory(desk).values())
    record = json.loads(case(desk).entered("acquisition-record")[0].read_text())
    assert [(one["paper"], one["agrees"]) for one in record["papers"]] == [("vmcore.md5", True)]
    done = run(desk, "--symbols", str(table), "--plan", str(_plan(desk)))
    assert done.code == 3, (done.out, done.err)  # rules whose tables one plugin alone does not give
    told = proof(desk)
    assert (told["verdict"], told["usable"]) == ("complete", True)
    assert {row["PID"] for row in case(desk).table("linux.pslist.PsList")} >= {task.pid for task in tiny.THREE}
    assert (desk.root / "reports" / f"{NUMBER}.pdf").is_file()
    assert verify.verify(case(desk).folder).code == 0
    assert run(desk, "--symbols", str(table), "--plan", str(_plan(desk))).code == 3
    assert case(desk).ends("import") == [("finished", "")]


def _plan(desk: Workstation, plugin: str = "linux.pslist.PsList") -> Path:
    path = desk.root / "plan.yaml"
    path.write_text(f"name: short\ncollectors: []\nplugins: [{plugin}]\n")
    return path


@pytest.mark.parametrize(("level", "outcome"), [(0, "empty"), (31, "partial")])
def test_nothing_found_in_an_image_that_lacks_memory_is_not_empty(desk: Workstation, level: int, outcome: str) -> None:
    desk.forensics("import", NUMBER, str(vmcore(desk, level=level)))
    words = ("--symbols", str(tiny.table(desk.root / "table.json")), "--plan", str(_plan(desk, NOBODY)))
    assert run(desk, *words, "--until", "analyse").code == (0 if outcome == "empty" else 3)
    said = case(desk).items("analyse")["linux.pslist.PsList"]
    assert said[0] == outcome
    assert ("kernel pages only" in said[1]) is (outcome == "partial")


@pytest.mark.parametrize(
    ("name", "verdict", "why"),
    [
        ("raw", "unknown", "no RAM map came with it"),
        ("lime", "unknown", "no RAM map came with it"),
        ("avml", "unknown", "no RAM map came with it"),
        ("elf", "complete", "by its own list"),
        ("kernel pages", "partial", "kernel pages only"),
    ],
)
def test_the_verdict_is_what_can_be_known(desk: Workstation, name: str, verdict: str, why: str) -> None:
    held = memory(desk)
    path = desk.root / "image"
    if name == "raw":
        path.write_bytes(b"".join(held.values()))
    elif name == "kernel pages":
        vmcore(desk, "image", level=31)
    else:
        {"lime": vmcores.lime, "avml": vmcores.avml, "elf": vmcores.elf}[name](path, held)
    done = desk.forensics("import", NUMBER, str(path))
    assert done.code == (3 if verdict == "partial" else 0), (done.out, done.err)
    done = run(desk, "--until", "prove", "--symbols", str(tiny.table(desk.root / "table.json")))
    assert done.code == (0 if verdict == "complete" else 3), (done.out, done.err)
    told = proof(desk)
    assert (told["verdict"], told["usable"]) == (verdict, True), told
    assert why in str(told["reasons"])


def test_a_file_that_is_not_what_its_papers_say_is_refused_and_entered_only_on_record(desk: Workstation) -> None:
    image = vmcore(desk)
    wrong = ("--digest", f"sha1:{'0' * 40}")
    done = desk.forensics("import", NUMBER, str(image), *wrong)
    assert done.code == 7
    assert f"sha1:{'0' * 40}" in done.error["why"]
    assert case(desk).ends("import")[0][0] == "refused"
    assert case(desk).entered("memory-image") == []
    assert not list((case(desk).folder / "work").rglob("*.part"))
    done = desk.forensics("import", NUMBER, str(image), *wrong, "--despite-papers", "the only copy there is")
    assert done.code == 0, done.err
    assert run(desk, "--until", "prove").code == 3
    assert proof(desk)["verdict"] == "unknown"
    assert "the only copy there is" in str(proof(desk)["reasons"])


def test_an_image_that_cannot_be_read_is_kept_and_the_run_says_that_there_is_none(desk: Workstation) -> None:
    broken = vmcore(desk)
    broken.write_bytes(broken.read_bytes()[:5000])
    done = desk.forensics("import", NUMBER, str(broken))
    assert done.code == 3, (done.out, done.err)
    assert [path.read_bytes() for path in case(desk).entered("memory-original")] == [broken.read_bytes()]
    done = run(desk)
    assert done.code == 1
    assert "there is no image that could be analysed" in done.error["error"]


def test_a_table_of_another_kernel_is_not_used(desk: Workstation) -> None:
    desk.forensics("import", NUMBER, str(vmcore(desk)))
    other = tiny.table(desk.root / "other.json", banner=b"Linux version 6.1.0-99 (of another kernel)\n\0")
    assert run(desk, "--symbols", str(other), "--until", "symbols").code == 3
    outcome, reason = case(desk).items("symbols")["symbols"]
    assert (outcome, "the table is for another kernel" in reason) == ("failed", True)
    assert run(desk, "--until", "symbols").code == 3
    outcome, reason = case(desk).items("symbols")["symbols"]
    assert (outcome, "--symbols FILE" in reason) == ("absent", True)


def test_the_table_of_any_kernel_in_the_image_is_tried_and_the_image_decides(desk: Workstation) -> None:
    other = tiny.BANNER.replace(b"6.1", b"5.9", 1)
    held = memory(desk)
    start = min(held)
    held[start] = held[start][:64] + other.ljust(256, b"\0") + held[start][320:]  # before the kernel's own
    desk.forensics("import", NUMBER, str(vmcores.lime(desk.root / "image", held)))
    assert run(desk, "--until", "prove", "--symbols", str(tiny.table(desk.root / "table.json"))).code == 3
    assert proof(desk)["usable"] is True


def test_one_machine_has_one_image_unless_another_is_asked_for(desk: Workstation) -> None:
    first, second = vmcore(desk), vmcore(desk, "second", level=1)
    assert desk.forensics("import", NUMBER, str(first)).code == 0
    assert desk.forensics("import", NUMBER, str(first)).code == 0
    assert len(case(desk).entered("memory-image")) == 1
    done = desk.forensics("import", NUMBER, str(second))
    assert done.code == 2
    assert "has an image already" in done.error["error"]
    assert desk.forensics("import", NUMBER, str(second), "--target", "db03").code == 0
