"""One module, one way to acquire memory; each gives the same LiME format, so that nothing after it need know which.

An engine is asked whether it will work (`check`), makes the target ready (`prepare`, which also leaves it as it was),
and then streams. What it learned on the way (its module's answer, kernel messages, taint) is in `Prepared.record`.
`zero_fill_excluded` there tells whether zeros are memory's own, and `zero_fill` why. `source_digest` is what the source
says it sent, by `source_digest_by`; `left_there` what stays on the target because the analyst wants it so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from forensics.host import Channel, Host
from forensics.lime.receiving import never
from forensics.model import JSON, Digest, Facts, LimeModule, NotBuilt, Preflight


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the analyst wants memory to be acquired, for the engines that can."""

    streams: int = 0  # connections at once; 0: as many as the engine finds best
    compression: str = "none"  # on the target: none, auto (the best that it has), or zstd, lz4, gzip
    carry: str = "auto"  # how LiME's port comes here: auto, forward, exec, tls
    lime_digest: bool = False  # LiME hashes, too
    folder: str = ""  # on the target, for LiME to write to
    leave_there: bool = False  # what it wrote stays there, and is not fetched
    avml: Path | None = None  # the analyst's own AVML
    avml_digest: str = ""  # that it has to have: sha256:…


@dataclass(frozen=True, slots=True)
class Materials:
    """What engines may take to the target."""

    module: LimeModule | NotBuilt
    module_path: Path | None = None
    module_digest: Digest | None = None
    wishes: Wishes = field(default_factory=Wishes)
    halted: Callable[[], str] = never  # why an acquisition has to end; "" as long as it need not


@dataclass(frozen=True, slots=True)
class Paper:
    """Something that an engine met on its way and that becomes an exhibit beside the image."""

    name: str
    kind: str
    title: str
    content: bytes


class Prepared(Protocol):
    """A target that is ready to give its memory."""

    record: dict[str, JSON]
    papers: list[Paper]

    def stream(self) -> AbstractContextManager[Channel]:
        """Give memory in LiME format; leaving the block ends what still runs, and completes `record`.

        Raises a ForensicsError when the target refuses, before the first byte.
        """


class Engine(Protocol):
    """One way to acquire memory."""

    @property
    def name(self) -> str:
        """Name it as `--engine` does."""

    def check(self, facts: Facts, materials: Materials) -> Preflight:
        """Tell whether it will work on this target, and why."""

    def prepare(self, host: Host, facts: Facts, materials: Materials) -> AbstractContextManager[Prepared]:
        """Make the target ready; leaving the block leaves it as it was, and looks."""
