"""Sockets of TCP and UDP, with the processes that hold them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from forensics.collectors import Bench, Bounds, Collector, Command, Output, Reading
from forensics.host import Change
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_USERS = re.compile(r'\("(.{0,64}?)",pid=(\d{1,10}),fd=\d+\)')
_UID = re.compile(r"\buid:(\d{1,10})\b")
_STATES = ("?", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN", "CLOSE-WAIT")
"""Numbers of include/net/tcp_states.h; 7 is CLOSE, which ss shows as UNCONN."""
_MORE_STATES = {9: "LAST-ACK", 10: "LISTEN", 11: "CLOSING", 12: "NEW-SYN-RECV"}
_COLUMNS = (
    Column("protocol"),
    Column("state"),
    Column("local_address"),
    Column("local_port", "integer"),
    Column("peer_address"),
    Column("peer_port", "integer"),
    Column("pid", "integer"),
    Column("process"),
    Column("uid", "integer"),
)
_NOBODY = Absent("no process holds it, or it was not told")
_DIAGNOSTICS = ("tcp_diag", "udp_diag", "inet_diag")
"""Modules that the kernel loads when ss asks (net/core/sock_diag.c); inet_diag last, for the others stand on it."""
_UNLOAD = 'for m; do if grep -q "^$m " /proc/modules; then rmmod "$m"; fi; done'
_UNLOADED = 'for m; do if grep -q "^$m " /proc/modules; then exit 1; fi; done'
_NET = ("/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6")


class Sockets(Collector[Bounds]):
    """Sockets by `ss`, or by /proc/net where there is none."""

    name = "sockets"
    title = "Sockets"
    volatility = 11
    settings = Bounds

    def command(self, settings: Bounds) -> tuple[Command, ...]:
        """Ask `ss` for TCP and UDP with processes and owners, and read the kernel's own tables beside it."""
        return (
            Command("ss", ("ss", "-H", "-tuanpe"), settings.limits),
            Command("proc-net", ("grep", "-sH", "", *_NET), settings.limits, accepts=(0, 1, 2), optional=True),
        )

    @contextmanager
    def capture(self, bench: Bench, settings: Bounds) -> Iterator[Callable[[], None]]:
        """Leave `ss` out where the target has none; then /proc/net must answer."""
        asked, tables = self.command(settings)

        def work() -> None:
            if bench.find("ss"):
                with _unloaded_again(bench):
                    bench.run(asked)
                bench.run(tables)
            else:
                bench.run(Command("proc-net", tables.argv, tables.limits, accepts=(0, 2)))

        yield work

    def read(self, output: Output) -> Reading:
        """Make the table `sockets`; from /proc/net it has no processes, and says so."""
        if output.part("ss"):
            rows, bad = _read_ss(output.part("ss"))
            part = "ss"
        else:
            rows, bad = _read_proc(output.part("proc-net"))
            part = "proc-net"
        return Reading((Table("sockets", "Sockets of TCP and UDP", _COLUMNS, tuple(rows)),), {part: bad})


def _unloaded_again(bench: Bench) -> AbstractContextManager[None]:
    """Take away the modules that asking loads, where they were not loaded before."""
    told = bench.host.run("cat", "/proc/modules")
    loaded = {line.partition(" ")[0] for line in decode(told.stdout).splitlines()}
    absent = tuple(name for name in _DIAGNOSTICS if name not in loaded)
    if not (told.ok and absent):
        return nullcontext()
    undo, gone = (("sh", "-c", script, "sh", *absent) for script in (_UNLOAD, _UNLOADED))
    return bench.host.change(Change("module", ", ".join(absent), undo, gone, "loaded by the kernel because ss asks"))


def _read_ss(raw: bytes) -> tuple[list[tuple[Cell, ...]], int]:
    rows: list[tuple[Cell, ...]] = []
    bad = 0
    for line in raw.splitlines():
        fields = decode(line).split(None, 6)
        if len(fields) < 6 or fields[0] not in {"tcp", "udp"} or not all(":" in end for end in fields[4:6]):
            bad += 1
            continue
        rest = fields[6] if len(fields) == 7 else ""
        owner = _UID.search(rest)
        uid = int(owner[1]) if owner else 0  # ss leaves out uid:0
        ends = (*_end(fields[4]), *_end(fields[5]))
        users: dict[tuple[Cell, Cell], None] = dict.fromkeys((int(pid), name) for name, pid in _USERS.findall(rest))
        rows.extend((fields[0], fields[1], *ends, *user, uid) for user in users or {(_NOBODY, _NOBODY): None})
    return rows, bad


def _end(text: str) -> tuple[Cell, Cell]:
    address, _, port = text.rpartition(":")
    number: Cell = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else Absent("any")
    return address.removeprefix("[").removesuffix("]"), number


def _read_proc(raw: bytes) -> tuple[list[tuple[Cell, ...]], int]:
    rows: list[tuple[Cell, ...]] = []
    bad = 0
    for line in raw.splitlines():
        name, _, words = decode(line).partition(":")
        fields = words.split()
        if fields[:1] == ["sl"]:
            continue
        try:
            state = _state(int(fields[3], 16))
            ends = (*_hex_end(fields[1]), *_hex_end(fields[2]))
            uid = int(fields[7])
        except (ValueError, IndexError):
            bad += 1
            continue
        none = Absent("/proc/net does not tell the process")
        rows.append((name.rpartition("/")[2], state, *ends, none, none, uid))
    return rows, bad


def _state(number: int) -> str:
    return _STATES[number] if number < len(_STATES) else _MORE_STATES.get(number, str(number))


def _hex_end(text: str) -> tuple[Cell, Cell]:
    """Read an address as the kernel prints it: 32-bit words of the machine's order, little-endian here."""
    address, _, port = text.partition(":")
    raw = bytes.fromhex(address)
    if len(raw) not in {4, 16}:
        msg = f"not an address: {len(raw)} bytes"
        raise ValueError(msg)
    turned = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return str(ipaddress.ip_address(turned)), int(port, 16)


COLLECTOR = Sockets()
