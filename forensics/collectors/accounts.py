"""Accounts, who may become root, and which keys are let in. No password digest ever leaves the target."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

from forensics import records
from forensics.collectors import Bounds, Collector, Command, Output, Reading
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_SHADOW = (
    r"""{ s = "set"; if ($2 == "") s = "empty"; else if ($2 ~ /^[!*]/) s = "locked"; print $1 ":" s ":" $3 ":" $8 }"""
)
_KEYS = r"""
cut -d: -f6 /etc/passwd | sort -u | while IFS= read -r home; do
  case $home in /*) grep -asHZ -D skip '' "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2";; esac
done
exit 0
"""
_KEY = re.compile(
    r"(?P<options>(?:[^\s\"]|\"(?:\\.|[^\"\\])*\")+\s+)?(?P<type>(?:ssh|ecdsa|sk)-[\w@.-]{1,60})\s+(?P<key>[A-Za-z0-9+/=]{16,20000})(?:\s+(?P<comment>.*))?"
)
_ACCOUNTS = (
    Column("user"),
    Column("uid", "integer"),
    Column("gid", "integer"),
    Column("home"),
    Column("shell"),
    Column("password"),
    Column("groups"),
)
_LET_IN = (Column("path"), Column("type"), Column("digest"), Column("comment"), Column("options"))
_RULES = (Column("path"), Column("text"))


class Accounts(Collector[Bounds]):
    """Accounts, groups, rules of sudo, and keys that may log in."""

    name = "accounts"
    title = "Accounts"
    volatility = 72
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Read the files; of shadow, whether a password is set, and never more."""
        limits = settings.limits
        rules = ("grep", "-rsHZI", "-D", "skip", "-E", "^[[:space:]]*[^#[:space:]]", "/etc/sudoers", "/etc/sudoers.d")
        return (
            Command("passwd", ("cat", "/etc/passwd"), limits),
            Command("group", ("cat", "/etc/group"), limits, optional=True),
            Command("shadow-states", ("awk", "-F:", _SHADOW, "/etc/shadow"), limits, optional=True),
            Command("sudo-rules", rules, limits, accepts=(0, 1, 2), optional=True),
            Command("keys", ("sh", "-c", _KEYS), limits, optional=True),
        )

    def read(self, output: Output) -> Reading:
        """Make `accounts`, `authorized_keys` and `sudo_rules`."""
        states, bad_states = _table(output.part("shadow-states"), 4)
        groups, bad_groups = _table(output.part("group"), 4)
        passwords = {one[0]: one[1] for one in states}
        users, bad_users = _table(output.part("passwd"), 7)
        rows = [row for one in users if (row := _account(one, passwords, groups))]
        lines, bad_lines = records.grepped(output.part("keys"))
        keys = [(path, text.strip()) for path, text in lines if text.strip() and not text.lstrip().startswith("#")]
        read = [row for path, text in keys if (row := _key(path, text))]
        rules, bad_rules = records.grepped(output.part("sudo-rules"))
        unread = {"passwd": bad_users + len(users) - len(rows), "group": bad_groups, "shadow-states": bad_states}
        return Reading(
            (
                Table("accounts", "Accounts", _ACCOUNTS, tuple(rows)),
                Table("authorized_keys", "Keys that may log in", _LET_IN, tuple(read)),
                Table("sudo_rules", "Rules of sudo", _RULES, tuple((path, text.strip()) for path, text in rules)),
            ),
            unread | {"keys": bad_lines + len(keys) - len(read), "sudo-rules": bad_rules},
        )


def _table(raw: bytes, width: int) -> tuple[list[list[str]], int]:
    lines = [decode(line).split(":") for line in raw.splitlines() if line]
    whole = [one for one in lines if len(one) == width]
    return whole, len(lines) - len(whole)


def _account(one: list[str], passwords: dict[str, str], groups: list[list[str]]) -> tuple[Cell, ...] | None:
    user, _, uid, gid, _, home, shell = one
    if not all(re.fullmatch(r"\d{1,10}", number, re.ASCII) for number in (uid, gid)):
        return None
    member = ", ".join(dict.fromkeys(_groups_of(user, gid, groups)))
    state = passwords.get(user) or Absent("shadow does not name it, or was not read")
    return user, int(uid), int(gid), home, shell, state, member or Absent("no group that is known")


def _groups_of(user: str, gid: str, groups: list[list[str]]) -> Iterator[str]:
    for name, _, number, members in groups:
        if number == gid or user in members.split(","):
            yield name


def _key(path: str, text: str) -> tuple[Cell, ...] | None:
    """Read one line of authorized_keys (sshd(8)); the digest is what ssh-keygen -l prints."""
    match = _KEY.fullmatch(text[:25_000])
    if match is None:
        return None
    try:
        raw = base64.b64decode(match["key"], validate=True)
    except (binascii.Error, ValueError):
        return None
    digest = base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
    none = Absent("none")
    return path, match["type"], f"SHA256:{digest}", match["comment"] or none, (match["options"] or "").strip() or none


COLLECTOR = Accounts()
