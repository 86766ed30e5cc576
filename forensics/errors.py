"""Every error that a user can meet.

ForensicsError                  what happened, where, why, and what to do; recorded in the ledger
├── UsageError                  the words of the command are off                        exit 2
├── CaseError                   the case cannot be opened, or not like this             exit 1
│   └── NothingToCheck          there is no such case, bag or report                    exit 6
├── ToolMissing                 an external program is absent; names its package        exit 1
├── TargetError                 the target did not do what was asked                    exit 1
│   ├── Unreachable             no connection, or it was lost
│   ├── LoginRefused            the account, key or password was not accepted
│   ├── SudoRefused             sudo did not accept the password, or does not allow it
│   └── CommandFailed           a command on the target ended otherwise than it had to
├── StageFailed                 a stage could not do its work                           exit 1
│   └── SymbolsError            no symbol table can be made of what the target gave
├── LabFailed                   the practice target did not come up, or is not there    exit 1
├── Refused                     policy: host key, preflight, another boot               exit 7
│   └── HostKeyRefused          the target's host key is unknown, or another
└── IntegrityError              evidence or ledger is not what was recorded             exit 4

Programmers' errors are Python's own exceptions, and crash.
"""

from __future__ import annotations

import os
from pathlib import Path


class ForensicsError(Exception):
    """Something that the analyst must know: what happened, where, why, and what to do about it."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        """Give the sentences in one line, as the ledger keeps them."""
        parts = [self.what, self.where and f"where: {self.where}", self.why and f"why: {self.why}"]
        return "; ".join(part for part in [*parts, self.remedy and f"do: {self.remedy}"] if part)


class UsageError(ForensicsError):
    """The words of the command are off."""

    exit_code = 2


class CaseError(ForensicsError):
    """The case cannot be opened, or not like this."""


class NothingToCheck(CaseError):
    """There is no such case, bag or report, so that nothing can be said of it."""

    exit_code = 6


class ToolMissing(ForensicsError):
    """An external program is absent; `remedy` names the package that gives it."""


class TargetError(ForensicsError):
    """The target did not do what was asked of it."""


class Unreachable(TargetError):
    """No connection to the target, or it was lost."""


class LoginRefused(TargetError):
    """The account, key or password was not accepted."""


class SudoRefused(TargetError):
    """The target's sudo did not accept the password, or does not allow the command."""


class CommandFailed(TargetError):
    """A command on the target ended otherwise than it had to."""


class StageFailed(ForensicsError):
    """A stage could not do its work."""

    @classmethod
    def of(cls, problem: OSError, where: Path) -> StageFailed:
        """Say what this machine's own system refused: a full disk, a volume that is read-only, no permission."""
        named = os.fsdecode(problem.filename) if isinstance(problem.filename, str | bytes) else str(where)
        return cls(
            "this machine refused what the work needs",
            where=named,
            why=problem.strerror or str(problem),
            remedy="see to the volume (room, permissions), and run again",
        )


class SymbolsError(StageFailed):
    """No symbol table can be made of what the target gave."""


class LabFailed(ForensicsError):
    """The practice target did not come up, is not there, or is not as it was planted."""


class Refused(ForensicsError):
    """A policy forbids to go on: host key, preflight, another boot."""

    exit_code = 7


class HostKeyRefused(Refused):
    """The target's host key is unknown, or is not the one that is known."""


class IntegrityError(ForensicsError):
    """Evidence or ledger is not what was recorded: the case stops."""

    exit_code = 4
