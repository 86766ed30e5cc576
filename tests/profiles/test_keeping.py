"""What is kept for a kernel is used for exactly this kernel, as it was recorded, or not at all, and that is said."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from forensics.model import Facts
from forensics.profiles import keeping, record
from forensics.profiles.keeping import KeptModule, KeptTable
from forensics.profiles.record import Kernel, ProfileDamaged
from tests.kernel_module import make_module
from tests.known import RELEASE, facts

BUILD_ID = "3b43fad5034874490492495d552c0af6a5fab235"
BANNER = f"Linux version {RELEASE} (builder) #1 SMP PREEMPT_DYNAMIC Debian 6.1.99-1 (2026-01-01)\n".encode()


def known(build_id: str = BUILD_ID, version: str = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.99-1 (2026-01-01)") -> Facts:
    return facts(build_id=build_id, proc_version=BANNER, version=version)


def table(folder: Path, banner: bytes = BANNER) -> Path:
    told = {"symbols": {"linux_banner": {"constant_data": base64.b64encode(banner).decode()}}}
    path = folder / "made.json"
    path.write_text(json.dumps(told))
    return path


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """Profiles with a module and a table for one kernel."""
    where = tmp_path / "profiles"
    module = make_module(tmp_path, RELEASE)
    keeping.keep(where, Kernel.of(known()), KeptModule(module, "1.12.0", ("headers: a test",)), _vermagic())
    keeping.keep_table(where, Kernel.of(known()), KeptTable(table(tmp_path), ("btf of a test",)))
    return where


def _vermagic(release: str = RELEASE) -> str:
    return f"{release} SMP preempt mod_unload modversions"


def test_what_was_kept_is_found_with_where_it_came_from(profiles: Path) -> None:
    module = keeping.find(profiles, known())
    assert isinstance(module, KeptModule)
    assert (module.lime_version, module.origin) == ("1.12.0", ("headers: a test",))
    found = keeping.find_table(profiles, BANNER, BUILD_ID)
    assert isinstance(found, KeptTable)
    assert found.origin == ("btf of a test",)
    assert all(not one.problem for one in keeping.verify(profiles))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (known(build_id="ff" * 20), "build id"),
        (known(build_id=""), "build id"),
        (known(version="#2 SMP"), "#2 SMP"),
        (facts(build_id=BUILD_ID, machine="aarch64"), "aarch64"),
    ],
)
def test_a_rebuilt_kernel_of_the_same_release_is_another_kernel(profiles: Path, other: Facts, says: str) -> None:
    found = keeping.find(profiles, other)
    assert isinstance(found, str)
    assert says in found


def test_a_table_of_another_build_id_is_not_used(profiles: Path) -> None:
    assert isinstance(keeping.find_table(profiles, BANNER), KeptTable)  # an image that tells no build id
    found = keeping.find_table(profiles, BANNER, "ff" * 20)
    assert isinstance(found, str)
    assert BUILD_ID in found


@pytest.mark.parametrize("name", ["lime.ko", "symbols.json"])
def test_a_changed_byte_is_found_and_the_file_not_used(profiles: Path, name: str) -> None:
    path = profiles / RELEASE / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    found = keeping.find(profiles, known()) if name == "lime.ko" else keeping.find_table(profiles, BANNER, BUILD_ID)
    assert isinstance(found, str)
    assert "it is not used" in found
    assert [one.part for one in keeping.verify(profiles) if one.problem] == [{"lime.ko": "lime"}.get(name, "symbols")]


def test_a_module_whose_own_vermagic_is_another_is_not_used(profiles: Path, tmp_path: Path) -> None:
    other = make_module(tmp_path, "6.1.0-98-test-amd64")
    keeping.keep(profiles, Kernel.of(known()), KeptModule(other, "1.12.0", ()), _vermagic())
    found = keeping.find(profiles, known())
    assert isinstance(found, str)
    assert "6.1.0-98-test-amd64" in found


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"release": "x"}', b'{"format": "forensics profile 2"}', b"\xff" * 10, b" " * (2 << 20)],
    ids=["empty", "cut", "list", "too little", "of a later version", "no text", "too large"],
)
def test_a_damaged_profile_is_said_to_be_and_never_looks_absent(profiles: Path, content: bytes) -> None:
    (profiles / RELEASE / record.FILE).write_bytes(content)
    with pytest.raises(ProfileDamaged):
        record.read(profiles / RELEASE)
    for found in (keeping.find(profiles, known()), keeping.find_table(profiles, BANNER, BUILD_ID)):
        assert isinstance(found, str)
        assert "is damaged, and is not used" in found
    assert [one.part for one in keeping.verify(profiles) if one.problem] == ["profile"]


def test_a_damaged_profile_is_kept_beside_the_new_one(profiles: Path, tmp_path: Path) -> None:
    (profiles / RELEASE / record.FILE).write_bytes(b"{")
    keeping.keep(profiles, Kernel.of(known()), KeptModule(make_module(tmp_path, RELEASE), "1.13", ()), _vermagic())
    assert isinstance(keeping.find(profiles, known()), KeptModule)
    assert (profiles / RELEASE / f"{record.FILE}.damaged").read_bytes() == b"{"


def test_a_record_that_names_files_elsewhere_is_damaged(profiles: Path) -> None:
    path = profiles / RELEASE / record.FILE
    path.write_text(path.read_text().replace('"symbols.json"', '"../../etc/passwd"'))
    with pytest.raises(ProfileDamaged, match="names a file"):
        record.read(profiles / RELEASE)


def test_a_link_in_the_place_of_a_module_is_not_followed(profiles: Path, tmp_path: Path) -> None:
    module = profiles / RELEASE / "lime.ko"
    elsewhere = tmp_path / "elsewhere.ko"
    module.rename(elsewhere)
    module.symlink_to(elsewhere)
    assert "is a link" in str(keeping.find(profiles, known()))


def test_the_first_table_of_a_kernel_stays(profiles: Path, tmp_path: Path) -> None:
    before = (profiles / RELEASE / "symbols.json").read_bytes()
    other = tmp_path / "other.json"
    other.write_bytes(before + b"\n")
    keeping.keep_table(profiles, Kernel.of(known()), KeptTable(other, ("another target",)))
    assert (profiles / RELEASE / "symbols.json").read_bytes() == before


def test_what_nobody_recorded_is_named(profiles: Path) -> None:
    (profiles / RELEASE / "more.ko").write_bytes(b"x")
    assert [one.part for one in keeping.verify(profiles) if one.problem] == ["more.ko"]


@pytest.mark.parametrize("release", ["../../etc", "", ".hidden", "a/b", "x" * 300])
def test_a_release_that_is_no_name_makes_no_folder(tmp_path: Path, release: str) -> None:
    module = tmp_path / "lime.ko"
    module.write_bytes(b"a module")
    keeping.keep(tmp_path / "profiles", Kernel.of(facts(release=release)), KeptModule(module, "1", ()), release)
    assert not (tmp_path / "profiles").exists()
