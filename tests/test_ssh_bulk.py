"""What comes in bulk is what was sent: whatever the packets' sizes, their order and the pieces the network gives."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import threading
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import TargetError
from forensics.ssh import Secrets, SshHost, connect
from forensics.ssh.bulk import MOST, BulkPacketizer, Pipe
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd

KEY, IV = bytes(range(16)), bytes(range(12))
DATA, IGNORE, WINDOW = 94, 2, 8 << 20


class Sealer:
    """Makes packets of AES-GCM by RFC 5647 and RFC 4253 (6), as a server does."""

    def __init__(self) -> None:
        self._gcm = AESGCM(KEY)
        self._counter = int.from_bytes(IV[4:], "big")

    def seal(self, payload: bytes) -> bytes:
        padding = 16 - (len(payload) + 1) % 16
        padding += 16 if padding < 4 else 0
        plain = bytes([padding]) + payload + os.urandom(padding)
        length = struct.pack(">I", len(plain))
        nonce = IV[:4] + self._counter.to_bytes(8, "big")
        self._counter += 1
        return length + self._gcm.encrypt(nonce, plain, length)


def data(channel: int, content: bytes) -> bytes:
    return struct.pack(">BII", DATA, channel, len(content)) + content


def reading(sock: socket.socket, channels: list[int]) -> BulkPacketizer:
    packetizer = BulkPacketizer(sock)
    engine = AESGCM(KEY)
    packetizer.set_inbound_cipher(engine, 16, None, 16, None, etm=False, aead=True, iv_in=IV)
    packetizer.pipes.update({one: Pipe(WINDOW) for one in channels})
    return packetizer


def drained(pipe: Pipe) -> bytes:
    pipe.close()
    parts = []
    while part := pipe.read(1 << 16, 1.0):
        parts.append(bytes(part))
    return b"".join(parts)


sizes = st.one_of(st.integers(0, 64), st.integers(900, 1100), st.integers(30_000, 33_000), st.just(200_000))


@settings(deadline=None, max_examples=60)
@given(packets=st.lists(st.tuples(st.sampled_from([1, 2, 3]), sizes), max_size=60), cut=st.integers(700, 40_000))
def test_every_channel_gets_its_own_bytes_in_order(packets: list[tuple[int, int]], cut: int) -> None:
    sealer = Sealer()
    sent: dict[int, bytes] = {1: b"", 2: b""}
    words, wire = [], b""
    for number, (channel, size) in enumerate(packets):
        content = bytes([number % 251]) * size
        if channel == 3:  # no channel's data: a message of another kind
            words.append(content)
            wire += sealer.seal(bytes([IGNORE]) + content)
        else:
            sent[channel] += content
            wire += sealer.seal(data(channel, content))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.1)

        def send() -> None:
            for begin in range(0, len(wire), cut):
                theirs.sendall(wire[begin : begin + cut])
            theirs.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        packetizer = reading(ours, [1, 2])
        heard = []
        while True:
            try:
                kind, message = packetizer.read_message()
            except EOFError:
                break
            if kind == DATA:  # small, or the first of its channel: paramiko's own way
                packetizer.pipes[message.get_int()].feed(message.get_binary())
            else:
                heard.append(message.asbytes())
        sender.join()
    assert {number: drained(pipe) for number, pipe in packetizer.pipes.items()} == sent
    assert heard == words


def one_packet(wire: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(wire)
        theirs.shutdown(socket.SHUT_WR)
        reading(ours, [1]).read_message()


@pytest.mark.parametrize("size", [0, 15, 17, MOST + 16, (1 << 32) - 16])
def test_an_impossible_length_ends_the_connection(size: int) -> None:
    with pytest.raises(paramiko.SSHException, match="bytes"):
        one_packet(struct.pack(">I", size) + bytes(64))


@pytest.mark.parametrize("place", [2, 5, 40, -1])
def test_a_changed_byte_ends_the_connection(place: int) -> None:
    wire = bytearray(Sealer().seal(data(1, bytes(5000))))
    wire[place] ^= 1
    with pytest.raises((paramiko.SSHException, EOFError)):
        one_packet(bytes(wire))


def test_a_peer_that_ignores_the_window_cannot_fill_memory() -> None:
    pipe = Pipe(1 << 20)
    for _ in range(4 + 1):  # the window, and a packet's slack
        pipe.feed(bytes(1 << 18))
    with pytest.raises(paramiko.SSHException, match="window"):
        pipe.feed(bytes(1 << 18))


@pytest.mark.root
@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr"])
def test_many_bytes_arrive_as_they_are_beside_other_commands(idle_sshd: Sshd, tmp_path: Path, cipher: str) -> None:
    idle_sshd.start(f"Ciphers {cipher}")
    (tmp_path / "big").write_bytes(content := os.urandom(48 << 20))
    host = connect(idle_sshd.target(), MemoryRecorder(), Secrets())
    digest, counted = hashlib.sha256(), 0
    with host.stream("cat", str(tmp_path / "big")) as stream:
        while piece := stream.read(700_001):
            assert len(piece) <= 700_001
            digest.update(piece)
            before, counted = counted, counted + len(piece)
            if before >> 23 != counted >> 23:
                assert host.run("echo", "beside", expect=True).stdout == b"beside\n"
        assert stream.ended().ok
    assert digest.digest() == hashlib.sha256(content).digest()
    host.close()


@pytest.mark.root
def test_a_server_that_opens_no_second_session_is_told_what_to_allow(idle_sshd: Sshd) -> None:
    idle_sshd.start("MaxSessions 1")
    host: SshHost = connect(idle_sshd.target(), MemoryRecorder(), Secrets())
    assert all(host.run("true").ok for _ in range(5))  # one after the other they all fit
    with host.stream("sleep", "20"), pytest.raises(TargetError) as told:
        host.run("true")
    assert "MaxSessions" in told.value.remedy
    host.close()
