"""Traces made by hand: each record is said in full, so that the truth is known without our reader."""

from __future__ import annotations

import struct
from dataclasses import dataclass

Q, M, F, G, R, D, C, INSERT, X, A = 1, 2, 3, 4, 6, 7, 8, 12, 13, 15
READ, WRITE, NOTIFY = 1, 2, 0x400
HEAD = 48
DISK = (254 << 20) | 16


@dataclass
class Made:
    """Writes records as the kernel lays them out (blk_io_trace, version 7), in either byte order."""

    order: str = "<"
    content: bytes = b""
    sequence: int = 0

    def event(
        self,
        time: int,
        event: int,
        sector: int,
        sectors: int,
        *,
        pid: int = 100,
        way: int = WRITE,
        payload: bytes = b"",
        device: int = DISK,
    ) -> Made:
        self.sequence += 1
        return self._record(self.sequence, time, sector, sectors * 512, way << 16 | event, pid, device, payload)

    def note(self, kind: int, payload: bytes, *, pid: int = 0, time: int = 0) -> Made:
        return self._record(0, time, 0, 0, NOTIFY << 16 | kind, pid, 0, payload)

    def name(self, pid: int, comm: bytes) -> Made:
        return self.note(0, comm.ljust(16, b"\0"), pid=pid)

    def clock(self, time: int, seconds: int, nanoseconds: int) -> Made:
        return self.note(1, struct.pack(f"{self.order}II", seconds, nanoseconds), time=time)

    def split(self, time: int, sector: int, sectors: int, second: int, *, pid: int = 100) -> Made:
        return self.event(time, X, sector, sectors, pid=pid, payload=struct.pack(">Q", second))

    def _record(  # noqa: PLR0917 - the fields of the record
        self, sequence: int, time: int, sector: int, size: int, action: int, pid: int, device: int, payload: bytes
    ) -> Made:
        head = struct.pack(
            f"{self.order}IIQQIIIIIHH",
            0x65617407,
            sequence,
            time,
            sector,
            size,
            action,
            pid,
            device,
            0,
            0,
            len(payload),
        )
        self.content += head + payload
        return self
