"""A module is made for exactly the target's kernel, or the reason why there is none is told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from forensics.lime import headers
from forensics.lime.packages import FolderSource
from forensics.lime.target_headers import TargetHeaders
from forensics.model import LimeModule, NotBuilt
from forensics.stages.build import BuildSettings, build
from tests.known import RELEASE, desk, entered, facts
from tests.sshd import skip

OTHER = "6.1.0-98-test-amd64"


def built(tmp_path: Path, **settings: Path | str) -> LimeModule | NotBuilt:
    chosen = BuildSettings(profiles=tmp_path / "profiles", **settings)  # type: ignore[arg-type]
    number = len(list(tmp_path.glob("case*")))
    case = tmp_path / f"case{number}"
    return build.gives(
        entered(case, build.work(desk(case, "build"), facts(), TargetHeaders((), None, "a test"), chosen))
    )


def tree(folder: Path, release: str) -> Path:
    (folder / "include/generated").mkdir(parents=True)
    (folder / "include/generated/utsrelease.h").write_text(f'#define UTS_RELEASE "{release}"\n')
    (folder / "Makefile").write_text("all:\n")
    return folder


def lime_source(folder: Path, makefile: str) -> Path:
    folder.mkdir()
    for name in ("main.c", "lime.h"):
        (folder / name).touch()
    (folder / "Makefile").write_text(makefile)
    return folder


def deb(folder: Path, name: str, version: str, files: dict[str, str], depends: str = "") -> Path:
    """Make a real package."""
    if not shutil.which("dpkg-deb"):
        skip("dpkg-deb is missing: these packages are Debian's")
    root = folder / f"{name}_{version}"
    (root / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n"
    wanted = f"Depends: {depends}\n" if depends else ""
    (root / "DEBIAN/control").write_text(f"{control}{wanted}Description: a test\n")
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(root), str(folder)], check=True, capture_output=True)
    shutil.rmtree(root)
    return folder


def header_packages(folder: Path, version: str = "6.1.99-1") -> Path:
    folder.mkdir(exist_ok=True)
    own, shared = f"usr/src/linux-headers-{RELEASE}", "usr/src/linux-headers-6.1.0-99-common"
    files = {
        f"{own}/Makefile": f"include /{shared}/Makefile\n",
        f"{own}/.kernelvariables": f"override KERNELRELEASE = {RELEASE}\nCC = $(CROSS_COMPILE)gcc-12\n",
    }
    deb(folder, f"linux-headers-{RELEASE}", version, files, "linux-headers-6.1.0-99-common (>= 6), linux-compiler-x")
    return deb(folder, "linux-headers-6.1.0-99-common", version, {f"{shared}/Makefile": "modules:\n\t@echo found\n"})


def test_headers_of_another_kernel_are_refused_with_both_releases(tmp_path: Path) -> None:
    found = built(tmp_path, headers=tree(tmp_path / "headers", OTHER))
    assert isinstance(found, NotBuilt)
    assert OTHER in found.reason
    assert RELEASE in found.reason
    assert [one.kind for one in found.exhibits] == ["build-log"]


def test_without_headers_the_packages_wanted_are_named(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    found = built(tmp_path, package_source=str(tmp_path / "none"))
    assert isinstance(found, NotBuilt)
    assert f"linux-headers-{RELEASE}" in found.reason
    assert "linux-headers-6.1.0-99-common" in found.reason
    assert "--package-source" in found.reason


def test_a_build_that_fails_says_what_make_said(tmp_path: Path) -> None:
    source = lime_source(tmp_path / "lime", "default:\n\t@echo 'main.c:7: error: no such thing'; exit 2\n")
    found = built(tmp_path, headers=tree(tmp_path / "headers", RELEASE), lime_source=source)
    assert isinstance(found, NotBuilt)
    assert "main.c:7: error: no such thing" in found.reason
    log = tmp_path / "case0" / found.exhibits[0].path
    assert "error: no such thing" in log.read_text()


def test_what_make_gives_that_is_no_module_is_refused(tmp_path: Path) -> None:
    source = lime_source(tmp_path / "lime", "default:\n\techo nothing > lime.ko\n")
    found = built(tmp_path, headers=tree(tmp_path / "headers", RELEASE), lime_source=source)
    assert isinstance(found, NotBuilt)
    assert "not an ELF file" in found.reason


def test_packages_are_unpacked_and_find_each_other_where_they_are(tmp_path: Path) -> None:
    source = FolderSource(header_packages(tmp_path / "debs"))
    found = headers.packaged(source, RELEASE, "", tmp_path)
    assert found is not None
    assert headers.release_of(found.tree) == RELEASE
    assert found.compiler == "gcc-12"
    assert {one.name for one in found.packages} == {f"linux-headers-{RELEASE}", "linux-headers-6.1.0-99-common"}
    made = subprocess.run(["make", "-C", str(found.tree), "modules"], check=True, capture_output=True, text=True)
    assert "found" in made.stdout


def test_the_package_version_that_the_kernel_names_is_taken(tmp_path: Path) -> None:
    header_packages(tmp_path / "debs", "6.1.99-1")
    source = FolderSource(header_packages(tmp_path / "debs", "6.1.99-10"))
    newest = source.versions(f"linux-headers-{RELEASE}")
    assert [one.version for one in newest] == ["6.1.99-10", "6.1.99-1"]
    found = headers.packaged(source, RELEASE, "6.1.99-1", tmp_path)
    assert found is not None
    assert {one.version for one in found.packages} == {"6.1.99-1"}


def test_a_package_that_lacks_what_it_needs_is_told(tmp_path: Path) -> None:
    folder = header_packages(tmp_path / "debs")
    next(folder.glob("*common*")).unlink()
    found = built(tmp_path, package_source=str(folder))
    assert isinstance(found, NotBuilt)
    assert "linux-headers-6.1.0-99-common is not there" in found.reason
