"""makedumpfile's flattened format: a vmcore that went through a pipe, in records of offset, size and bytes.

Layout (makedumpfile.h): a header of 4096 bytes (signature, 16 bytes; type 1; version 1), then records of two signed
64-bit big-endian numbers and the bytes; a record of -1, -1 ends it. Later records may write over earlier ones.
"""

from __future__ import annotations

import struct
from pathlib import Path

from forensics.imports.spans import PIECE, Unreadable

MAGIC = b"makedumpfile\0\0\0\0"
_HEAD = 4096
_RECORD = struct.Struct(">qq")
_FARTHEST = 1 << 46  # no vmcore is larger, and file systems have files of this size


def rearrange(source: Path, output: Path) -> str:
    """Write the vmcore that a flattened one holds; gives why it is not whole, "" when it is."""
    with source.open("rb") as file, output.open("xb") as plain:
        head = file.read(_HEAD)
        if not head.startswith(MAGIC) or head[16:32] != struct.pack(">qq", 1, 1):
            raise Unreadable("the flattened vmcore's header cannot be read", where=str(source))
        while True:
            record = file.read(_RECORD.size)
            if len(record) < _RECORD.size:
                return f"the flattened vmcore ends at byte {file.tell()} without its last record"
            offset, size = _RECORD.unpack(record)
            if (offset, size) == (-1, -1):
                return ""
            if offset < 0 or size < 0 or offset + size > _FARTHEST:
                return f"a record of the flattened vmcore cannot be (byte {file.tell() - _RECORD.size})"
            plain.seek(offset)
            while size and (piece := file.read(min(PIECE, size))):
                plain.write(piece)
                size -= len(piece)
            if size:
                return f"the flattened vmcore ends {size} bytes before the end of a record"
