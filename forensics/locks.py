"""Who may work on a case: one run a target at a time, and none while the case is closed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forensics.casefile import Case
from forensics.errors import CaseError
from forensics.intake import slug


@contextmanager
def worker(case: Case, target: str) -> Iterator[None]:
    """Be the only one who works on a target of an open case; CaseError when someone else does, or it is closed."""
    work = case.folder / "work"
    busy = f"another run works on {target} already"
    with (
        _held(case, work / ".case.lock", fcntl.LOCK_SH, "the case is being closed"),
        _held(case, work / f"{slug(target)}.lock", fcntl.LOCK_EX, busy),
    ):
        case.require_open()
        yield


@contextmanager
def idle(case: Case) -> Iterator[None]:
    """Let nobody work on any target of a case meanwhile; CaseError when someone does."""
    with _held(case, case.folder / "work" / ".case.lock", fcntl.LOCK_EX, "a run works on the case"):
        yield


@contextmanager
def _held(case: Case, path: Path, how: int, otherwise: str) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        remedy = "wait until it has ended, or interrupt it"
        raise CaseError(otherwise, where=f"case {case.number}", remedy=remedy) from None
    try:
        yield
    finally:
        os.close(descriptor)
