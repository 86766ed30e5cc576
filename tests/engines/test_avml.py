"""AVML's way of working, with a stand-in binary of ours: streamed by a named pipe, its digest checked, nothing left.

The stand-in takes the words that AVML takes and writes what AVML writes (LiME's headers, blocks of zeros left out). The
real binary has not been tried.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.engines.avml import REMARK, Avml
from forensics.lime.format import header
from forensics.model import MemoryImage, NotAcquired, NotBuilt
from forensics.ssh import Secrets, SshHost, connect
from forensics.stages import acquire as stage
from forensics.stages.acquire import AcquireSettings, acquire
from tests.known import RAM, desk, entered, facts
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd, skip

pytestmark = pytest.mark.root

IMAGE = b"".join(header(one) + bytes([number + 1]) * one.size for number, one in enumerate(RAM))

_SOURCE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **words) {
  int verbs = VERBS, at = 1;
  if (count == 2 && !strcmp(words[1], "--version")) { puts("avml 0.0.0"); return 0; }
  if (count == 2 && !strcmp(words[1], "--help")) { puts(verbs ? "Commands:\n  acquire   x" : "Usage: avml"); return 0; }
  if (verbs && (count < 2 || strcmp(words[at++], "acquire"))) return 64;
  if (count != at + 3 || strcmp(words[at], "--source")) return 65;
  if (!access("/proc/self/fd/4", F_OK)) return 66; /* the pipe's keeper is not for it */
  puts("progress that is no memory");
  int in = open(words[at + 1], O_RDONLY);
  if (in < 0) { fputs("unable to read source\n", stderr); return 1; }
  int out = open(words[at + 2], O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  if (out < 0) return 67;
  static char piece[65536];
  long size, left = LEAST;
  while ((size = read(in, piece, sizeof piece)) > 0) {
    if (left >= 0 && (left -= size) < 0) return 68; /* breaks off in the middle */
    for (long done = 0, wrote; done < size; done += wrote)
      if ((wrote = write(out, piece + done, size - done)) < 0) return 69;
  }
  return 0;
}
"""


def built(folder: Path, *, verbs: bool = True, breaks_off: bool = False) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        skip("gcc is missing: install build-essential")
    program = folder / "avml"
    words = [compiler or "", "-static", "-x", "c", "-", "-o", str(program)]
    source = _SOURCE.replace("VERBS", str(int(verbs))).replace("LEAST", "1000000" if breaks_off else "-1")
    subprocess.run(words, input=source.encode(), check=True)
    return program


def digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture
def host(sshd: Sshd, recorder: MemoryRecorder) -> Iterator[SshHost]:
    found = connect(sshd.target(), recorder, Secrets())
    yield found
    found.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "kcore"
    path.write_bytes(IMAGE)
    return path


def taken(
    case: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, source: Path, settings: AcquireSettings
) -> tuple[MemoryImage | NotAcquired, dict[str, Any]]:
    monkeypatch.setattr(stage, "ASKED", (Avml(source=str(source)),))
    known = facts(machine="x86_64", config={"CONFIG_PROC_KCORE": "y"}, tools={"dd": "/usr/bin/dd"})
    work = acquire.work(desk(case, "acquire"), host, known, NotBuilt((), "a test"), settings)
    found = entered(case, work)
    return acquire.gives(found), json.loads((case / "acquire" / "acquisition.json").read_text())["attempts"][-1]


@pytest.fixture(params=["since 0.19", "before"])
def binary(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return built(tmp_path, verbs=request.param == "since 0.19")


@pytest.mark.usefixtures("source")
def test_what_it_writes_arrives_whole_and_nothing_of_it_stays(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, recorder: MemoryRecorder, binary: Path
) -> None:
    settings = AcquireSettings(engine="avml", avml=binary, avml_digest=digest(binary))
    image, attempt = taken(tmp_path, host, monkeypatch, tmp_path / "kcore", settings)
    assert isinstance(image, MemoryImage)
    assert image.ended_well
    assert image.image.digest.value == hashlib.sha256(IMAGE).hexdigest()
    assert image.image.facts["remarks"] == [REMARK]
    assert attempt["version"] == "avml 0.0.0"
    assert attempt["ended"] == [{"status": 0, "stderr": "progress that is no memory"}]
    put = [event[1] for event in recorder.events if event[0] == "intend"]
    assert any(str(one.subject).endswith("/avml") and digest(binary) in one.details for one in put)  # type: ignore[attr-defined]
    assert {proven for _, proven in recorder.restorations()} == {True}
    assert not any(Path(str(one.subject)).exists() for one in put if one.kind in {"file", "folder"})  # type: ignore[attr-defined]


def test_one_that_breaks_off_is_never_whole(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, source: Path
) -> None:
    binary = built(tmp_path, breaks_off=True)
    settings = AcquireSettings(engine="avml", avml=binary, avml_digest=digest(binary))
    image, attempt = taken(tmp_path, host, monkeypatch, source, settings)
    assert isinstance(image, MemoryImage)
    assert not image.ended_well
    assert attempt["ended"][0]["status"] == 68
    assert "status 68" in image.reason


def test_one_that_cannot_read_its_source_hangs_nobody(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, source: Path
) -> None:
    binary = built(tmp_path)
    settings = AcquireSettings(engine="avml", avml=binary, avml_digest=digest(binary))
    image, _ = taken(tmp_path, host, monkeypatch, source.with_name("absent"), settings)
    assert isinstance(image, NotAcquired)
    assert "unable to read source" in image.reason


def test_a_binary_that_is_not_the_one_is_never_put_there(
    tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch, recorder: MemoryRecorder, source: Path
) -> None:
    binary = built(tmp_path)
    right = AcquireSettings(engine="avml", avml=binary, avml_digest=digest(binary))
    for wrong, words in (
        (replace(right, avml_digest="sha256:" + "0" * 64), "has to be sha256:000"),
        (replace(right, avml_digest=""), "--avml-digest"),
        (replace(right, avml=None), "--avml FILE"),
        (replace(right, avml=tmp_path / "none"), "cannot be read"),
    ):
        (tmp_path / words).mkdir()
        image, _ = taken(tmp_path / words, host, monkeypatch, source, wrong)
        assert isinstance(image, NotAcquired)
        assert words in image.reason
    assert all("mkdir" not in words[0] for words in recorder.commands())
