"""Brings numpy in the way in which it sorts fastest; imported before anything here brings it otherwise.

numpy's AVX-512 sort takes five times as long as its AVX2 one on AMD's Zen 4, which writes compressed vectors slowly
(measured: 95 against 19 ms for 1.5 million numbers), and nothing here multiplies matrices, for which numpy starts
threads. Both are settings of numpy's environment (numpy reference, "CPU build and dispatch options"), read when it is
first imported, and put back at once. Where numpy is here already, it stays as it is, and everything is only slower.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

_SLOW = {"AuthenticAMD", "avx512f", "avx512dq", "avx512_vbmi2"}
"""Words of /proc/cpuinfo that together mean such a processor."""


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


_bring()
