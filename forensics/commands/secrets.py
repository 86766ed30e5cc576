"""Secrets as commands are given them: through a file descriptor or from the terminal, never in their words."""

from __future__ import annotations

import getpass
import os

from forensics.errors import UsageError
from forensics.ssh import Secret


def secret(descriptor: int, ask: bool, prompt: str) -> Secret | None:  # noqa: FBT001 - two ways to one secret
    """Read a secret from a file descriptor, or ask for it on the terminal; None when neither was wanted."""
    if descriptor >= 0:
        try:
            with os.fdopen(descriptor, encoding="utf-8") as file:
                return Secret(file.readline().rstrip("\n"))
        except OSError as error:
            raise UsageError(
                f"no secret can be read from file descriptor {descriptor}", why=str(error.strerror)
            ) from None
    return Secret(getpass.getpass(prompt)) if ask else None
