"""The report says how an acquisition spared the target, and what its source says it sent."""

from __future__ import annotations

from forensics.model import JSON
from forensics.rendering import evidence

WATCHED: dict[str, JSON] = {
    "looks": 12,
    "highest_load": 1.5,
    "least_memory_available": 64 << 20,
    "problem": "",
    "ended_because": "",
}


def test_guards_are_told_with_their_figures() -> None:
    shield: dict[str, JSON] = {"protected": [{"pid": 7}], "problem": ""}
    told = evidence._guards({"guards": {"watch": WATCHED, "sshd": shield}})
    assert "12 looks, load 1.50 at most" in told
    assert told.endswith("our sshd was kept from the OOM killer")


def test_a_guard_that_was_not_there_is_told_too() -> None:
    watch: dict[str, JSON] = {**WATCHED, "looks": 0, "least_memory_available": None, "problem": "no further session"}
    told = evidence._guards({"guards": {"watch": watch, "sshd": {"protected": [], "problem": "not taken"}}})
    assert "no further session" in told
    assert "not shielded: not taken" in told
    assert evidence._guards({}) == ""


def test_the_digest_of_the_source_has_its_witness() -> None:
    assert evidence._by_source({"source_digest": "sha256:00", "source_digest_by": "LiME"}) == "sha256:00, LiME"
    assert evidence._by_source({"source_digest_problem": "LiME gave none"}) == "LiME gave none"
