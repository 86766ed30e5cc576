"""What blktrace passes on of the kernel's relay buffers: its records, and now and then the zeros behind them.

When tracing stops, the kernel closes every sub-buffer that is in use (`relay_flush`) without holding off its reader
(kernel/relay.c: `relay_file_read_subbuf_avail` looks at the written length and at the padding one after the other). A
reader that comes in between is given the rest of the sub-buffer, which nothing was ever written to. Of 430 events taken
from a machine so, behind which 524,256 zeros stood, no sequence number was missing.
"""

from __future__ import annotations

import re

from forensics.blockio.records import MAGIC

_SHORTEST, _LONGEST = 1 << 10, 4 << 20
"""Bytes of such zeros: more than a head ever has in a row, and eight times the sub-buffer that blktrace asks for."""
_ZEROS = re.compile(rb"\0{%d,}" % _SHORTEST)
_VERSION = 7
_HEAD = 48  # bytes, of version 7


def records(stream: bytes) -> bytes:
    """Give a stream of records without the zeros between a whole record and the next, or the end.

    Zeros that follow no whole record, that something else follows, or that are more than a sub-buffer stay: whoever
    reads them counts them as what they are, unread.
    """
    orders = {(MAGIC | _VERSION).to_bytes(4, order): order for order in ("little", "big")}
    magic = stream[:4]
    if magic not in orders:
        return stream
    pieces, begun = [], 0
    for run in _ZEROS.finditer(stream):
        if stream[run.end() : run.end() + 4] not in {magic, b""}:
            continue
        head = stream.rfind(magic, begun, run.start())
        end = head + _HEAD + int.from_bytes(stream[head + 46 : head + 48], orders[magic])  # type: ignore[arg-type]
        if head >= 0 and run.start() <= end and _SHORTEST <= run.end() - end <= _LONGEST:
            pieces.append(stream[begun:end])
            begun = run.end()
    return b"".join([*pieces, stream[begun:]]) if pieces else stream
