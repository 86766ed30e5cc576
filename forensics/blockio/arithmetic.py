"""Brings numpy in the way in which it works fastest; imported before anything here brings it otherwise.

numpy's AVX-512 sort takes five times as long as its AVX2 one on AMD's Zen 4, which writes compressed vectors slowly
(measured: 95 against 19 ms for 1.5 million numbers), and nothing here multiplies matrices, for which numpy starts
threads. Both are settings of numpy's environment (numpy reference, "CPU build and dispatch options"), read when it is
first imported, and put back at once. Where numpy is here already, it stays as it is, and everything is only slower.

glibc gives every large array back to the kernel when it is freed, and has to fetch it again, cleared, for the next:
half of the page faults of a run. It is told to keep some (mallopt(3)). Decision 0019 says what is gained.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from pathlib import Path

_SLOW = {"AuthenticAMD", "avx512f", "avx512dq", "avx512_vbmi2"}
"""Words of /proc/cpuinfo that together mean such a processor."""

_MALLOC = ((-1, 256 << 20), (-3, 32 << 20), (-8, 1))
"""M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of glibc's malloc.h, and what they are set to."""


def _bring() -> None:
    if "numpy" in sys.modules:
        return
    wanted = {name: value for name, value in _settings().items() if name not in os.environ}
    os.environ.update(wanted)
    try:
        importlib.import_module("numpy")
    finally:
        for name in wanted:
            del os.environ[name]


def _settings() -> dict[str, str]:
    try:
        words = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].split()
    except OSError:
        words = []
    slow = {"NPY_DISABLE_CPU_FEATURES": "AVX512_ICL X86_V4"} if set(words) >= _SLOW else {}
    return {"OPENBLAS_NUM_THREADS": "1", **slow}


def _keep() -> None:
    """Let the C library keep what is freed for the next array, and not give it back to the kernel each time."""
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for parameter, value in _MALLOC:
        adjust(parameter, value)


_bring()
_keep()
