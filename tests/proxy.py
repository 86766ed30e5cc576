"""A TCP proxy that delays, cuts, silences or corrupts what passes; or answers itself."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Proxy:
    """Stands before a port of the loopback; its attributes may be changed while bytes pass."""

    def __init__(self, behind: int, instead: Callable[[socket.socket], None] | None = None) -> None:
        self._behind = behind
        self._instead = instead
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut_after: int | None = None  # bytes from the server
        self.cut_by = "fin"  # or "rst", "silence", "flip"
        self.passed = 0
        self.open = threading.Event()
        self.open.set()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.set()
        self._listener.close()
        for one in self._sockets:
            one.close()

    def cut_now(self, way: str, after: int = 0) -> None:
        """Do harm from now on, after so many more bytes from the server."""
        self.cut_by, self.cut_after = way, self.passed + after

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            if self._instead:
                self._instead(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._behind))
            except OSError:
                client.close()
                continue
            self._sockets.append(server)
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, from_server: bool) -> None:  # noqa: FBT001
        try:
            while data := source.recv(65536):
                self.open.wait()
                if from_server:
                    self.passed += len(data)
                    if self.cut_after is not None and self.passed > self.cut_after and not self._cut(sink, data):
                        return
                    if self.cut_after is not None and self.passed > self.cut_after:
                        continue
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _cut(self, sink: socket.socket, data: bytes) -> bool:
        """Do the harm; True when the proxy goes on (and says nothing more)."""
        if self.cut_by == "silence":
            return True
        if self.cut_by == "flip":
            sink.sendall(bytes([*data[:-1], data[-1] ^ 1]) if len(data) > 1 else b"\0")
            return True
        if self.cut_by == "rst":
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sink.close()
        else:
            sink.shutdown(socket.SHUT_RDWR)
        return False
