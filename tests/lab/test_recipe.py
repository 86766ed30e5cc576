"""Names from seeds, images by recipe, and what goes on the disk."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import UsageError
from forensics.lab import plan, planting
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
    names = [drawn.listener, drawn.writer, drawn.victim, drawn.service, *drawn.benign]
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
    recipe = Recipe(seed=4, without=QUIET_DISK, append="a b")
    values = recipe.as_json()
    assert values.pop("without") == ["io-burst"]
    assert Recipe(**values, without=QUIET_DISK) == recipe  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"without": ("everything",)}, {"flavour": "rt"}, {"suite": "--help"}, {"suite": "a b"}]
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
        for name in ("@path@", "@name@", "@history@", "@file@", "@port@", "@started@", "@marker@", "@bytes@"):
            assert name not in text


def test_nothing_on_the_machine_says_that_it_is_planted() -> None:
    text = _text(planting.files(plan.draw(3), FACTS)).lower()
    for word in ("forensics", "incident", "planted", "practice"):
        assert word not in text


def _text(planted: tuple[planting.Planted, ...]) -> str:
    return "\n".join(file.path + "\n" + file.content.decode() for file in planted)
