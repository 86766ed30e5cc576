"""Headers that the target keeps come whole and unchanged, are unpacked as a stranger's, and serve this target alone."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from forensics.host import Gone
from forensics.lime import room, target_headers
from forensics.lime.target_headers import TargetHeaders
from forensics.model import Facts, LimeModule, NotBuilt, Outcome
from forensics.ssh import Secrets, connect
from forensics.ssh.host import SshHost
from forensics.stage import Entered
from forensics.stages.build import BuildSettings, build
from forensics.stages.headers import HeaderSettings, headers
from tests.kernel_module import SOURCE
from tests.known import RELEASE, desk, entered, facts
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd, idle_sshd, skip_without_namespaces, sshd

__all__ = ["idle_sshd", "sshd"]
KNOWN = facts(tools={"tar": "/usr/bin/tar"})
OWN, SHARED = Path(f"/usr/src/linux-headers-{RELEASE}"), Path("/usr/src/linux-headers-6.1.0-99-common-of-a-test")
VERMAGIC = f"{RELEASE} SMP preempt mod_unload modversions "


@dataclass(frozen=True)
class Kept:
    """Headers in the places where Debian has them, as a target's sshd sees them; `source` is its /usr/src."""

    source: Path
    modules: Path

    @property
    def own(self) -> Path:
        return self.source / OWN.name


_BOUND = 'mount --bind "$0/source" /usr/src && mount --bind "$0/modules" /lib/modules && exec "$@"'


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    found = Kept(tmp_path / "target/source", tmp_path / "target/modules")
    (found.own / "include/generated").mkdir(parents=True)
    (found.own / "include/generated/utsrelease.h").write_text(f'#define UTS_RELEASE "{RELEASE}"\n')
    (found.own / "Makefile").write_text(f"include {SHARED}/Makefile\n")
    (found.own / "scripts").symlink_to(f"../{SHARED.name}/scripts")
    (found.own / "out").symlink_to("../../../../etc/passwd")
    shared = found.source / SHARED.name
    (shared / "scripts").mkdir(parents=True)
    (shared / "Makefile").write_text("modules:\n\tgcc -c -o $(M)/lime.ko $(M)/main.c\n")
    (shared / "scripts/tool").write_text("#!/bin/sh\n")
    (shared / "scripts/tool").chmod(0o755)
    (found.modules / RELEASE).mkdir(parents=True)
    (found.modules / RELEASE / "build").symlink_to(OWN)
    return found


@pytest.fixture
def host(tmp_path: Path, kept: Kept, idle_sshd: Sshd) -> Iterator[SshHost]:
    """A target of its own: another /usr/src and /lib/modules than this machine has."""
    words = ("unshare", "--mount", "--propagation", "private")
    if subprocess.run([*words, "true"], check=False, capture_output=True).returncode:
        skip_without_namespaces("no mount namespace can be made here")
    del kept
    here = Path("/lib/modules")
    made = not here.exists()
    here.mkdir(exist_ok=True)
    try:
        idle_sshd.start(within=(*words, "sh", "-c", _BOUND, str(tmp_path / "target")))
        found = connect(idle_sshd.target(), MemoryRecorder(), Secrets())
        yield found
        found.close()
    finally:
        idle_sshd.stop()
        if made:
            here.rmdir()


def run(
    case: Path, host: SshHost | Gone, known: Facts = KNOWN, *, given: bool = False
) -> tuple[TargetHeaders, Entered]:
    settings = HeaderSettings(case.parent / "profiles", given)
    made = entered(case, headers.work(desk(case, "headers"), host, known, settings))
    return headers.gives(made), made


def lime_source(folder: Path) -> Path:
    folder.mkdir()
    (folder / "main.c").write_text(SOURCE % VERMAGIC)
    (folder / "lime.h").touch()
    (folder / "Makefile").write_text("default:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) modules\n")
    return folder


def test_what_the_target_keeps_comes_with_all_that_it_leans_on(tmp_path: Path, host: SshHost, kept: Kept) -> None:
    os.utime(kept.own / "Makefile", (1_000_000_000, 1_000_000_000))
    found, _ = run(tmp_path / "case", host)
    assert found.archive is not None
    with tarfile.open(tmp_path / "case" / found.archive.path) as archive:
        names = archive.getnames()
    assert f"usr/src/{OWN.name}/Makefile" in names
    assert f"usr/src/{SHARED.name}/scripts/tool" in names
    assert f"usr/src/{OWN.name}/out" in names  # as a link, which is left out here


