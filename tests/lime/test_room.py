"""What is compiled sees its headers and its programs, writes into its own folder, and reaches nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.lime import room
from forensics.lime.room import Room, confined
from tests.sshd import skip_without_namespaces


@pytest.fixture(autouse=True)
def bubblewrap() -> None:
    if not confined():
        skip_without_namespaces("bubblewrap is missing, or may not make namespaces here")


def test_headers_can_be_read_and_not_written(tmp_path: Path) -> None:
    build, headers = tmp_path / "build", tmp_path / "headers"
    build.mkdir()
    headers.mkdir()
    (headers / "version.h").write_text("6.1")
    done = Room().run(("sh", "-c", f"cat {headers}/version.h > out; echo 7 > {headers}/version.h"), build, (headers,))
    assert done.returncode != 0
    assert "Read-only file system" in done.stdout
    assert (build / "out").read_text() == "6.1"
    assert (headers / "version.h").read_text() == "6.1"


def test_nothing_of_the_analyst_is_in_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build, home = tmp_path / "build", tmp_path / "home"
    build.mkdir()
    home.mkdir()
    (home / "id_ed25519").write_text("secret")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
    look = f"cat {home}/id_ed25519 /etc/passwd /root/.profile; ls /home /root /proc /var; env"
    said = Room().run(("sh", "-c", look), build).stdout
    assert "secret" not in said
    assert "root:" not in said
    assert "SSH_AUTH_SOCK" not in said
    assert said.count("No such file") >= 5


def test_there_is_no_network(tmp_path: Path) -> None:
    look = "import socket; print([name for _, name in socket.if_nameindex()])"
    done = Room().run(("/usr/bin/python3", "-c", look), tmp_path)
    assert done.stdout.strip() in {"['lo']", "[]"}, done.stdout


def test_a_build_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SECONDS", 1)
    done = Room().run(("sleep", "60"), tmp_path)
    assert done.returncode == 124
    assert "did not end within 1 seconds" in done.stdout


def test_output_without_an_end_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_LARGEST", 4 << 20)
    done = Room().run(("yes",), tmp_path)
    assert done.returncode != 0
    assert len(done.stdout) <= 1 << 20


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert not Room().has("gcc-99")
    done = Room().run(("gcc-99",), tmp_path)
    assert done.returncode != 0
    assert "gcc-99" in done.stdout
