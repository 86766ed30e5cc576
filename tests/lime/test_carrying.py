"""A port of the target's loopback comes here whole, also where sshd forbids forwarding, and over pinned TLS."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.errors import ForensicsError, Refused, StageFailed
from forensics.host import MIB, Channel
from forensics.lime import carrying, ports, tls
from forensics.model import JSON
from forensics.ssh import Secrets, SshHost, connect
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd, skip

pytestmark = pytest.mark.root

CONTENT = os.urandom(6 << 20)


class Port:
    """A listener that gives its content to each who connects, as LiME gives memory and then a digest."""

    def __init__(self, port: int, *contents: bytes, reset: bool = False) -> None:
        self._contents = contents
        self._reset = reset
        self.taken = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._give, daemon=True).start()

    def _give(self) -> None:
        for content in self._contents:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.taken += 1
            with peer:
                try:
                    peer.sendall(content)
                except OSError:
                    continue
                if self._reset:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture
def forbidding(idle_sshd: Sshd, recorder: MemoryRecorder) -> Iterator[SshHost]:
    idle_sshd.start("AllowTcpForwarding no")
    found = connect(idle_sshd.target(), recorder, Secrets())
    yield found
    found.close()


@pytest.fixture
def allowing(sshd: Sshd, recorder: MemoryRecorder) -> Iterator[SshHost]:
    found = connect(sshd.target(), recorder, Secrets())
    yield found
    found.close()


def all_of(channel: Channel) -> bytes:
    parts = []
    while piece := channel.read(MIB):
        parts.append(bytes(piece))
    return b"".join(parts)


def carried(host: SshHost, tools: dict[str, str], way: str = "auto") -> tuple[list[bytes], dict[str, JSON]]:
    record: dict[str, JSON] = {}
    port = ports.free(host)
    with host.workplace() as place, carrying.carrier(host, port, way, (tools, place), record) as carrier:
        giving = Port(port, CONTENT, b"second")
        came = []
        try:
            for _ in range(2):
                with carrier.open(port) as channel:
                    came.append(all_of(channel))
        finally:
            giving.close()
    return came, record


def test_forwarding_is_taken_where_sshd_allows_it(allowing: SshHost) -> None:
    came, record = carried(allowing, {"bash": "/bin/bash"})
    assert came == [CONTENT, b"second"]
    assert record["carried_by"] == "SSH forwarding"


@pytest.mark.parametrize("name", carrying.CARRIERS)
def test_where_forwarding_is_forbidden_each_program_carries_every_byte(forbidding: SshHost, name: str) -> None:
    program = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        skip(f"{name} is missing: see debian-packages.txt")
    came, record = carried(forbidding, {name: program or ""})
    assert [hashlib.sha256(one).digest() for one in came] == [
        hashlib.sha256(CONTENT).digest(),
        hashlib.sha256(b"second").digest(),
    ]
    assert str(record["carried_by"]).startswith(name)
    assert record["carried_ends"] == [{"status": 0, "stderr": ""}] * 2


def test_a_program_that_does_not_say_when_nobody_listens_is_passed_by(forbidding: SshHost) -> None:
    _, record = carried(forbidding, {"bash": "/bin/true", "perl": "/usr/bin/perl"})
    assert str(record["carried_by"]).startswith("perl")


def test_nothing_is_listened_to_where_no_program_can_carry(forbidding: SshHost) -> None:
    with pytest.raises(Refused) as told:
        carried(forbidding, {"bash": "/bin/true"})
    assert "bash (status 0" in told.value.why
    assert "--engine kcore" in told.value.remedy


def test_a_connection_that_is_reset_under_the_program_is_no_end(forbidding: SshHost) -> None:
    record: dict[str, JSON] = {}
    port = ports.free(forbidding)
    way = carrying.carrier(forbidding, port, "auto", ({"perl": "/usr/bin/perl"}, Path("/nowhere")), record)
    with way as carrier:
        giving = Port(port, CONTENT, reset=True)
        with carrier.open(port) as channel:
            channel.read(1)
            threading.Event().wait(0.5)
            with pytest.raises(ForensicsError) as told:
                all_of(channel)
        giving.close()
    assert "broke off" in told.value.what


STUNNEL = {"stunnel4": "/usr/bin/stunnel4"}


@pytest.fixture
def stunnel() -> None:
    if not Path(STUNNEL["stunnel4"]).exists():
        skip("stunnel is missing: install stunnel4")


@pytest.mark.usefixtures("stunnel")
def test_tls_carries_every_byte_from_a_jail_and_leaves_nothing(forbidding: SshHost, recorder: MemoryRecorder) -> None:
    came, record = carried(forbidding, STUNNEL, "tls")
    assert came == [CONTENT, b"second"]
    assert record["tls"] == {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"}
    assert all(proven for _, proven in recorder.restorations())
    kinds = {event[1].kind for event in recorder.events if event[0] == "intend"}  # type: ignore[attr-defined]
    assert kinds == {"folder", "file", "process"}
    assert forbidding.run("pgrep", "-f", "stunnel.*forensics-").status == 1
    said = "\n".join(map(str, record["stunnel_log"] or ()))  # type: ignore[arg-type]
    assert "Service [memory] accepted connection" in said


@pytest.mark.usefixtures("stunnel")
def test_stunnel_is_shut_in_and_is_nobody(forbidding: SshHost) -> None:
    port, record = ports.free(forbidding), dict[str, JSON]()
    with forbidding.workplace() as place, tls.tunnel(forbidding, port, STUNNEL, place, record):
        pids = forbidding.run("pgrep", "-f", str(place / "stunnel.conf")).stdout.split()
        (pid,) = [one.decode() for one in pids if Path(f"/proc/{one.decode()}/comm").read_text().startswith("stunnel")]
        status = Path(f"/proc/{pid}/status").read_text()
        assert "Uid:\t65534\t65534\t65534\t65534" in status
        assert Path(f"/proc/{pid}/root").readlink() == place / "jail"
        assert list((place / "jail").iterdir()) == []
        assert (place / "server.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("stunnel")
@pytest.mark.parametrize("side", ["server", "client"])
def test_a_wrong_certificate_is_a_failure_here_and_nothing_is_taken(forbidding: SshHost, side: str) -> None:
    """The sender would end with 0 all the same: what counts is what arrived."""
    port, record = ports.free(forbidding), dict[str, JSON]()
    giving = Port(port, CONTENT)
    with forbidding.workplace() as place, tls.tunnel(forbidding, port, STUNNEL, place, record) as right:
        other = tls.pair(side)
        server, client = (other, right.client) if side == "server" else (right.server, other)
        wrong = tls.Tunnel(right.address, right.outer, server, client)
        with pytest.raises(StageFailed), wrong.open(port) as channel:
            all_of(channel)
        assert giving.taken == 0
    giving.close()


@pytest.mark.usefixtures("stunnel")
def test_a_tls_stream_that_is_cut_is_no_end(forbidding: SshHost) -> None:
    port, record = ports.free(forbidding), dict[str, JSON]()
    giving = Port(port, CONTENT * 24)  # more than the kernel's buffers on the way hold: that were a whole stream
    with (
        forbidding.workplace() as place,
        tls.tunnel(forbidding, port, STUNNEL, place, record) as tunnel,
        tunnel.open(port) as channel,
    ):
        channel.read(1)
        forbidding.run("pkill", "-KILL", "-f", str(place / "stunnel.conf"), expect=True)
        with pytest.raises(StageFailed):
            all_of(channel)
    giving.close()


def test_a_target_without_stunnel_is_refused_before_anything_is_put_there(
    allowing: SshHost, recorder: MemoryRecorder
) -> None:
    with pytest.raises(Refused) as told, tls.tunnel(allowing, 1, {}, Path("/nowhere"), {}):
        pass
    assert "stunnel is not there" in told.value.why
    assert recorder.commands() == []
