"""Targets as OpenSSH reads them: `[user@]host[:port]`, with what ssh_config(5) says of the name."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import paramiko

from forensics.errors import UsageError
from forensics.model import Target
from forensics.ssh.hostkeys import SSH_PORT

CONFIGS = (Path("~/.ssh/config"), Path("/etc/ssh/ssh_config"))
DEFAULT_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa")
KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
JUMPS = 8
LABEL = 40

Settings = Mapping[str, str | list[str]]


def parse_target(
    words: str, label: str | None = None, *, config: Path | Sequence[Path] = CONFIGS, host_key: str = ""
) -> Target:
    """Read a target; UsageError when the words or the configuration cannot be.

    Files of `config` are read in order, the first value found wins; one that is absent says nothing. The label is made
    of the name given (not of the address behind it): small letters, digits and hyphens.
    """
    known = _read([config] if isinstance(config, Path) else config)
    target = _target(words, known, label, JUMPS)
    if host_key and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", host_key):
        raise UsageError(
            f"not a host key fingerprint: {host_key}",
            why="it has to be SHA256: and 43 characters, as ssh-keygen -lf prints it",
        )
    return replace(target, host_key=host_key)


def split(words: str) -> tuple[str, str, int]:
    """Split `[user@]host[:port]` into user, host and port ("" and 0 where not given); IPv6 in brackets."""
    user, _, place = words.removeprefix("ssh://").rstrip("/").rpartition("@")
    if match := re.fullmatch(r"\[([^\[\]]+)\](?::(\d+))?", place):
        host, port = match[1], match[2]
    elif place.count(":") > 1:
        host, port = place, None
    else:
        host, _, port = place.partition(":")
    if not host or host.startswith("-") or user.startswith("-") or re.search(r"[\s\0/]", host + user):
        raise UsageError(f"not a target: {words!r}", remedy="write [user@]host[:port], an IPv6 address in brackets")
    if port and not (port.isdecimal() and 0 < int(port) < 1 << 16):
        raise UsageError(f"not a port: {port!r}", where=words)
    return user, host, int(port or 0)


def label_of(name: str) -> str:
    """Make a label of a name: small letters, digits and hyphens; UsageError when nothing is left."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LABEL].rstrip("-")
    if not label:
        raise UsageError(f"no label can be made of {name!r}", remedy="give the target a label of letters and digits")
    return label


def _target(words: str, config: paramiko.SSHConfig, label: str | None, depth: int) -> Target:
    user, host, port = split(words)
    settings: Settings = config.lookup(host)
    address = _one(settings, "hostname") or host
    return Target(
        label=label_of(label or host),
        address=address,
        port=port or _port(settings, words),
        user=user or _one(settings, "user") or getpass.getuser(),
        identities=_identities(settings),
        known_hosts=_known_hosts(settings),
        host_key_alias=_one(settings, "hostkeyalias"),
        agent=_agent(settings),
        jump=_jump(settings, config, words, depth),
    )


def _jump(settings: Settings, config: paramiko.SSHConfig, words: str, depth: int) -> Target | None:
    """Read ProxyJump: the first of a list is reached as it is configured, each further one through the one before."""
    listed = [one.strip() for one in _one(settings, "proxyjump").split(",") if one.strip()]
    if not listed or listed == ["none"]:
        if _one(settings, "proxycommand"):
            raise UsageError(
                f"{words} is reached by a ProxyCommand, which is not supported",
                remedy="use ProxyJump, or a target for which ProxyCommand is none",
            )
        return None
    if depth <= 0:
        raise UsageError(f"ProxyJump of {words} goes through more than {JUMPS} machines", why="it may go in a circle")
    hops = [_target(one, config, None, depth - 1) for one in listed]
    before = hops[0]
    for hop in hops[1:]:
        before = replace(hop, jump=before)
    return before


def _port(settings: Settings, words: str) -> int:
    given = _one(settings, "port") or str(SSH_PORT)
    if not given.isdecimal() or not 0 < int(given) < 1 << 16:
        raise UsageError(f"not a port: {given!r}", where=f"Port of {words} in the SSH configuration")
    return int(given)


def _identities(settings: Settings) -> tuple[Path, ...]:
    """Give the configured identities, or those that OpenSSH takes by default, where they exist."""
    listed = settings.get("identityfile", [])
    files = [Path(one).expanduser() for one in ([listed] if isinstance(listed, str) else listed) if one != "none"]
    if listed:
        return tuple(dict.fromkeys(files))
    usual = (Path("~/.ssh").expanduser() / name for name in DEFAULT_IDENTITIES)
    return tuple(path for path in usual if path.exists())


def _known_hosts(settings: Settings) -> tuple[Path, ...]:
    own = _one(settings, "userknownhostsfile") or KNOWN_HOSTS
    system = _one(settings, "globalknownhostsfile") or SYSTEM_KNOWN_HOSTS
    home = str(Path.home())
    words = [word.strip('"') for word in f"{own} {system}".split()]
    return tuple(Path(word.replace("%d", home)).expanduser() for word in words if word not in ("none", "/dev/null"))


def _agent(settings: Settings) -> bool:
    """Tell whether an agent may sign: there is one, and the configuration does not name another or none."""
    return "SSH_AUTH_SOCK" in os.environ and _one(settings, "identityagent") in ("", "SSH_AUTH_SOCK")


def _one(settings: Settings, name: str) -> str:
    value = settings.get(name) or ""
    return value if isinstance(value, str) else value[0]


def _read(paths: Sequence[Path]) -> paramiko.SSHConfig:
    config = paramiko.SSHConfig()
    for path in paths:
        try:
            lines = path.expanduser().read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as problem:
            raise UsageError("the SSH configuration cannot be read", where=str(path), why=str(problem)) from None
        try:
            config.parse(_included(path.expanduser(), lines, JUMPS))
        except paramiko.ConfigParseError as problem:
            raise UsageError("the SSH configuration cannot be read", where=str(path), why=str(problem)) from None
    return config


def _included(path: Path, lines: Sequence[str], depth: int) -> list[str]:
    """Put the files that `Include` names in its place, and go on in the block that it stood in."""
    given: list[str] = []
    block = "Host *"
    for line in lines:
        word, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if word.lower() in ("host", "match"):
            block = line
        if word.lower() != "include":
            given.append(line)
            continue
        for file in _files(path, rest) if depth else ():
            given += _included(file, file.read_text(encoding="utf-8").splitlines(), depth - 1)
        given.append(block)
    return given


def _files(path: Path, patterns: str) -> list[Path]:
    base = path.parent if path.parent == Path("/etc/ssh") else Path("~/.ssh").expanduser()
    found: list[Path] = []
    for pattern in patterns.split():
        full = Path(pattern.strip('"')).expanduser()
        anchor, relative = (Path("/"), full.relative_to("/")) if full.is_absolute() else (base, full)
        found += sorted(one for one in anchor.glob(str(relative)) if one.is_file())
    return found
