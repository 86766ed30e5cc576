"""Names from seeds, images by recipe, and what goes on the disk."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import LabFailed, UsageError
from forensics.lab import kernel_module, plan, planting
from forensics.lab.recipe import FACTS, QUIET_DISK, Recipe

SEEDS = st.integers(min_value=0, max_value=2**32 - 1)


@given(SEEDS)
def test_a_seed_repeats_every_name_and_number(seed: int) -> None:
    assert plan.draw(seed) == plan.draw(seed)


def test_two_seeds_give_two_incidents() -> None:
    one, other = plan.draw(1), plan.draw(2)
    assert one.marker != other.marker
    assert one.commands != other.commands
    assert one.deleted_path != other.deleted_path


@given(SEEDS)
def test_names_fit_what_the_kernel_keeps_and_never_meet(seed: int) -> None:
    drawn = plan.draw(seed)
    names = [drawn.listener, drawn.writer, drawn.victim, drawn.service, drawn.hidden, drawn.module, *drawn.benign]
    names += [drawn.deleted_path.rpartition("/")[2], drawn.forged_path.rpartition("/")[2]]
    assert len({name.strip(".") for name in names}) == len(names)
    assert all(len(name) <= 15 for name in [*names, drawn.forged_comm])
    assert 1024 < drawn.port < 32768  # below the ports that the kernel gives away


@given(SEEDS)
def test_a_burst_is_long_enough_for_a_short_trace(seed: int) -> None:
    drawn = plan.draw(seed)
    assert drawn.burst_bytes == drawn.block_bytes * drawn.blocks
    assert drawn.block_bytes % 4096 == 0
    assert drawn.block_bytes % len(drawn.writer_pattern) == 0


def test_labs_that_begin_with_the_same_disk_share_an_image() -> None:
    recipe = Recipe()
    assert replace(recipe, seed=9, memory=512, append="quiet", incident=False).image_digest == recipe.image_digest


@pytest.mark.parametrize("changed", [{"suite": "trixie"}, {"flavour": "amd64"}, {"mirror": "file:/m"}, {"disk": 4096}])
def test_another_disk_is_another_image(changed: dict[str, str | int]) -> None:
    assert replace(Recipe(), **changed).image_digest != Recipe().image_digest  # type: ignore[arg-type]


def test_a_recipe_comes_back_from_its_json() -> None:
    recipe = Recipe(seed=4, without=QUIET_DISK, append="a b", packages=("stunnel4",))
    values = recipe.as_json()
    assert (values.pop("without"), values.pop("packages")) == (["io-burst"], ["stunnel4"])
    assert Recipe(**values, without=QUIET_DISK, packages=("stunnel4",)) == recipe  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{"without": ("everything",)}, {"flavour": "rt"}, {"suite": "--help"}, {"suite": "a b"}, {"packages": ("--a",)}],
)
def test_a_recipe_that_cannot_be_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Recipe(**wrong)  # type: ignore[arg-type]


def test_a_fact_that_is_taken_out_leaves_nothing_on_the_disk() -> None:
    drawn = plan.draw(3)
    telling = {
        "deleted-executable": drawn.marker,
        "forged-name": drawn.forged_comm,
        "listening-socket": drawn.listener,
        "shell-history": drawn.commands[2],
        "io-burst": drawn.writer_pattern,
        "oom-kill": drawn.victim,
        "hidden-process": drawn.hidden,
        "hidden-module": drawn.module,
    }
    assert set(telling) == set(FACTS)
    for fact, word in telling.items():
        kept = tuple(other for other in FACTS if other != fact)
        assert word in _text(planting.files(drawn, FACTS))
        assert word not in _text(planting.files(drawn, kept))


@given(SEEDS)
def test_no_value_is_left_open_in_what_is_planted(seed: int) -> None:
    drawn = plan.draw(seed)
    for planted in (planting.files(drawn, FACTS), planting.near_misses(drawn)):
        text = _text(planted)
        values = ("@path@", "@name@", "@history@", "@file@", "@port@", "@started@", "@marker@", "@bytes@")
        for name in (*values, "@real@", "@false@", "@hidden@", "@module@", "@wrapper@"):
            assert name not in text


def test_nothing_on_the_machine_says_that_it_is_planted() -> None:
    text = _text(planting.files(plan.draw(3), FACTS)).lower()
    for word in ("forensics", "incident", "planted", "practice"):
        assert word not in text


def test_a_false_ps_leaves_out_one_process_and_nothing_else(tmp_path: Path) -> None:
    drawn = plan.draw(3)
    planted = {file.path: file.content.decode() for file in planting.files(drawn, ("hidden-process",))}
    real, false = tmp_path / "ps.real", tmp_path / "ps"
    real.write_text(
        f"#!/bin/sh\nprintf '%s\\n' '1 systemd /sbin/init' '9 {drawn.hidden} perl' '10 sshd {drawn.hostname}'\n"
    )
    false.write_text(planted[f"{drawn.folder}/ps"].replace(f"{drawn.folder}/ps.real", str(real)))
    real.chmod(0o755)
    done = subprocess.run(["sh", false, "-e"], check=True, capture_output=True, text=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1", "10"]


def test_a_module_gets_the_name_of_its_lab_and_keeps_its_length() -> None:
    compiled = b"name=name_of_a_module\0" + b"name_of_a_module".ljust(56, b"\0") + b"name_of_a_module.c\0"
    made = kernel_module.named(compiled, "diskfeed")
    assert len(made) == len(compiled)
    assert b"name_of_a_module" not in made
    assert made.startswith(b"name=diskfeed\0")
    with pytest.raises(LabFailed):
        kernel_module.named(compiled, "a_name_that_is_too_long")


def test_a_kernel_that_does_not_say_what_it_is_is_no_kernel(tmp_path: Path) -> None:
    head = bytearray(0x400)
    head[0x202:0x206], head[0x20E:0x210] = b"HdrS", (0x100).to_bytes(2, "little")
    words = b"6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP Debian 6.1.192-2 (2026-11-01)\0"
    (tmp_path / "vmlinuz").write_bytes(head[:0x300] + words)
    assert kernel_module.kernel_of(tmp_path / "vmlinuz") == kernel_module.Kernel("6.1.0-56-cloud-amd64", "6.1.192-2")
    (tmp_path / "vmlinuz").write_bytes(bytes(0x400))
    with pytest.raises(LabFailed):
        kernel_module.kernel_of(tmp_path / "vmlinuz")


def _text(planted: tuple[planting.Planted, ...]) -> str:
    return "\n".join(file.path + "\n" + file.content.decode() for file in planted)
