"""One module, one way to acquire memory; each gives the same LiME format, so that nothing after it need know which.

An engine is asked whether it will work (`check`), makes the target ready (`prepare`, which also leaves it as it was),
and then streams. What it learned on the way (its module's answer, kernel messages, taint) is in `Prepared.record`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from forensics.host import Channel, Host
from forensics.model import JSON, Digest, Facts, LimeModule, NotBuilt, Preflight


@dataclass(frozen=True, slots=True)
class Materials:
    """What engines may take to the target."""

    module: LimeModule | NotBuilt
    module_path: Path | None = None
    module_digest: Digest | None = None


class Prepared(Protocol):
    """A target that is ready to give its memory."""

    record: dict[str, JSON]

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