def test_a_module_is_made_with_them_and_not_kept_for_other_targets(tmp_path: Path, host: SshHost, kept: Kept) -> None:
    if not room.confined():
        skip_without_namespaces("bubblewrap cannot make namespaces here")
    case = tmp_path / "case"
    found, _ = run(case, host)
    shutil.rmtree(kept.own)  # they are used where they were copied to
    shutil.rmtree(kept.source / SHARED.name)
    settings = BuildSettings(profiles=tmp_path / "profiles", lime_source=lime_source(tmp_path / "lime"))
    made = build.gives(entered(case, build.work(desk(case, "build"), facts(), found, settings)))
    assert isinstance(made, LimeModule), made.reason
    assert made.vermagic.startswith(RELEASE)
    log = (case / "build" / "build.txt").read_text()
    assert "copied from the target" in log
    assert "1 links that lead out of them left out" in log
    assert not (tmp_path / "profiles" / RELEASE).exists()


def test_headers_of_another_kernel_than_the_running_one_are_not_used(tmp_path: Path, host: SshHost, kept: Kept) -> None:
    if not room.confined():
        skip_without_namespaces("bubblewrap cannot make namespaces here")
    (kept.own / "include/generated/utsrelease.h").write_text('#define UTS_RELEASE "6.1.0-98-test-amd64"\n')
    found, _ = run(tmp_path / "case", host)
    settings = BuildSettings(profiles=tmp_path / "profiles", lime_source=lime_source(tmp_path / "lime"))
    case = tmp_path / "case"
    made = build.gives(entered(case, build.work(desk(case, "build"), facts(), found, settings)))
    assert isinstance(made, NotBuilt)
    assert "not for its running kernel" in (case / "build" / "build.txt").read_text()


def test_a_target_without_headers_is_empty_and_says_where_it_was_looked(
    tmp_path: Path, host: SshHost, kept: Kept
) -> None:
    (kept.modules / RELEASE / "build").unlink()
    found, made = run(tmp_path / "case", host)
    assert found.archive is None
    assert f"/lib/modules/{RELEASE}/build" in found.reason
    assert [one.outcome for one in made.results] == [Outcome.EMPTY]


def test_headers_elsewhere_than_where_they_belong_are_not_copied(tmp_path: Path, host: SshHost, kept: Kept) -> None:
    (kept.modules / RELEASE / "build").unlink()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/Makefile").touch()
    (kept.modules / RELEASE / "build").symlink_to(tmp_path / "secrets")
    found, _ = run(tmp_path / "case", host)
    assert found.archive is None
    assert "where no headers are looked for" in found.reason


@pytest.mark.parametrize("target", [Gone("it is"), None], ids=["gone", "given"])
def test_the_target_is_not_asked_without_need(tmp_path: Path, sshd: Sshd, target: Gone | None) -> None:
    recorder = MemoryRecorder()
    host = connect(sshd.target(), recorder, Secrets())
    found, made = run(tmp_path / "case", target or host, given=True)
    host.close()
    assert [one.outcome for one in made.results] == [Outcome.NOT_RUN]
    assert found.archive is None
    assert recorder.events == []


@pytest.mark.parametrize("name", ["../../outside", "/outside"])
def test_a_hostile_archive_is_said_to_be_and_not_used(tmp_path: Path, name: str) -> None:
    case = tmp_path / "case"
    work = desk(case, "headers").work
    with tarfile.open(work / "headers.tar", "w") as archive:
        told = tarfile.TarInfo(name)
        told.size = 1
        archive.addfile(told, io.BytesIO(b"x"))
    with pytest.raises(Exception, match=r"refused|not used"):
        target_headers.taken(work / "headers.tar", RELEASE, case)
    assert not (tmp_path / "outside").exists()


def test_without_tar_on_the_target_there_are_none(tmp_path: Path, host: SshHost) -> None:
    _, made = run(tmp_path / "case", host, replace(KNOWN, tools={}))
    assert [one.outcome for one in made.results] == [Outcome.ABSENT]
