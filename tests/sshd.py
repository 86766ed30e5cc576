"""A real sshd on loopback, with its own port, keys and configuration, for one test or many."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from forensics.model import Target
from tests.chroot import IN_A_CHROOT

SSHD = "/usr/sbin/sshd"


def skip(reason: str) -> None:
    """Skip loudly; where everything has to run (CI), fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"cannot run here: {reason}")
    pytest.skip(reason)


def skip_without_namespaces(reason: str) -> None:
    """Skip what a chroot forbids, which no package can mend, in CI too; elsewhere as `skip`."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    chroot = not any(line.split()[4] == "/" for line in mounts)  # its root is no mount that it could see: proc(5)
    if chroot:
        pytest.skip(f"{IN_A_CHROOT}: {reason}")
    skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    words = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path), "-C", "a test"]
    subprocess.run(words, check=True)
    return path


@dataclass
class Sshd:
    """A server that runs; `target()` is how to reach it."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def identity(self) -> Path:
        return self.folder / "client"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def prepare(self, host_key: str = "ed25519") -> None:
        make_key(self.folder / "host", host_key)
        make_key(self.identity)
        shutil.copy(self.folder / "client.pub", self.folder / "authorized_keys")
        words = (self.folder / "host.pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {words[0]} {words[1]}\n")

    def start(self, *settings: str, within: Sequence[str] = ()) -> None:
        """Start with these settings before our own (the first one counts), `within` another command."""
        lines = [
            *settings,
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin yes",
            "MaxStartups 100:30:200",
            "PidFile none",
            "PrintMotd no",
            f"SetEnv HOME={self.folder}",  # what the tester's own shell does at its start is no part of a test
        ]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's privilege separation asks for it
        log = (self.folder / "sshd.log").open("ab")
        self.process = subprocess.Popen([*within, SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")], stderr=log)
        log.close()
        self._wait()

    def _wait(self) -> None:
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "sshd.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("sshd did not start")

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def target(self, user: str = "", port: int = 0, known_hosts: Path | None = None) -> Target:
        return Target(
            label="loopback",
            address="127.0.0.1",
            port=port or self.port,
            user=user or getpass.getuser(),
            identities=(self.identity,),
            known_hosts=(known_hosts or self.known_hosts,),
        )


@pytest.fixture
def idle_sshd() -> Iterator[Sshd]:
    """A server with its keys, not yet started: call `start(*settings)`."""
    if not Path(SSHD).exists():
        skip("sshd is missing: install openssh-server")
    if os.geteuid() != 0:
        skip("needs root: sshd's own rules, and the commands run as root")
    with tempfile.TemporaryDirectory(prefix="sshd-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # an account that logs in has to read its authorized keys
        server = Sshd(folder)
        server.prepare()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def sshd(idle_sshd: Sshd) -> Sshd:
    """A server that runs, as root, with one key that may log in."""
    idle_sshd.start()
    return idle_sshd
