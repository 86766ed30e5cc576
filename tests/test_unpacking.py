"""Row N5: an archive that somebody else made fills no disk and no memory, and writes nothing outside of its folder."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import resource
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics import unpacking
from forensics.unpacking import ArchiveRefused, Caps, Unpacked

CAPS = Caps(members=50, bytes=1 << 20, each=1 << 19)
LINKS = Caps(members=50, bytes=1 << 20, each=1 << 19, links=True)


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, linked: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    told = tarfile.TarInfo(name)
    told.type, told.linkname, told.size = kind, linked, len(content)
    return told, content


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        for told, content in members:
            file.addfile(told, io.BytesIO(content))
    return out.getvalue()


def unpack(content: bytes, into: Path, caps: Caps = CAPS) -> Unpacked:
    into.mkdir(exist_ok=True)
    return unpacking.unpack(io.BytesIO(content).read, into, caps)


def test_files_and_folders_come_out_with_their_digests(tmp_path: Path) -> None:
    long = "a/" + "b" * 120 + "/file"
    found = unpack(tar(member("./a", kind=tarfile.DIRTYPE), member(long, b"x" * 700), member("empty")), tmp_path / "o")
    assert (tmp_path / "o" / long).read_bytes() == b"x" * 700
    assert (tmp_path / "o/empty").read_bytes() == b""
    assert found.files[long].value == hashlib.sha256(b"x" * 700).hexdigest()
    assert set(found.files) == {long, "empty"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a\nb", "a\\b", "x" * 300, "a/" * 600 + "x"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveRefused):
        unpack(tar(member(name, b"x")), tmp_path / "o")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"x",
        b"Z",
    ],
)
@pytest.mark.parametrize("caps", [CAPS, LINKS], ids=["plain", "links"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes, caps: Caps) -> None:
    with pytest.raises(ArchiveRefused):
        unpack(tar(member("a", kind=kind, linked="/etc/passwd")), tmp_path / "o", caps)


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="twice"):
        unpack(tar(member("a", b"good"), member("./a", b"bad")), tmp_path / "o")
    assert (tmp_path / "o/a").read_bytes() == b"good"


def test_a_file_below_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused):
        unpack(tar(member("a", b"x"), member("a/b", b"x")), tmp_path / "o")


@pytest.mark.parametrize(
    "content",
    [
        tar(*(member(f"{number}") for number in range(51))),
        tar(member("a", bytes((1 << 19) + 1))),
        tar(*(member(f"{number}", bytes(1 << 19)) for number in range(3))),
    ],
    ids=["members", "one file", "all files"],
)
def test_more_than_is_allowed_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArchiveRefused):
        unpack(content, tmp_path / "o")
    assert sum(one.stat().st_size for one in (tmp_path / "o").rglob("*") if one.is_file()) <= CAPS.bytes


def test_a_header_that_promises_what_does_not_come_takes_no_memory(tmp_path: Path) -> None:
    told = tarfile.TarInfo("a")
    told.size = 1 << 19
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArchiveRefused, match="ends before"):
        unpack(told.tobuf(tarfile.GNU_FORMAT) + b"x" * 512, tmp_path / "o")
    named = tarfile.TarInfo("././@LongLink")
    named.type, named.size = tarfile.GNUTYPE_LONGNAME, 8 << 30
    with pytest.raises(ArchiveRefused, match="a name of"):
        unpack(named.tobuf(tarfile.GNU_FORMAT) + bytes(1024), tmp_path / "p")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def packed_zip(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb", content)
    return out.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, packed_zip], ids=["gzip", "zip"])
def test_a_bomb_is_not_unpacked(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ArchiveRefused):
        unpack(pack(tar(member("a", bytes(1 << 19)))), tmp_path / "o")
    assert list((tmp_path / "o").rglob("*")) == []


@pytest.mark.parametrize("target", ["../outside", "a/../../outside", "../../../../../../etc/passwd"])
def test_a_link_that_leads_out_is_left_out(tmp_path: Path, target: str) -> None:
    found = unpack(tar(member("l", kind=tarfile.SYMTYPE, linked=target), member("more", b"x")), tmp_path / "o", LINKS)
    assert (found.left_out, found.links, set(found.files)) == (["l"], {}, {"more"})
    assert not (tmp_path / "o/l").is_symlink()


def test_an_absolute_link_is_taken_as_of_the_folder(tmp_path: Path) -> None:
    found = unpack(tar(member("a/l", kind=tarfile.SYMTYPE, linked="/etc/passwd")), tmp_path / "o", LINKS)
    assert found.links == {"a/l": "etc/passwd"}
    assert (tmp_path / "o/a/l").readlink() == Path("../etc/passwd")


def test_a_file_behind_a_link_is_written_in_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    content = tar(member("l", kind=tarfile.SYMTYPE, linked=str(tmp_path / "outside")), member("l/x", b"evil"))
    found = unpack(content, tmp_path / "o", LINKS)
    assert found.left_out == ["l"]  # a folder stands in its place
    assert (tmp_path / "o/l/x").read_bytes() == b"evil"
    assert list((tmp_path / "outside").iterdir()) == []


def test_links_among_each_other_do_not_climb(tmp_path: Path) -> None:
    links = [("d/up", ".."), ("e", "d/up/../.."), ("f", "d/up"), ("d/g", "../f/../../x")]
    content = tar(member("d/file", b"x"), *(member(name, kind=tarfile.SYMTYPE, linked=to) for name, to in links))
    unpack(content, tmp_path / "o", LINKS)
    for path in (tmp_path / "o").rglob("*"):
        if path.is_symlink():
            assert path.resolve().is_relative_to((tmp_path / "o").resolve()), path


@given(st.binary(max_size=3000))
def test_any_bytes_are_unpacked_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    with contextlib.suppress(ArchiveRefused):
        unpack(content, folder / "o")
    assert [one.name for one in folder.iterdir()] == ["o"]
