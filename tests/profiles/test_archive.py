"""Profiles come to another workstation as they left, or not at all: the archive may be anybody's."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forensics.cli import app
from forensics.errors import ForensicsError, Refused
from forensics.profiles import archive, keeping, record
from forensics.profiles.keeping import KeptModule, KeptTable
from forensics.profiles.record import Kernel, ProfileDamaged
from forensics.unpacking import ArchiveRefused
from tests.kernel_module import make_module
from tests.known import RELEASE
from tests.profiles.test_keeping import BANNER, BUILD_ID, known, table


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Profiles with a module and a table for one kernel."""
    where = tmp_path / "here" / "profiles"
    vermagic = f"{RELEASE} SMP preempt mod_unload modversions"
    made = KeptModule(make_module(tmp_path, RELEASE), "1.12.0", ("headers: a test",))
    keeping.keep(where, Kernel.of(known()), made, vermagic)
    keeping.keep_table(where, Kernel.of(known()), KeptTable(table(tmp_path), ("btf of a test",)))
    return where


def rewritten(source: Path, output: Path, change: dict[str, bytes | tarfile.TarInfo | None]) -> Path:
    """Write an archive anew, with members changed (bytes), replaced by another kind, or left out (None)."""
    with tarfile.open(source) as old, tarfile.open(output, "w", format=tarfile.GNU_FORMAT) as new:
        for member in old:
            change.setdefault(member.name, old.extractfile(member).read())  # type: ignore[union-attr]
        for name, content in change.items():
            if isinstance(content, bytes):
                told = tarfile.TarInfo(name)
                told.size = len(content)
                new.addfile(told, io.BytesIO(content))
            elif content is not None:
                new.addfile(content)
    return output


