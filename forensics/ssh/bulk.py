"""Many bytes through paramiko, at the rate at which the network and the cipher give them.

paramiko reads a socket twice for each packet of 32 KiB, and copies every byte about eight times before a reader has it.
Here packets of AES-GCM are taken from one large buffer and deciphered straight to where the reader gets them: behind
one another, so that the reader gets pieces of a MiB. What is a packet, whose key opens it, and when keys are renewed
stays as it is in paramiko; every other packet and cipher goes its way.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import paramiko
from cryptography.exceptions import InvalidTag
from paramiko.buffered_pipe import PipeTimeout
from paramiko.packet import NeedRekeyException, Packetizer

from forensics.host import MIB

MOST = 1 << 18
"""Bytes of a packet that are accepted: what OpenSSH's PACKET_MAX_SIZE is; paramiko itself has no limit."""

_SMALL = 1024  # bytes up to which a packet is not looked upon as bulk
_HEAD = struct.Struct(">BBII")  # padding length, message, channel, length of the data: RFC 4253 (6), RFC 4254 (5.2)
_DATA = 94  # SSH_MSG_CHANNEL_DATA
_TAG = 16
_FLUSH = 1 << 18  # bytes that are handed on when no more have come
_PATIENCE = 0.001  # seconds that a network which is slower than we are is given, to bring more at once
_LITTLE = 1 << 17


