"""The dialogue with a target's sudo: the password is given once, on stdin, after its prompt, never in a terminal.

sudo is told its prompt (`-p`), a random word; whatever else appears is no prompt. `-k` makes it forget earlier logins
and remember none. A second prompt means that the password was wrong: it is not given again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from forensics import text
from forensics.errors import SudoRefused
from forensics.ssh.login import Secret

SUDO = "/usr/bin/sudo"

_REASONS = (
    (b"must have a tty", "sudo there wants a terminal (requiretty)"),
    (b"a terminal is required", "sudo there wants a terminal"),
    (b"not in the sudoers", "the account is not in the sudoers file"),
    (b"not allowed to execute", "sudo there does not allow the account this command"),
    (b"may not run sudo", "the account may not run sudo there"),
    (b"account validation failure", "the account is locked or expired for sudo"),
    (b"not found", f"there is no {SUDO} on the target"),
    (b"No such file", f"there is no {SUDO} on the target"),
)


class SudoDialogue:
    """What sudo says before the command begins, and what is answered; made anew for each command."""

    def __init__(self, password: Secret | None) -> None:
        self._password = password
        self._prompt = f"[{secrets.token_hex(16)}]"
        self.asked = 0

    @property
    def argv(self) -> tuple[str, ...]:
        """Words to put before the command."""
        return (SUDO, "-k", "-S", "-p", self._prompt, "--")

    def hear(self, said: bytes, send: Callable[[bytes], None], hang_up: Callable[[], None]) -> None:
        """Take all that sudo has said up to now; answer its first prompt, and end at any other."""
        asked = said.count(self._prompt.encode())
        if asked == self.asked:
            return
        self.asked = asked
        if self._password is not None and asked == 1:
            send(self._password.reveal().encode() + b"\n")
        else:
            hang_up()

    @property
    def wrong_password(self) -> bool:
        """The password was given and not accepted."""
        return self._password is not None and self.asked > 1

    def strip(self, said: bytes) -> bytes:
        """Take prompt and password out of what sudo said."""
        plain = said.replace(self._prompt.encode(), b"")
        return self._password.withhold(plain) if self._password and self.asked else plain

    def refusal(self, said: bytes, where: str) -> SudoRefused:
        """Say why the command did not begin."""
        words = text.show(self.strip(said).strip(), 300)
        heard = f"; it said: {words}" if words else ""
        if self.wrong_password:
            return refused(where, f"the sudo password was not accepted{heard}", "give the right sudo password")
        if self.asked and self._password is None:
            return refused(
                where, "sudo there asks for a password, and none was given", "give it with --ask-sudo-password"
            )
        known = next((reason for sign, reason in _REASONS if sign in said), "sudo there did not run the command")
        return refused(where, known + heard, "let the account run commands as root through sudo, or log in as root")


def refused(where: str, why: str, remedy: str) -> SudoRefused:
    """Make the error that every refusal of sudo is."""
    return SudoRefused("a command as root was refused by the target's sudo", where=where, why=why, remedy=remedy)
