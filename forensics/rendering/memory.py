"""What memory shows: processes as a tree, network, shell history, modules, and how each plugin ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forensics.rendering.blocks import Block, GridColumn, Section, Words, grid
from forensics.rendering.missing import nothing
from forensics.rendering.record import CaseRecord, TargetRecord
from forensics.rendering.words import rows
from forensics.tables import Absent, Cell, Row, Table

PSLIST = "linux.pslist.PsList"


def chapter(record: CaseRecord) -> Section:
    """Give what the plugins found in memory."""
    several = len(record.targets) > 1
    parts: list[Section] = []
    for target in record.targets:
        suffix = f" of {target.label}" if several else ""
        parts += [
            Section(f"processes-{target.label}", f"Process tree{suffix}", tuple(_processes(target))),
            Section(f"network-{target.label}", f"Network{suffix}", tuple(_network(target))),
            Section(f"history-{target.label}", f"Shell history in memory{suffix}", tuple(_history(target))),
            Section(f"modules-{target.label}", f"Kernel modules and hooks{suffix}", tuple(_kernel(target))),
            Section(f"plugins-{target.label}", f"Plugins and how each ended{suffix}", tuple(_plugins(target))),
        ]
    return Section("memory", "What memory shows", (), tuple(parts), flows=True)


def _flagged(target: TargetRecord) -> frozenset[int]:
    pids = set()
    for finding in target.findings:
        pid = finding.facts.get("pid")
        if finding.severity != "information" and isinstance(pid, int):
            pids.add(pid)
    return frozenset(pids)


def _integer(value: Cell | None) -> int:
    return value if isinstance(value, int) else -1


def _word(value: Cell | None) -> str:
    return "" if value is None or isinstance(value, Absent) else str(value)


def _processes(target: TargetRecord) -> list[Block]:
    listed = target.tables.get(PSLIST)
    if listed is None:
        return [nothing(target, PSLIST)]
    arguments = {_integer(row.get("PID")): _word(row.get("ARGS")) for row in target.tables.get("linux.psaux.PsAux", ())}
    flagged = _flagged(target)
    ordered = _tree(list(listed))
    lines: list[tuple[str, ...]] = []
    marked = set()
    for depth, row in ordered:
        pid = _integer(row.get("PID"))
        kernel = not arguments.get(pid) or arguments[pid].startswith("[")
        if kernel and pid not in flagged and _integer(row.get("PPID")) == 2:
            continue
        if pid in flagged:
            marked.add(len(lines))
        started = _word(row.get("CREATION TIME"))[:19].replace("T", " ")
        lines.append(
            ("· " * depth + _word(row.get("COMM")), str(pid), _word(row.get("UID")), started, arguments.get(pid, ""))
        )
    kernel_threads = len(ordered) - len(lines)
    columns = (
        GridColumn("Process", 24, mono=True),
        GridColumn("PID", 9, align="right"),
        GridColumn("UID", 9, align="right"),
        GridColumn("Started (UTC)", 19),
        GridColumn("Arguments", 39, mono=True),
    )
    note = f"{len(ordered)} processes in memory; {kernel_threads} kernel threads are left out here. Marked rows have a finding."
    return [
        Words(note, "note"),
        grid("", columns, lines, limit=150, source=target.source(PSLIST), marked=frozenset(marked)),
    ]


def _tree(listed: Sequence[Row]) -> list[tuple[int, Row]]:
    children: dict[int, list[Row]] = {}
    known = {_integer(row.get("PID")) for row in listed}
    for row in listed:
        parent = _integer(row.get("PPID"))
        children.setdefault(parent if parent in known and parent != _integer(row.get("PID")) else -1, []).append(row)
    ordered: list[tuple[int, Row]] = []
    waiting = [(0, row) for row in reversed(children.get(-1, []))]
    while waiting:  # a loop of parents in a forged list is left out: only what hangs from a root is reached
        depth, row = waiting.pop()
        ordered.append((min(depth, 8), row))
        waiting += [(depth + 1, child) for child in reversed(children.pop(_integer(row.get("PID")), []))]
    return ordered


def _network(target: TargetRecord) -> list[Block]:
    live = target.tables.get("sockets")
    blocks: list[Block] = []
    names = ("protocol", "local_address", "local_port", "process", "pid", "state")
    columns = (
        GridColumn("Protocol", 11),
        GridColumn("Local address", 31, mono=True),
        GridColumn("Port", 9, align="right"),
        GridColumn("Process", 25, mono=True),
        GridColumn("PID", 10, align="right"),
        GridColumn("State", 14),
    )
    if live is None:
        blocks.append(nothing(target, "sockets"))
    else:
        source = target.source("sockets")
        listening = [row for row in rows(live, *names) if row[5] in {"LISTEN", "UNCONN"}]
        blocks.append(grid("Listening, by the target's own word", columns, listening, limit=60, source=source))
        peers = ("protocol", "local_address", "local_port", "peer_address", "peer_port", "process", "state")
        connected = [
            row for row in rows(live, *peers) if row[6] not in {"LISTEN", "UNCONN"} and row[4] not in {"", "0"}
        ]
        blocks.append(grid("Connected, by the target's own word", _peer_columns(), connected, limit=60, source=source))
    memory = "linux.sockstat.Sockstat"
    table = target.tables.get(memory)
    if table is None:
        return [*blocks, nothing(target, memory)]
    wanted = ("Proto", "Source Addr", "Source Port", "Process Name", "PID", "State")
    found = [row for row in rows(table, *wanted) if row[0] in {"TCP", "UDP", "RAW", "ICMP"}]
    return [*blocks, grid("Sockets found in memory", columns, found, limit=60, source=target.source(memory))]


def _peer_columns() -> tuple[GridColumn, ...]:
    return (
        GridColumn("Protocol", 9),
        GridColumn("Local address", 22, mono=True),
        GridColumn("Port", 8, align="right"),
        GridColumn("Peer address", 22, mono=True),
        GridColumn("Port", 8, align="right"),
        GridColumn("Process", 17, mono=True),
        GridColumn("State", 14),
    )


def _history(target: TargetRecord) -> list[Block]:
    name = "linux.bash.Bash"
    table = target.tables.get(name)
    if table is None:
        return [nothing(target, name)]
    columns = (
        GridColumn("PID", 7),
        GridColumn("Shell", 9, mono=True),
        GridColumn("Time (UTC)", 20),
        GridColumn("Command", 64, mono=True),
    )
    found = [
        (pid, process, at[:19].replace("T", " "), command)
        for pid, process, at, command in rows(table, "PID", "Process", "CommandTime", "Command")
    ]
    return [grid("", columns, found, limit=80, source=target.source(name), empty="No shell history is in memory.")]


KERNEL: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "linux.lsmod.Lsmod": ("Modules in memory", ("Module Name", "Offset", "Code Size", "Taints")),
    "linux.malware.check_modules.Check_modules": ("Modules in sysfs and not in the list", ("Module Name", "Module Address")),
    "linux.malware.hidden_modules.Hidden_modules": ("Modules carved from memory and not in the list", ("Module Name", "Offset")),
    "linux.malware.check_syscall.Check_syscall": ("System calls that do not lead into the kernel", ("Table Name", "Index", "Handler Address", "Handler Symbol")),
    "linux.malware.malfind.Malfind": ("Writable and executable memory", ("PID", "Process", "Start", "End", "Protection")),
}  # fmt: skip


def _kernel(target: TargetRecord) -> list[Block]:
    blocks: list[Block] = []
    for name, (title, names) in KERNEL.items():
        table = target.tables.get(name)
        if table is None:
            blocks.append(nothing(target, name))
            continue
        present = [one for one in names if any(column.name == one for column in table.columns)]
        found = rows(table, *present)
        if name.endswith("Check_syscall"):
            found = [row for row in found if row[-1].startswith(("UNKNOWN", "–", "HOOK"))]
        columns = [GridColumn(one, mono=one not in {"PID", "Index"}) for one in present]
        blocks.append(grid(title, columns, found, limit=40, source=target.source(name), empty="None were found."))
    return blocks


def _plugins(target: TargetRecord) -> list[Block]:
    columns = (
        GridColumn("Plugin", 40, mono=True),
        GridColumn("Outcome", 11),
        GridColumn("Rows", 9, align="right"),
        GridColumn("Reason", 40),
    )
    lines = []
    for result in target.results.get("analyse", ()):
        table: Table | None = target.tables.get(result.item)
        lines.append((result.item, str(result.outcome), "" if table is None else str(len(table)), result.reason))
    return [grid("", columns, lines, limit=90, empty="No plugin was run.")]