class Engine(Protocol):
    """What of AESGCM is used."""

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Decipher."""

    def decrypt_into(self, nonce: bytes, data: memoryview, associated_data: memoryview, buf: memoryview) -> int:
        """Decipher to a place."""


class Pipe:
    """What a channel's reader has yet to take; stands in the place of paramiko's BufferedPipe.

    At most a window's bytes are in it: a peer that sends more breaks the protocol.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._ready: deque[memoryview] = deque()
        self._waiting = 0  # bytes in `_ready`
        self._closed = False
        self._event: threading.Event | None = None
        self._changed = threading.Condition()
        self._view = memoryview(bytearray())
        self._begin = self._filled = 0  # of what is there and not yet handed on
        self._saved = b""
        self._filler = 0  # the thread that deciphers into it

    def decipher(self, engine: Engine, nonce: bytes, sealed: memoryview, length: memoryview) -> tuple[int, int, int]:
        """Decipher a packet behind what is there; gives message, channel and length of data, and keeps nothing yet.

        The packet's head overwrites the bytes before it, which are put back by `keep` or `release`.
        """
        size = len(sealed) - _TAG
        self._filler = threading.get_ident()
        if self._filled + size > len(self._view):
            self.flush()
            self._view = memoryview(bytearray(_HEAD.size + MIB + MOST))
            self._begin = self._filled = _HEAD.size
        at = self._filled - _HEAD.size
        self._saved = bytes(self._view[at : self._filled])
        engine.decrypt_into(nonce, sealed, length, self._view[at : at + size])
        padding, message, channel, data = _HEAD.unpack_from(self._view, at)
        return message, channel, data if _HEAD.size + data + padding == size else -1

    def keep(self, count: int) -> None:
        """Keep the data of the packet just deciphered."""
        self._view[self._filled - _HEAD.size : self._filled] = self._saved
        self._filled += count
        if self._filled - self._begin >= MIB:
            self.flush()

    def release(self, size: int) -> bytes:
        """Give the packet just deciphered, which is no data of this channel, and keep nothing of it."""
        at = self._filled - _HEAD.size
        packet = bytes(self._view[at : at + size])
        self._view[at : self._filled] = self._saved
        return packet

    def flush(self, least: int = 1) -> None:
        """Hand on what is there, when it is at least so much; what follows leaves room for a packet's head."""
        if self._filled - self._begin < least:
            return
        piece = self._view[self._begin : self._filled]
        self._begin = self._filled = self._filled + _HEAD.size
        self._hand_on(piece)

    def feed(self, data: bytes) -> None:
        """Take data that came in a small packet, or by another cipher."""
        self.flush()
        if data:  # none is no end: a peer may send a packet without data
            self._hand_on(memoryview(data))

    def _hand_on(self, piece: memoryview) -> None:
        with self._changed:
            if self._waiting + len(piece) > self._window + MOST:
                raise paramiko.SSHException("the peer sends more than the channel's window has room for")
            self._ready.append(piece)
            self._waiting += len(piece)
            if self._event:
                self._event.set()
            self._changed.notify()

    def read(self, count: int, timeout: float | None = None) -> memoryview | bytes:
        """Give at most `count` bytes; b"" when the pipe was closed and nothing is left. PipeTimeout."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._ready or self._closed, timeout):
                raise PipeTimeout
            if not self._ready:
                return b""
            piece = self._ready.popleft()
            if len(piece) > count:
                self._ready.appendleft(piece[count:])
                piece = piece[:count]
            self._waiting -= len(piece)
            if self._event and not self._ready and not self._closed:
                self._event.clear()
            return piece

    def read_ready(self) -> bool:
        """Tell whether a read would give bytes at once."""
        return bool(self._ready)

    def __len__(self) -> int:
        return self._waiting

    def close(self) -> None:
        """Let the reader have what is there, and then the end.

        A reader that closes its channel itself wants no more, and must not meddle with what is being deciphered.
        """
        if self._filler in {0, threading.get_ident()}:
            self.flush()
        with self._changed:
            self._closed = True
            if self._event:
                self._event.set()
            self._changed.notify_all()

    def set_event(self, event: threading.Event) -> None:
        """Set this event whenever there is something to read."""
        with self._changed:
            self._event = event
            (event.set if self._ready or self._closed else event.clear)()


class BulkPacketizer(Packetizer):
    """Takes packets apart; those of AES-GCM by the buffer full."""

    def __init__(self, sock: socket.socket | paramiko.Channel) -> None:
        super().__init__(sock)  # type: ignore[arg-type]
        self._sock = sock
        self._view = memoryview(bytearray(2 * MOST))
        self._start = self._end = 0
        self._engine: Engine | None = None
        self._salt, self._counter, self._sequence = b"", 0, 0
        self._bytes = self._packets = 0
        self.pipes: dict[int, Pipe] = {}  # by our number of the channel
        self.expects: Callable[[], bool] = lambda: False  # tells that only messages of a key exchange may come
        self._latest: Pipe | None = None

    def forget(self, number: int) -> None:
        """Take a channel's pipe out: the channel is closed."""
        if self.pipes.pop(number, None) is self._latest:
            self._latest = None

    def set_inbound_cipher(self, block_engine: Any, *args: Any, **kwargs: Any) -> None:
        """Begin with new keys."""
        super().set_inbound_cipher(block_engine, *args, **kwargs)
        self._engine = block_engine if kwargs.get("aead") else None
        if self._engine:
            self._salt, self._counter = kwargs["iv_in"][:4], int.from_bytes(kwargs["iv_in"][4:], "big")
        self._bytes = self._packets = 0

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:  # noqa: FBT001, FBT002 - as paramiko has it
        """Give exactly so many bytes, first those that were read ahead."""
        taken = bytes(self._view[self._start : min(self._start + n, self._end)])
        self._start += len(taken)
        if len(taken) == n:
            return taken
        return taken + super().read_all(n - len(taken), check_rekey and not taken)

    def read_message(self) -> tuple[int, paramiko.Message]:
        """Give the next message; data for a pipe goes there at once. SSHException, NeedRekeyException, EOFError."""
        if self._engine is None:
            return super().read_message()
        while True:
            payload = self._packet(self._engine)
            if payload is not None:
                message = paramiko.Message(payload[1:])
                message.seqno = self._sequence
                return payload[0], message
            if self.need_rekey():
                raise NeedRekeyException

    def _packet(self, engine: Engine) -> bytes | None:
        """Open the next packet; None when it was data, and is where it belongs."""
        size = self._whole()
        at = self._start
        length, sealed = self._view[at : at + 4], self._view[at + 4 : at + 4 + size + _TAG]
        nonce = self._salt + self._counter.to_bytes(8, "big")
        pipe = self._latest if size > _SMALL and not self.expects() else None
        try:
            if pipe is None:
                packet = engine.decrypt(nonce, bytes(sealed), bytes(length))
            else:
                message, channel, count = pipe.decipher(engine, nonce, sealed, length)
        except InvalidTag:
            raise paramiko.SSHException("Mismatched MAC") from None
        self._start = at + 4 + size + _TAG
        self._count(4 + size + _TAG)
        if pipe is not None:
            if message == _DATA and count > 0 and self.pipes.get(channel) is pipe:
                pipe.keep(count)
                return None
            packet = pipe.release(size)
        payload = packet[1 : size - packet[0]]
        if not payload:
            raise paramiko.SSHException("a packet without a message")
        if payload[0] == _DATA and len(payload) > _SMALL:
            self._latest = self.pipes.get(int.from_bytes(payload[1:5], "big"))
        return payload

    def _count(self, size: int) -> None:
        self._counter += 1
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._bytes += size
        self._packets += 1
        over = self._bytes >= self.REKEY_BYTES or self._packets >= self.REKEY_PACKETS
        if over and not self.need_rekey():
            self._trigger_rekey()  # type: ignore[attr-defined]
        elif self._bytes >= self.REKEY_BYTES + self.REKEY_BYTES_OVERFLOW_MAX:
            raise paramiko.SSHException("Remote transport is ignoring rekey requests")

    def _whole(self) -> int:
        """Read until the next packet is whole; gives its length."""
        size = -1
        while True:
            there = self._end - self._start
            if size < 0 and there >= 4:
                size = int.from_bytes(self._view[self._start : self._start + 4], "big")
                if not 16 <= size <= MOST or size % 16:
                    raise paramiko.SSHException(f"a packet of {size} bytes")
            if size >= 0 and there >= 4 + size + _TAG:
                return size
            self._more(there)

    def _more(self, there: int) -> None:
        """Read what the network has."""
        latest = self._latest  # another thread may forget it at any time
        if latest:
            latest.flush(_FLUSH)
        if self._start:
            self._view[:there] = self._view[self._start : self._end]
            self._start, self._end = 0, there
        while True:
            try:
                count = self._receive(self._view[self._end :])
            except TimeoutError:
                self._idle(nothing=not self._end)
                continue
            except OSError:
                if self.closed:
                    raise EOFError from None
                raise
            if not count:
                raise EOFError
            self._end += count
            if count < _LITTLE and latest:
                time.sleep(_PATIENCE)
            return

    def _receive(self, room: memoryview) -> int:
        if isinstance(self._sock, socket.socket):
            return self._sock.recv_into(room)
        data = self._sock.recv(len(room))
        room[: len(data)] = data
        return len(data)

    def _idle(self, *, nothing: bool) -> None:
        """Nothing came for a moment."""
        latest = self._latest
        if latest:
            latest.flush()
        if self.closed or self.handshake_timed_out():
            raise EOFError
        if nothing and self.need_rekey():
            raise NeedRekeyException
        self._check_keepalive()  # type: ignore[attr-defined]
