"""What the live system was set up to do: its tables beside block I/O, Lynis and kills, and what several views tell of one thing."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.rendering.blocks import Block, GridColumn, Section, grid
from forensics.rendering.missing import nothing_of
from forensics.rendering.record import CaseRecord, TargetRecord
from forensics.rendering.words import rows


@dataclass(frozen=True, slots=True)
class Shown:
    """One table on the page: the columns as (name in the table, heading, width in percent), and whose work it is."""

    table: str
    item: str  # the collector, or what interpretation made it
    title: str
    columns: tuple[tuple[str, str, int], ...]
    empty: str
    limit: int = 20
    latest: bool = False  # the last rows are the ones to show


VIEWS = (
    Shown(
        "process_views",
        "views",
        "Processes, as each view shows them",
        (
            ("pid", "PID", 8),
            ("name", "Process", 22),
            ("kernel_thread", "Kernel thread", 10),
            ("ended", "Ended", 20),
            ("in_scan", "Scan of memory", 11),
            ("before", "Before", 10),
            ("ps", "ps", 9),
            ("proc", "/proc", 10),
        ),
        "No process is in any view.",
        40,
    ),
    Shown(
        "module_views",
        "views",
        "Kernel modules, as each view shows them",
        (
            ("name", "Module", 27),
            ("taints", "Taints", 13),
            ("in_list", "List", 10),
            ("in_sysfs", "sysfs", 10),
            ("in_tree", "Tree", 10),
            ("in_scan", "Scan", 10),
            ("before", "Before", 10),
            ("after", "After", 10),
        ),
        "No module is in any view.",
        40,
    ),
)
TIMELINE = (
    Shown(
        "timeline",
        "timeline",
        "The last of what has a time, by the examiner's clock",
        (("time", "Time (UTC)", 19), ("kind", "Kind", 14), ("message", "What", 41), ("exhibits", "Exhibits", 26)),
        "Nothing that was read has a time.",
        40,
        latest=True,
    ),
)
SYSTEM = (
    Shown("clock", "clock", "Clock at the end: source, zone and keeper", (("name", "Name", 50), ("value", "Value", 50)),
          "Nothing of the clock could be read."),
    Shown("kernel_taint", "kernel_state", "Taint of the kernel",
          (("bit", "Bit", 10), ("letter", "Letter", 10), ("meaning", "Meaning", 80)), "The kernel is not tainted."),
    Shown("deleted_open", "open_files", "Deleted files that are held open",
          (("pid", "PID", 10), ("fd", "Descriptor", 12), ("path", "Path", 62), ("size", "Size", 16)),
          "No process holds a deleted file open."),
    Shown("deleted_mapped", "open_files", "Deleted files that are mapped",
          (("pid", "PID", 10), ("path", "Path", 62), ("executable", "Executable", 14), ("bytes", "Bytes", 14)),
          "No process maps a deleted file."),
    Shown("services", "services", "Services",
          (("unit", "Unit", 25), ("state", "State", 13), ("enabled", "Enabled", 10), ("user", "User", 20), ("command", "Command", 32)),
          "No service is known."),
    Shown("timers", "schedules", "Timers",
          (("timer", "Timer", 30), ("starts", "Starts", 30), ("when", "When", 40)), "There are no timers."),
    Shown("cron", "schedules", "Cron, anacron and at",
          (("path", "File", 28), ("user", "User", 10), ("when", "When", 18), ("command", "Command", 44)), "Nothing is scheduled."),
    Shown("accounts", "accounts", "Accounts",
          (("user", "User", 20), ("uid", "UID", 10), ("shell", "Shell", 24), ("password", "Password", 22), ("groups", "Groups", 24)),
          "No account was read.", 30),
    Shown("authorized_keys", "accounts", "Keys that may log in",
          (("path", "File", 28), ("type", "Type", 14), ("digest", "Digest", 38), ("comment", "Comment", 20)),
          "No key may log in."),
    Shown("tunnels", "tunnels", "Tunnels that are set up",
          (("file", "File", 40), ("service", "Service", 20), ("accept", "Accepts", 20), ("connect", "Connects to", 20)),
          "No tunnel is set up."),
    Shown("tunnel_certificates", "tunnels", "Certificates of tunnels",
          (("path", "File", 24), ("subject", "Subject", 22), ("not_after", "Ends (UTC)", 18), ("sha256", "SHA-256", 36)),
          "No certificate of a tunnel was found."),
    Shown("package_changes", "packages", "Files that differ from their package",
          (("path", "File", 50), ("change", "Change", 16), ("kind", "Kind", 14), ("flags", "Flags", 20)),
          "Every file that was compared is as its package brought it."),
)  # fmt: skip
PRESSURE = (
    Shown("oom_adjusters", "oom_adjusters", "Who sets adjustments for the OOM killer",
          (("kind", "Kind", 14), ("path", "File", 38), ("value", "Adjustment", 14), ("text", "Text", 34)),
          "Nothing sets an adjustment."),
    Shown("kernel_logs", "kernel_logs", "Logs of the kernel that were read",
          (("source", "Source", 34), ("lines", "Lines", 12), ("first", "First", 21), ("last", "Last", 21), ("kills", "Kills", 12)),
          "No log of the kernel was read."),
    Shown("kdump", "kdump", "Crash dumps: state and settings", (("name", "Name", 40), ("value", "Value", 60)),
          "There is no setting of crash dumps."),
    Shown("crash_files", "kdump", "Crash dumps and kept logs on the target",
          (("path", "File", 44), ("kind", "Kind", 20), ("size", "Size", 16), ("modified", "Modified (UTC)", 20)),
          "No crash dump is on the target."),
    Shown("memory_watch", "oom_watch", "Memory that was left, once a second (the last rows)",
          (("time", "Time (UTC)", 28), ("available", "Available", 18), ("free", "Free", 18), ("swap_free", "Free swap", 18), ("kills", "Kills", 18)),
          "Nothing was watched.", 12, latest=True),
)  # fmt: skip
PARTS = (
    ("timeline", "Timeline", TIMELINE),
    ("views", "Memory and live evidence beside each other", VIEWS),
    ("pressure", "Memory pressure: who adjusts, logs and crash dumps", PRESSURE),
    ("system", "How the system was set up", SYSTEM),
)


def chapter(record: CaseRecord) -> Section:
    """Give the timeline, what several views tell of one thing, and the state of each target."""
    several = len(record.targets) > 1
    parts = tuple(
        Section(f"{name}-{target.label}", f"{title} of {target.label}" if several else title, tuple(_blocks(target, shown)))
        for target in record.targets
        for name, title, shown in PARTS
    )  # fmt: skip
    return Section("state", "Timeline, views and state of the system", (), parts, flows=True)


def _blocks(target: TargetRecord, every: tuple[Shown, ...]) -> list[Block]:
    """Give each table; of those that are not there, how the items ended."""
    there = [_grid(target, one) for one in every if one.table in target.tables]
    items = dict.fromkeys(one.item for one in every if one.table not in target.tables)
    return [*there, *nothing_of(target, items)]


def _grid(target: TargetRecord, one: Shown) -> Block:
    columns = tuple(GridColumn(title, width, mono=name in {"path", "command", "digest", "sha256"}) for name, title, width in one.columns)  # fmt: skip
    found = rows(target.tables[one.table], *(name for name, _, _ in one.columns))
    chosen = found[-one.limit :] + found[: -one.limit] if one.latest else found
    return grid(one.title, columns, chosen, limit=one.limit, source=target.source(one.table), empty=one.empty)