def test_what_is_carried_arrives_and_is_used(here: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    digest = archive.pack(here, (), tmp_path / "profiles.tar")
    assert archive.take(there, tmp_path / "profiles.tar", str(digest)) == (RELEASE,)
    assert isinstance(keeping.find(there, known()), KeptModule)
    assert isinstance(keeping.find_table(there, BANNER, BUILD_ID), KeptTable)
    assert record.read(there / RELEASE) == record.read(here / RELEASE)
    assert sorted(one.name for one in there.iterdir()) == [RELEASE]
    assert archive.take(there, tmp_path / "profiles.tar") == (RELEASE,)  # the same again is no conflict


def test_stock_tar_reads_what_is_carried(here: Path, tmp_path: Path) -> None:
    archive.pack(here, (), tmp_path / "profiles.tar")
    with tarfile.open(tmp_path / "profiles.tar") as found:
        names = found.getnames()
        assert found.extractfile(f"{RELEASE}/lime.ko").read() == (here / RELEASE / "lime.ko").read_bytes()  # type: ignore[union-attr]
    assert names == ["manifest.json", *(f"{RELEASE}/{name}" for name in ("profile.json", "lime.ko", "symbols.json"))]


def test_a_damaged_profile_is_not_carried(here: Path, tmp_path: Path) -> None:
    (here / RELEASE / "lime.ko").write_bytes(b"x")
    with pytest.raises(ProfileDamaged, match="lime"):
        archive.pack(here, (), tmp_path / "profiles.tar")


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    told = tarfile.TarInfo(name)
    told.type, told.linkname = kind, target
    return told


@pytest.mark.parametrize(
    "change",
    [
        {f"{RELEASE}/lime.ko": b"another module"},
        {f"{RELEASE}/lime.ko": None},
        {f"{RELEASE}/more.ko": b"more"},
        {"../outside": b"x"},
        {"/etc/outside": b"x"},
        {f"{RELEASE}/lime.ko": link(f"{RELEASE}/lime.ko", tarfile.SYMTYPE, "/etc/passwd")},
        {f"{RELEASE}/lime.ko": link(f"{RELEASE}/lime.ko", tarfile.LNKTYPE, "/etc/passwd")},
        {f"{RELEASE}/lime.ko": link(f"{RELEASE}/lime.ko", tarfile.CHRTYPE, "")},
        {f"{RELEASE}/lime.ko": link(f"{RELEASE}/lime.ko", tarfile.FIFOTYPE, "")},
        {"manifest.json": b"{}"},
        {"manifest.json": b"\0" * 10},
    ],
    ids=["changed", "missing", "more", "climbs", "absolute", "link", "hard link", "device", "pipe", "list", "no list"],
)
def test_a_hostile_archive_is_refused_and_nothing_of_it_stays(
    here: Path, tmp_path: Path, change: dict[str, bytes | tarfile.TarInfo | None]
) -> None:
    archive.pack(here, (), tmp_path / "good.tar")
    bad = rewritten(tmp_path / "good.tar", tmp_path / "bad.tar", change)
    with pytest.raises(ArchiveRefused):
        archive.take(tmp_path / "there", bad)
    assert list((tmp_path / "there").iterdir()) == []
    assert not (tmp_path / "outside").exists()


def test_a_record_that_lies_about_its_module_is_refused_though_every_digest_agrees(here: Path, tmp_path: Path) -> None:
    module = make_module(tmp_path, "6.1.0-98-test-amd64")
    told = json.loads((here / RELEASE / record.FILE).read_text())
    told["lime"] |= {"digest": archive._digest(module), "size": module.stat().st_size}
    (here / RELEASE / "lime.ko").write_bytes(module.read_bytes())
    (here / RELEASE / record.FILE).write_text(json.dumps(told))
    with pytest.raises(ForensicsError, match="is not what was recorded"):
        archive.pack(here, (), tmp_path / "bad.tar")


def test_another_digest_than_was_named_is_refused(here: Path, tmp_path: Path) -> None:
    archive.pack(here, (), tmp_path / "profiles.tar")
    with pytest.raises(ArchiveRefused, match="not the one that was meant"):
        archive.take(tmp_path / "there", tmp_path / "profiles.tar", "sha256:" + "0" * 64)


def test_another_profile_of_the_same_kernel_is_not_overwritten(here: Path, tmp_path: Path) -> None:
    archive.pack(here, (), tmp_path / "profiles.tar")
    there = tmp_path / "there"
    keeping.keep_table(there, Kernel.of(known()), KeptTable(table(tmp_path), ("somebody else's",)))
    before = (there / RELEASE / record.FILE).read_bytes()
    with pytest.raises(Refused, match="another kernel profile"):
        archive.take(there, tmp_path / "profiles.tar")
    assert (there / RELEASE / record.FILE).read_bytes() == before
    assert not (there / RELEASE / "lime.ko").exists()


def test_the_commands_carry_a_profile_from_one_workstation_to_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "proc-version").write_bytes(BANNER)
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    module, packed = str(make_module(tmp_path, RELEASE)), str(tmp_path / "p.tar")
    runner = CliRunner()

    def run(*words: str, code: int = 0) -> str:
        done = runner.invoke(app, ["profiles", *words], catch_exceptions=not code)
        assert done.exit_code == code, (done.output, done.exception)
        return done.output + capsys.readouterr().out

    given = ("--build-id", BUILD_ID, "--source", "built by a colleague", "--symbols", str(table(tmp_path)))
    run("add", *given, "--module", module, "--proc-version", str(tmp_path / "proc-version"), "--root", one)
    said = json.loads(run("export", packed, "--root", one, "--json"))
    run("import", packed, "--digest", said["digest"], "--root", two)
    listed = json.loads(run("list", "--root", two, "--json"))
    assert [(row["part"], row["ok"]) for row in listed["parts"]] == [
        ("profile", True),
        ("lime", True),
        ("symbols", True),
    ]
    (tmp_path / "two/profiles" / RELEASE / "lime.ko").write_bytes(b"x")
    run("verify", "--root", two, code=1)
