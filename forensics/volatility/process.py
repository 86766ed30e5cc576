"""How a fresh Python process for Volatility is started: private cache, no network, nothing of the current folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


def command(module: str) -> list[str]:
    """Give the words that run a module of ours; -P keeps the current folder off its import path."""
    return [sys.executable, "-P", "-m", module]


def environment(folder: Path) -> dict[str, str]:
    """Give the environment: Volatility takes its cache folder from XDG_CACHE_HOME when it is imported."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PYTHONPATH": str(_PACKAGE_PARENT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
    }


def run_module(module: str, folder: Path, stdin: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a module of ours to its end."""
    return subprocess.run(
        command(module),
        input=stdin,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
