"""Who works here, and with what: the parts of a custody event that are the same in every line of a run."""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import forensics
from forensics.events import Actor, Tool
from forensics.hashing import hash_file, hash_tree
from forensics.model import Examiner

_SECRET = re.compile(r"--[a-z-]*(password|passphrase|secret|token)[a-z-]*")
REMOVED = "[removed]"
FILES = ("*.py", "*.yaml", "*.html", "*.css", "*.j2")


def actor(examiner: Examiner) -> Actor:
    """Put the examiner together with the account and machine used."""
    return Actor(
        name=examiner.name,
        role=examiner.role,
        contact=examiner.contact,
        organisation=examiner.organisation,
        key=examiner.key,
        account=_account(),
        host=socket.gethostname(),
    )


def tool() -> Tool:
    """Name this program: version, digest over its installed files, digest of its lock file, and how it was called."""
    return Tool("forensics", forensics.__version__, code_digest(), _lock_digest(), without_secrets(sys.argv))


@cache
def code_digest() -> str:
    """Digest our installed files: another version of any of them gives another digest."""
    return str(hash_tree(Path(forensics.__file__).parent, FILES))


@cache
def _lock_digest() -> str:
    lock = Path(forensics.__file__).parent.parent / "requirements.lock"
    return str(hash_file(lock).digest) if lock.is_file() else ""


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def without_secrets(argv: Sequence[str]) -> tuple[str, ...]:
    """Take values of options that are named like secrets out of a command line; none of ours takes one there."""
    kept: list[str] = []
    hide = False
    for word in argv:
        option, equals, _ = word.partition("=")
        secret = bool(_SECRET.fullmatch(option)) and not option.endswith("-fd")
        if hide and not word.startswith("-"):
            kept.append(REMOVED)
        else:
            kept.append(f"{option}={REMOVED}" if secret and equals else word)
        hide = secret and not equals
    return tuple(kept)
