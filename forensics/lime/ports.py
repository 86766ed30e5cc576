"""The target's TCP ports, as /proc/net/tcp has them."""

from __future__ import annotations

import re
import secrets

from forensics import text
from forensics.errors import StageFailed
from forensics.host import Host

LOOPBACK = "0100007F"
"""127.0.0.1 as /proc/net/tcp writes it."""

_PORTS = range(61000, 65536)  # above the range that Linux hands out by itself (ip_local_port_range)
_LISTEN = "0A"


def free(host: Host, but: int = 0) -> int:
    """Choose a port that nothing on the target uses, nor is about to (`but`); StageFailed when there is none."""
    used = {but, *(port for _, port, _ in _sockets(host))}
    left = [port for port in _PORTS if port not in used]
    if not left:
        raise StageFailed(
            "the target has no port left for memory",
            where=host.label,
            why=f"every one from {_PORTS.start} to {_PORTS.stop - 1} is in use there",
            remedy="--engine kcore needs none",
        )
    return secrets.choice(left)


def listeners(host: Host, port: int) -> tuple[str, ...]:
    """List the addresses on which something listens at this port, as /proc/net/tcp and tcp6 write them."""
    return tuple(address for address, local, state in _sockets(host) if local == port and state == _LISTEN)


def _sockets(host: Host) -> list[tuple[str, int, str]]:
    """Give local address, local port and state of each TCP socket."""
    told = host.run("cat", "/proc/net/tcp", "/proc/net/tcp6")  # no tcp6 where IPv6 is off: the rest is read
    lines = re.findall(
        r"^ *\d+: ([0-9A-F]{8,32}):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) ", text.decode(told.stdout), re.MULTILINE
    )
    return [(address, int(port, 16), state) for address, port, state in lines]
