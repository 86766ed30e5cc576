"""paramiko's transport, made to move many bytes and to live through every renewal of its keys."""

from __future__ import annotations

import socket
import threading
from typing import Any

import paramiko

from forensics.ssh.bulk import BulkPacketizer, Pipe

WINDOW = 8 << 20
"""Bytes in flight per channel: bandwidth × round trip of 1 Gbit/s at 64 ms; a reader has at most these yet to take."""

REKEY = 1 << 34
"""Bytes after which we renew the keys: a quarter of what RFC 4344 (section 3.2) allows for AES."""

_FOR_A_CHANNEL = range(93, 101)  # SSH_MSG_CHANNEL_WINDOW_ADJUST to SSH_MSG_CHANNEL_FAILURE: RFC 4254 (9)
_CLOSE = 97  # SSH_MSG_CHANNEL_CLOSE


class Transport(paramiko.Transport):
    """A transport that keeps what the server offered, and that lives through every renewal of its keys.

    paramiko 5.1 answers the end of a channel from the thread that also renews the keys, and lets it wait there until
    they are renewed: an end that falls into a renewal stops everything for 30 s, and then breaks the connection. So
    that thread's own messages are held until the new keys are in use, as RFC 4253 (section 7.1) asks.

    And it lets two threads speak for one channel: one that has waited for the new keys may send the end of its data
    after the other has closed the channel, for which a server breaks the connection (RFC 4254, section 5.3, allows
    nothing after the close). So what is for a channel that we have closed is not sent.
    """

    offered: dict[str, list[str]] | None = None
    clear_to_send: threading.Event
    remote_cipher: str  # paramiko sets these; its types do not tell
    remote_mac: str | None
    agreed_on_strict_kex: bool
    packetizer: BulkPacketizer
    _expected_packet: tuple[int, ...]

    def __init__(self, sock: socket.socket | paramiko.Channel) -> None:
        self._held: list[paramiko.Message] = []
        self._shut: set[int] = set()  # the server's numbers of the channels that we have closed
        super().__init__(sock, default_window_size=WINDOW, packetizer_class=BulkPacketizer)
        self.packetizer.REKEY_BYTES = REKEY
        self.packetizer.expects = lambda: bool(self._expected_packet)

    def _send_user_message(self, data: paramiko.Message) -> None:
        if threading.current_thread() is self and not self.clear_to_send.is_set():
            self._held.append(data)
        else:
            super()._send_user_message(data)  # type: ignore[misc]

    def _send_message(self, data: paramiko.Message) -> None:
        """Send; whoever sends for a channel has the lock that `_send_user_message` takes."""
        sent = data.asbytes()
        if sent[0] in _FOR_A_CHANNEL:
            number = int.from_bytes(sent[1:5], "big")
            if number in self._shut:
                return
            if sent[0] == _CLOSE:
                self._shut.add(number)
        super()._send_message(data)  # type: ignore[misc]

    def _parse_newkeys(self, m: paramiko.Message) -> None:
        super()._parse_newkeys(m)  # type: ignore[misc]
        held, self._held = self._held, []
        for message in held:
            super()._send_user_message(message)  # type: ignore[misc]

    def _parse_channel_open_success(self, m: paramiko.Message) -> None:
        """Put our pipe into a channel before its first byte comes."""
        number = m.get_int()
        self._shut.discard(m.get_int())  # the server gives a number again when both sides have closed it
        m.rewind()
        if channel := self._channels.get(number):  # type: ignore[attr-defined]
            channel.in_buffer = self.packetizer.pipes[number] = Pipe(WINDOW)
        super()._parse_channel_open_success(m)  # type: ignore[misc]

    def _unlink_channel(self, number: int) -> None:
        super()._unlink_channel(number)  # type: ignore[misc]
        self.packetizer.forget(number)

    def _really_parse_kex_init(self, m: paramiko.Message, ignore_first_byte: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        parsed: dict[str, Any] = super()._really_parse_kex_init(m, ignore_first_byte)  # type: ignore[misc]
        if self.offered is None:
            self.offered = {name: list(value) for name, value in parsed.items() if isinstance(value, list)}
        return parsed
