"""Memory read from a file like /proc/kcore over a real sshd, with real shells and real dd."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from forensics.engines import Engine, Materials, Prepared
from forensics.engines.kcore import Kcore
from forensics.errors import StageFailed
from forensics.host import Host
from forensics.kcore.packing import WORDS
from forensics.lime.format import header
from forensics.model import Facts, MemoryImage, MemoryRange, NoSymbols, NotAcquired, NotBuilt, Outcome, Preflight
from forensics.ssh import Secrets, SshHost, connect
from forensics.stage import Entered
from forensics.stages import acquire as stage
from forensics.stages.acquire import AcquireSettings, acquire
from forensics.stages.prove import prove
from tests.kcore import files
from tests.known import RAM, desk, entered, facts
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd, skip

BANNER = b"Linux version 6.1.0-99-test-amd64"
TOOLS = {"dd": "/usr/bin/dd"}
LARGE = (RAM[0], MemoryRange(0x100000, 0x1A00000 + 4097))
"""A machine of 25 MiB, the last page not whole: six stripes."""


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture
def host(sshd: Sshd, recorder: MemoryRecorder) -> Iterator[SshHost]:
    found = connect(sshd.target(), recorder, Secrets())
    yield found
    found.close()


def image_of(held: dict[MemoryRange, bytes]) -> bytes:
    return b"".join(header(one) + content for one, content in held.items())


def taken(
    case: Path,
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    ladder: tuple[Engine, ...],
    settings: AcquireSettings | None = None,
    **known: Any,
) -> tuple[MemoryImage | NotAcquired, Entered, dict[str, Any]]:
    monkeypatch.setattr(stage, "LADDER", ladder)
    about = facts(**{"ram": LARGE, "tools": TOOLS, "proc_version": BANNER + b"\n", **known})
    work = acquire.work(desk(case, "acquire"), host, about, NotBuilt((), "a test"), settings or AcquireSettings())
    found = entered(case, work)
    told = json.loads((case / "acquire" / "acquisition.json").read_text())
    return acquire.gives(found), found, told


@pytest.mark.parametrize("streams", [1, 2, 5])
def test_memory_arrives_whole_and_in_the_order_of_addresses(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, streams: int
) -> None:
    held = files.write(tmp_path / "kcore", LARGE)
    settings = AcquireSettings(streams=streams)
    image, _, told = taken(tmp_path, host, monkeypatch, (Kcore(file=str(tmp_path / "kcore")),), settings)
    assert isinstance(image, MemoryImage)
    assert image.ended_well
    assert image.image.digest.value == hashlib.sha256(image_of(held)).hexdigest()
    (attempt,) = told["attempts"]
    assert attempt["streams"] == streams
    assert [one["status"] for one in attempt["readers"]] == [0] * streams
    assert all(one["stderr"] == "" for one in attempt["readers"])


@pytest.mark.parametrize("name", WORDS)
def test_what_travels_packed_arrives_as_it_was(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    program = shutil.which(name)
    if program is None:
        skip(f"{name} is missing: install the package {name}")
    held = files.write(tmp_path / "kcore", LARGE)
    settings = AcquireSettings(compression=name)
    ladder = (Kcore(file=str(tmp_path / "kcore")),)
    image, _, told = taken(tmp_path, host, monkeypatch, ladder, settings, tools={**TOOLS, name: program})
    assert isinstance(image, MemoryImage)
    assert image.ended_well
    assert image.image.digest.value == hashlib.sha256(image_of(held)).hexdigest()
    assert told["attempts"][0]["compression"] == name


def test_dd_of_busybox_is_as_good(tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    program = shutil.which("busybox")
    if program is None:
        skip("busybox is missing: install the package busybox")
    held = files.write(tmp_path / "kcore", LARGE)
    ladder = (Kcore(file=str(tmp_path / "kcore")),)
    image, _, told = taken(tmp_path, host, monkeypatch, ladder, tools={"busybox": program})
    assert isinstance(image, MemoryImage)
    assert told["attempts"][0]["dd"] == f"{program} dd"
    assert image.image.digest.value == hashlib.sha256(image_of(held)).hexdigest()


def test_nothing_is_put_on_the_target(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, recorder: MemoryRecorder
) -> None:
    files.write(tmp_path / "kcore", RAM)
    taken(tmp_path, host, monkeypatch, (Kcore(file=str(tmp_path / "kcore")),), ram=RAM)
    changes = {(event[1].kind, Path(event[1].subject).name) for event in recorder.events if event[0] == "intend"}  # type: ignore[attr-defined]
    assert changes == {("setting", "oom_score_adj")}  # of our own sshd, for the time of the acquisition
    assert {proven for _, proven in recorder.restorations()} == {True}
    assert {Path(words[0]).name for words in recorder.commands()} == {"id", "dd", "sh", "cat"}


def test_partial_pages_are_listed_and_the_notes_kept(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "kcore", RAM, banner=BANNER)
    image, found, told = taken(tmp_path, host, monkeypatch, (Kcore(file=str(tmp_path / "kcore")),), ram=RAM)
    assert told["attempts"][0]["partial_pages_not_in_kcore"] == [[0x9F000, 0x9FBFF]]
    note = found.one("vmcoreinfo")
    assert note is not None
    assert found.path(note).read_bytes() == files.VMCOREINFO
    known = facts(proc_version=BANNER + b"\n")
    judged = prove.work(desk(tmp_path, "prove"), host, image, NoSymbols((), "a test"), known)
    proof = prove.gives(entered(tmp_path, judged))
    # This machine's own RAM map is not the made-up target's: that it changed is all that may be said against it.
    assert all("RAM map" in one or "no process list" in one for one in proof.reasons)
    assert "names pages" not in " ".join(proof.reasons)


def test_memory_that_kcore_does_not_hold_makes_the_image_partial(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "kcore", RAM, banner=BANNER)
    more = (*RAM, MemoryRange(0x1000000, 0x10FFFFF))
    image, _, told = taken(tmp_path, host, monkeypatch, (Kcore(file=str(tmp_path / "kcore")),), ram=more)
    assert told["attempts"][0]["not_in_kcore"] == [[0x1000000, 0x10FFFFF]]
    known = facts(proc_version=BANNER + b"\n", ram=more)
    judged = prove.work(desk(tmp_path, "prove"), host, image, NoSymbols((), "a test"), known)
    proof = prove.gives(entered(tmp_path, judged))
    assert proof.verdict == "partial"
    assert "0x1000000-0x10fffff" in " ".join(proof.reasons)


def test_a_read_that_comes_short_moves_no_byte_and_makes_the_image_partial(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = files.write(tmp_path / "kcore", LARGE)
    with (tmp_path / "kcore").open("r+b") as file:
        file.truncate(files.whole(LARGE)[4].offset + (6 << 20) + 1234)
    image, found, _ = taken(tmp_path, host, monkeypatch, (Kcore(file=str(tmp_path / "kcore")),))
    assert isinstance(image, MemoryImage)
    assert not image.ended_well
    assert "stopped reading" in image.reason
    assert "2+1 records in" in image.reason
    came = found.path(image.image).read_bytes()
    assert came == image_of(held)[: 32 + 0x9E000 + 32 + (6 << 20) + 1234]


def test_a_connection_that_is_refused_is_told_and_the_others_do_the_work(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, sshd: Sshd
) -> None:
    held = files.write(tmp_path / "kcore", LARGE)
    host.identity()
    sshd.stop()  # what is connected stays
    settings = AcquireSettings(streams=3)
    image, _, told = taken(tmp_path, host, monkeypatch, (Kcore(file=str(tmp_path / "kcore")),), settings)
    assert isinstance(image, MemoryImage)
    assert image.image.digest.value == hashlib.sha256(image_of(held)).hexdigest()
    assert told["attempts"][0]["streams"] == 1
    assert "cannot be reached" in told["attempts"][0]["connection_refused"]


class _Refused:
    """An engine whose target refuses it before the first byte."""

    name = "first"

    def check(self, known: Facts, materials: Materials) -> Preflight:
        del known, materials
        return Preflight("acquire: first", works=True, why="a test")

    @contextmanager
    def prepare(self, host: Host, known: Facts, materials: Materials) -> Iterator[Prepared]:
        del host, known, materials
        raise StageFailed("the target did not load the module", why="Key was rejected by service")
        yield


def test_when_an_engine_is_refused_the_next_one_is_taken_and_both_are_on_record(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "kcore", RAM)
    ladder = (_Refused(), Kcore(file=str(tmp_path / "kcore")))
    image, found, told = taken(tmp_path, host, monkeypatch, ladder, ram=RAM)
    assert isinstance(image, MemoryImage)
    assert image.engine == "kcore"
    result = found.result("memory")
    assert result is not None
    assert result.outcome is Outcome.DONE
    listed = result.facts["attempts"]
    assert isinstance(listed, list)
    assert [(one["engine"], one["outcome"]) for one in told["attempts"]] == [
        ("first", "not acquired"),
        ("kcore", "acquired"),
    ]
    assert told["attempts"][0]["reason"].startswith("the target did not load the module")
    assert [isinstance(one, dict) and one["engine"] for one in listed] == ["first", "kcore"]


def test_an_engine_that_was_named_is_not_replaced_but_the_other_is_offered(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "kcore", RAM)
    ladder = (_Refused(), Kcore(file=str(tmp_path / "kcore")))
    image, _, _ = taken(tmp_path, host, monkeypatch, ladder, AcquireSettings("first"), ram=RAM)
    assert isinstance(image, NotAcquired)
    assert image.reason.startswith("first: the target did not load the module")
    assert "--engine kcore" in image.reason


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"lockdown": "confidentiality"}, "locked down (confidentiality)"),
        ({"config": {"CONFIG_PROC_KCORE": "n"}}, "CONFIG_PROC_KCORE"),
        ({"ram": ()}, "RAM map"),
        ({"tools": {"cat": "/usr/bin/cat"}}, "dd is not there"),
    ],
)
def test_a_kernel_that_forbids_it_is_not_asked(  # noqa: PLR0917 - fixtures
    tmp_path: Path,
    host: SshHost,
    monkeypatch: pytest.MonkeyPatch,
    recorder: MemoryRecorder,
    known: dict[str, Any],
    words: str,
) -> None:
    image, _, _ = taken(tmp_path, host, monkeypatch, (Kcore(),), **known)
    assert isinstance(image, NotAcquired)
    assert words in image.reason
    assert recorder.commands() == []


def test_a_file_that_cannot_be_read_is_no_image(tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    image, _, _ = taken(tmp_path, host, monkeypatch, (Kcore(file=str(tmp_path / "absent")),))
    assert isinstance(image, NotAcquired)
    assert "does not let /proc/kcore be read" in image.reason
    assert "No such file" in image.reason


def test_more_streams_than_are_possible_are_refused(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "kcore", RAM)
    image, _, _ = taken(
        tmp_path, host, monkeypatch, (Kcore(file=str(tmp_path / "kcore")),), AcquireSettings(streams=99), ram=RAM
    )
    assert isinstance(image, NotAcquired)
    assert "99 streams" in image.reason


def test_words_that_are_no_program_there_are_refused(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "kcore", RAM)
    settings = AcquireSettings(compression="zstd")
    image, _, _ = taken(tmp_path, host, monkeypatch, (Kcore(file=str(tmp_path / "kcore")),), settings, ram=RAM)
    assert isinstance(image, NotAcquired)
    assert "zstd cannot pack on this target" in image.reason
