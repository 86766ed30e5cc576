"""Which kernel an image is of, when it holds the banners of several."""

from __future__ import annotations

from pathlib import Path

from forensics.imports import banners

OWN = b"Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP PREEMPT_DYNAMIC Debian\n"
DRAFT = OWN.replace(b"#1 SMP", b"# SMP")
"""As a Debian kernel 6.1.0-56 has it in its memory, before the other."""
GUEST = b"Linux version 5.10.0-30-amd64 (debian-kernel@lists.debian.org) (gcc-10) #1 SMP Debian\n"


def image(tmp_path: Path, *held: bytes) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"\0" * 4096 + b"".join(one + b"\0" * 99 for one in held))
    return path


def test_the_draft_of_a_banner_is_not_taken_for_the_kernels(tmp_path: Path) -> None:
    assert banners.find(image(tmp_path, DRAFT, OWN, OWN)) == (OWN, DRAFT)


def test_the_release_in_vmcoreinfo_says_which_is_the_kernels_and_which_a_guests(tmp_path: Path) -> None:
    held = image(tmp_path, GUEST, DRAFT, OWN)
    assert banners.find(held, b"OSRELEASE=6.1.0-56-cloud-amd64\nPAGESIZE=4096\n") == (OWN, DRAFT, GUEST)
    assert set(banners.find(held)) == {OWN, DRAFT, GUEST}


def test_words_of_a_log_are_no_banner(tmp_path: Path) -> None:
    assert banners.find(image(tmp_path, b"[    0.000000] " + OWN + b"[    0.000000] Command line: quiet")) == ()
    (tmp_path / "empty").write_bytes(b"")
    assert banners.find(tmp_path / "empty") == ()
