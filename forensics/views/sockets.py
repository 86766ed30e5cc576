"""Sockets of TCP and UDP: as memory has them, and as the target listed them afterwards."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TypeAlias

from forensics.findings.rule import number_of, text_of
from forensics.model import Facts
from forensics.tables import Absent, Cell, Column, Row, Table
from forensics.views.merging import sources

NAME = "socket_views"
MEMORY, LIVE = "linux.sockstat.Sockstat", "sockets"

_COLUMNS = (
    Column("protocol"),
    Column("local_address"),
    Column("local_port", "integer"),
    Column("peer_address"),
    Column("peer_port", "integer"),
    Column("pid", "integer"),
    Column("process"),
    Column("state_in_memory"),
    Column("state_live"),
    Column("in_memory", "yes/no"),
    Column("live", "yes/no"),
)
_STATES = {"ESTABLISHED": "ESTAB", "UNCONNECTED": "UNCONN", "CLOSE": "UNCONN"}
"""Volatility's words for what ss calls otherwise."""
_Key: TypeAlias = tuple[str, str, int, str, int]


def view(tables: Mapping[str, Table], facts: Facts | None, facts_exhibit: str) -> Table | None:
    """Make the view; None unless memory's sockets and the live list are both there."""
    del facts, facts_exhibit
    if MEMORY not in tables or LIVE not in tables:
        return None
    remembered = {key: row for row in tables[MEMORY] if (key := _in_memory(row)) is not None}
    live = {key: row for row in tables[LIVE] if (key := _live(row)) is not None}
    rows = [_row(key, remembered.get(key), live.get(key)) for key in sorted({*remembered, *live})]
    return Table(NAME, "Sockets, in memory and live", _COLUMNS, tuple(rows), sources(tables, MEMORY, LIVE))


def _in_memory(row: Row) -> _Key | None:
    protocol = text_of(row["Proto"]).lower().removesuffix("6")
    if protocol not in {"tcp", "udp"} or not text_of(row["Family"]).startswith("AF_INET"):
        return None
    here, there = ((text_of(row[f"{end} Addr"]), _port(text_of(row[f"{end} Port"]))) for end in _ENDS)
    if not here[1]:
        return None  # not bound to a port: no list that goes by ports has it
    return (protocol, _address(here[0]), here[1], _address(there[0]), there[1])


_ENDS = ("Source", "Destination")


def _live(row: Row) -> _Key | None:
    protocol = text_of(row["protocol"]).lower().removesuffix("6")
    port = number_of(row["local_port"])
    if port is None:
        return None
    peer = number_of(row["peer_port"]) or 0
    return (protocol, _address(text_of(row["local_address"])), port, _address(text_of(row["peer_address"])), peer)


def _address(text: str) -> str:
    """Write an address one way: without a zone, IPv4 not inside IPv6, and `*` as what it stands for."""
    bare = text.partition("%")[0]
    if bare in {"", "*"}:
        return "::"
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return bare
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _port(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0


def _row(key: _Key, remembered: Row | None, live: Row | None) -> tuple[Cell, ...]:
    pid: Cell = Absent("no view tells it")
    name: Cell = pid
    if remembered is not None:
        pid, name = remembered["PID"], remembered["Process Name"]
    elif live is not None:
        pid, name = live["pid"], live["process"]
    told = (remembered is not None, live is not None)
    states = (_state(remembered, "State", "memory"), _state(live, "state", "the live list"))
    return (*key, pid, name, *states, *told)


def _state(row: Row | None, column: str, where: str) -> Cell:
    if row is None:
        return Absent(f"{where} does not have it")
    word = text_of(row[column])
    return _STATES.get(word, word)
