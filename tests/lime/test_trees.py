"""A release's own programs are unpacked from its archive as it signs them, once, without a script being run."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from forensics.errors import ForensicsError
from forensics.lime import trees
from forensics.lime.apt import Archive
from forensics.lime.packages import PackageUnavailable
from forensics.lime.room import confined
from forensics.lime.trees import Wanted
from tests.sshd import skip, skip_without_namespaces

WANTED = Wanted("debian", "made", "amd64", "gcc-99", ("libold1",))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for program in ("mmdebstrap", "dpkg-deb", "apt-get"):
        if not shutil.which(program):
            skip(f"{program} is missing")
    if not confined():
        skip_without_namespaces("bubblewrap is missing, or may not make namespaces here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def package(pool: Path, name: str, files: dict[str, str], depends: str = "") -> str:
    """Make a package whose scripts fail, and give its paragraph of the archive's list."""
    root = pool / name
    (root / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: 1-1\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\n"
    control += f"Depends: {depends}\n" if depends else ""
    (root / "DEBIAN/control").write_text(control + "Description: a test\n")
    for script in ("preinst", "postinst"):
        (root / "DEBIAN" / script).write_text("#!/bin/sh\ntouch /tmp/a-script-was-run\nexit 1\n")
        (root / "DEBIAN" / script).chmod(0o755)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    made = pool / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, made], check=True, capture_output=True)
    shutil.rmtree(root)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    return f"{control}Filename: pool/{made.name}\nSize: {made.stat().st_size}\nSHA256: {digest}\n"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive that has the programs by name, and another package that one of them needs."""
    folder = tmp_path / "archive"
    (folder / "pool").mkdir(parents=True)
    plain = [name for name in WANTED.packages if name != "gcc-99"]
    told = [package(folder / "pool", name, {f"usr/bin/{name}": name}) for name in plain]
    told.append(package(folder / "pool", "gcc-99", {"usr/bin/gcc-99": "a compiler"}, "libgcc-99 (>= 1)"))
    told.append(package(folder / "pool", "libgcc-99", {"usr/lib/libgcc.so": "a library"}))
    listed = folder / "dists/made/main/binary-amd64"
    listed.mkdir(parents=True)
    text = "\n".join(told)
    (listed / "Packages").write_text(text)
    head = "Origin: Test\nSuite: made\nCodename: made\nArchitectures: amd64\nComponents: main\n"
    head += "Date: Sat, 01 Aug 2026 00:00:00 UTC\n"
    line = f" {hashlib.sha256(text.encode()).hexdigest()} {len(text.encode())} main/binary-amd64/Packages\n"
    (folder / "dists/made/Release").write_text(f"{head}SHA256:\n{line}")
    return folder


def trusted(folder: Path) -> Archive:
    return Archive(f"file:{folder}\nTrusted: yes", ("made", "made-updates", "made-backports"))


def test_a_tree_has_what_was_asked_and_what_that_needs_and_no_script_was_run(archive: Path) -> None:
    made = trees.bootstrap(WANTED, [trusted(archive)])
    assert (made.root / "usr/bin/gcc-99").read_text() == "a compiler"
    assert (made.root / "usr/bin/gcc").read_text() == "a compiler"
    assert (made.root / "usr/lib/libgcc.so").is_file()
    assert made.has("gcc-99")
    assert {one.name for one in made.packages} == {*WANTED.packages, "libgcc-99"}
    digests = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in (archive / "pool").iterdir()}
    assert {one.name: one.sha256 for one in made.packages} == digests
    assert not Path("/tmp/a-script-was-run").exists()


def test_a_tree_is_made_once(archive: Path) -> None:
    first = trees.bootstrap(WANTED, [trusted(archive)])
    shutil.rmtree(archive)
    assert trees.bootstrap(WANTED, [trusted(archive)]) == first


def test_an_archive_without_a_signature_is_refused_and_leaves_nothing(archive: Path, cache: Path) -> None:
    with pytest.raises(PackageUnavailable, match="no tree of made") as raised:
        trees.bootstrap(WANTED, [Archive(f"file:{archive}", ("made",))])
    assert "not signed" in raised.value.why
    assert [path.suffix for path in (cache / "forensics/trees").iterdir()] == [".lock"]


def test_a_package_that_is_not_what_the_list_says_is_refused(archive: Path) -> None:
    (archive / "pool/gcc-99.deb").write_bytes(b"!<arch>\nanother file\n")
    with pytest.raises(PackageUnavailable, match="no tree of made"):
        trees.bootstrap(WANTED, [trusted(archive)])


def test_a_distribution_with_other_packages_is_named() -> None:
    with pytest.raises(ForensicsError, match="no tree of fedora") as raised:
        trees.bootstrap(Wanted("fedora", "42", "amd64", "gcc"), [])
    assert "--engine kcore" in raised.value.remedy
