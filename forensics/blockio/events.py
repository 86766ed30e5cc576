"""The numbers of the block layer's events (include/uapi/linux/blktrace_api.h, enum blktrace_act), and their letters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from forensics.blockio.trace import Trace

Q, M, F, G, S, R, D, C, P, U, UT, I, X, B, A = range(1, 16)  # noqa: E741
LETTERS = ("?", "Q", "M", "F", "G", "S", "R", "D", "C", "P", "U", "UT", "I", "X", "B", "A", "ABORT", "m", "ZP", "ZU")
WRITE, FLUSH, SYNC, PC, AHEAD, META, DISCARD, FUA = 0x2, 0x4, 0x8, 0x200, 0x800, 0x1000, 0x2000, 0x8000
SECTOR = 512


def sizable(trace: Trace) -> npt.NDArray[np.uint8]:
    """Give the events that move data between disk and memory; 0 for all others (flushes, commands of SCSI)."""
    return np.where((trace.size > 0) & (trace.category & PC == 0), trace.event, 0).astype(np.uint8)
