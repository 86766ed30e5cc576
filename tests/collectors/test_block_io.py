"""What block I/O is asked of the target: disks and masks from the plan, and nothing that a plan could smuggle in."""

from __future__ import annotations

import subprocess

import pytest

from forensics.collectors.block_io import ACTIONS, Traced, chosen, relay
from forensics.errors import CommandFailed


def test_the_disk_under_the_root_is_traced_when_none_is_named() -> None:
    assert chosen(Traced(), "vda") == ("vda",)


def test_several_disks_and_masks_of_the_plan_go_into_one_trace() -> None:
    settings = Traced(seconds=9, devices=("sda", "dm-0", "sda"), actions=("issue", "complete"))
    words = relay(settings, chosen(settings, "vda"))
    assert words[:7] == ("blktrace", "-d", "/dev/sda", "-d", "/dev/dm-0", "-o", "-")
    assert words[7:13] == ("-w", "9", "-a", "issue", "-a", "complete")


def test_blktrace_itself_knows_every_mask_that_a_plan_may_name_and_takes_several_disks() -> None:
    def said(*actions: str) -> bytes:
        words = relay(
            Traced(seconds=1, actions=actions), ("null", "zero")
        )  # it names no disk before it knows its masks
        return subprocess.run(words, capture_output=True, check=False, timeout=60).stderr

    assert b"mask" not in said(*ACTIONS)
    assert b"Invalid action mask" in said(*ACTIONS, "everything")


@pytest.mark.parametrize(
    "settings",
    [Traced(device="../x"), Traced(devices=("sda; id",)), Traced(actions=("everything",)), Traced(way="by hand")],
)
def test_a_setting_that_is_no_disk_mask_or_way_is_refused(settings: Traced) -> None:
    with pytest.raises(CommandFailed):
        chosen(settings, "vda")


def test_without_a_disk_under_the_root_one_has_to_be_named() -> None:
    with pytest.raises(CommandFailed, match="not known which disk"):
        chosen(Traced(), "")
