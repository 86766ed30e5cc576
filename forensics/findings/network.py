"""Rules on sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from forensics.findings.rule import LONGEST, Context, Evidence, listed, number_of, rule, text_of
from forensics.findings.suspects import Process, processes, suspect
from forensics.model import Finding, Severity
from forensics.tables import Row

SOCKSTAT = "linux.sockstat.Sockstat"
_GENERAL = frozenset({"nc", "ncat", "netcat", "nc.openbsd", "nc.traditional", "socat", "bash", "dash", "sh"})
"""Programs that have no business of their own on a port."""


@dataclass(frozen=True, slots=True)
class _Place:
    pid: int | None
    name: str
    protocol: str
    address: str
    port: int


@rule("listening-socket", needs=("sockets|" + SOCKSTAT,))
def listening(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name every process that waits for connections, with its ports; suspect processes gravely."""
    del context
    source, read = ("sockets", _live) if evidence.has("sockets") else (SOCKSTAT, _remembered)
    known = processes(evidence)
    groups: dict[tuple[int | None, str], list[_Place]] = {}
    for place in filter(None, map(read, evidence.rows(source))):
        groups.setdefault((place.pid, place.name), []).append(place)
    for (pid, _), places in groups.items():
        yield _finding(evidence, source, known.get(pid) if pid is not None else None, places)


def _live(row: Row) -> _Place | None:
    state, port = text_of(row.get("state")).upper(), number_of(row.get("local_port"))
    protocol = text_of(row.get("protocol")).lower()
    waits = state == "LISTEN" or (protocol.startswith("udp") and state == "UNCONN")
    if not waits or port is None:
        return None
    name, address = text_of(row.get("process"), 64), text_of(row.get("local_address"))
    return _Place(number_of(row.get("pid")), name, protocol, address, port)


def _remembered(row: Row) -> _Place | None:
    port = text_of(row.get("Source Port"))
    if text_of(row.get("State")) != "LISTEN" or not text_of(row.get("Family")).startswith("AF_INET"):
        return None
    if not port.isdecimal():
        return None
    name, protocol = text_of(row.get("Process Name"), 64), text_of(row.get("Proto")).lower()
    return _Place(number_of(row.get("PID")), name, protocol, text_of(row.get("Source Addr")), int(port))


def _judge(one: Process | None) -> tuple[Severity, str]:
    if one is None:
        return Severity.INFORMATION, ""
    why = suspect(one)
    if why:
        return Severity.HIGH, f" The process is suspect: {why}."
    if PurePosixPath(one.exe).name in _GENERAL:
        return Severity.MEDIUM, f" Its program, {one.exe[:LONGEST]}, is a tool that can serve anything."
    started = f", started as: {one.args[:LONGEST]}" if one.args else ""
    return Severity.INFORMATION, f" It runs {one.exe[:LONGEST]}{started}." if one.exe else ""


def _finding(evidence: Evidence, source: str, one: Process | None, places: list[_Place]) -> Finding:
    pid, name = places[0].pid, places[0].name
    severity, why = _judge(one)
    who = f"{name or 'a process without a name'} (pid {pid})" if pid is not None else "no process that is known"
    shown = sorted({f"{place.protocol} {place.address} port {place.port}" for place in places})
    ports = sorted({place.port for place in places})
    return Finding(
        rule="listening-socket",
        severity=severity,
        title=f"{who} listens on {listed([str(port) for port in ports])}",
        statement=f"Connections are awaited by {who}: {listed(shown)}.{why}",
        exhibits=evidence.exhibits(source, *(one.tables if one else ())),
        repeat="on the target: ss -lntup" if source == "sockets" else f"vol -f the memory image {SOCKSTAT}",
        technique="T1571" if severity is Severity.HIGH else "",
        facts={"pid": pid, "process": name, "ports": [*ports]},
    )
