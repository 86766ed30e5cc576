"""What needs programs that most targets lack: LiME's port over the target's stunnel, and a module compiled there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forensics.lab import labs, machine
from forensics.lab.recipe import Recipe
from forensics.lab.state import Lab
from forensics.lime.compiling import PACKAGE
from forensics.lime.on_target import DEVIATION
from tests.lab.test_faults_engines import acquired, complete, desk, sshd_anew
from tests.lab.watching import look, ours
from tests.lab.workstation import Workstation

__all__ = ["desk"]

pytestmark = [pytest.mark.lab, pytest.mark.matrix, pytest.mark.timeout(2400)]

FURNISHED = Recipe(packages=("stunnel4", "gcc", "make", "linux-headers-cloud-amd64"), seed=443)

# The program chooses ports that are free there; with all others taken, it is known beforehand which these are.
TAKE_PORTS = """
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
held = []
for port in set(range(61000, 65536)) - set(map(int, sys.argv[1:])):
    held.append(socket.socket())
    held[-1].bind(("127.0.0.2", port))
    held[-1].listen()
open("/run/taken", "w").close()
time.sleep(3600)
"""


@pytest.fixture(scope="module")
def lab(desk: Workstation) -> Iterator[Lab]:
    with labs.booted(desk.root, "lab", FURNISHED) as up:
        yield up


@contextmanager
def way_to(lab: Lab, *numbers: int) -> Iterator[None]:
    """Be the network between: ports of this machine's loopback lead to the guest's of the same number."""
    forwards = [word for one in numbers for word in ("-L", f"127.0.0.1:{one}:127.0.0.1:{one}")]
    program, *options = labs.ssh_command(lab, "-N")
    words = [program, "-o", "ExitOnForwardFailure=yes", *forwards, *options[:-2], "-N", options[-2]]
    running = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield
        assert running.poll() is None
    finally:
        running.terminate()
        running.communicate(timeout=30)


def test_limes_port_comes_over_the_targets_own_stunnel_which_leaves_nothing(desk: Workstation, lab: Lab) -> None:
    numbers = 61000 + machine.free_port() % 4000, 65001 + machine.free_port() % 500
    taking = f"setsid python3 /run/taker {numbers[0]} {numbers[1]} </dev/null >/dev/null 2>&1 &"
    labs.ask(lab, f"cat >/run/taker; {taking}", stdin=TAKE_PORTS.encode())
    assert machine.wait_until(lambda: labs.ask(lab, "ls /run").split().count(b"taken") == 1, 120)
    sshd_anew(lab, "echo 'AllowTcpForwarding local' >/etc/ssh/sshd_config.d/forwarding.conf")
    before = look(lab)
    with way_to(lab, *numbers):
        case, attempt, ended = acquired(desk, "tls", "--engine", "lime", "--tls", "--lime-digest")
    complete(case, ended)
    assert attempt["tls"]["version"] == "TLSv1.3"
    assert attempt["source_digest_by"] == "LiME"
    assert attempt["carried_by"].startswith("TLS, by /")
    after = look(lab)
    assert ours(before, after) == []
    assert before["programs"] == after["programs"]
    assert before["modules"] == after["modules"]


@pytest.fixture
def there_only(lab: Lab, tmp_path: Path) -> Path:
    """LiME's source, changed so that it compiles on that one machine and nowhere else."""
    subprocess.run(["apt-get", "download", "-q", PACKAGE], cwd=tmp_path, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, tmp_path / "tree"], check=True)
    (source,) = (tmp_path / "tree/usr/src").glob("lime-*")
    makefile = source / "Makefile"
    elsewhere = f"ifneq ($(shell uname -n),{lab.hostname})\n$(error compile me there)\nendif\n"
    makefile.write_text(elsewhere + makefile.read_text())
    return source


def test_headers_that_the_target_keeps_make_its_module_here(desk: Workstation, lab: Lab) -> None:
    before = look(lab)
    case, _, ended = acquired(desk, "headers", "--engine", "lime")
    complete(case, ended)
    (log,) = case.entered("build-log")
    assert "headers: copied from the target" in log.read_text()
    assert ours(before, look(lab)) == []


def test_a_module_compiled_on_the_target_gives_a_complete_image_and_is_a_deviation(
    desk: Workstation, lab: Lab, there_only: Path
) -> None:
    before = look(lab)
    case, _, ended = acquired(desk, "there", "--engine", "lime", "--build-on-target", "--lime-source", str(there_only))
    complete(case, ended)
    assert DEVIATION in [one["deviation"]["text"] for one in case.events if one.get("deviation")]
    (module,) = [one for one in case.events if one["details"].get("kind") == "lime-module"]
    assert module["details"]["facts"]["origin"][0].startswith("compiled on the target")
    assert ours(before, look(lab)) == []
