"""A case as it could be on record, made up whole, for tests of the report alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from forensics.model import JSON, Digest, Exhibit, Finding, Outcome, Result, Severity
from forensics.rendering.record import CaseRecord, Document, Picture, TargetRecord
from forensics.tables import Absent, Cell, Column, Table

HOSTILE = [
    "\x1b[2J\x1b]52;c;aGk=\x07",
    "invoice\u202efdp.exe",
    '<img src="file:///etc/passwd">',
    "{{ 7*7 }}",
    "</style><script>alert(1)</script>",
    "a" * 4096,
    "line one\nline two",
    "\ud800 lone",
    "javascript:alert(1)",
    "进程-процесс",
]


def digest(of: str) -> Digest:
    return Digest("sha256", hashlib.sha256(of.encode()).hexdigest())


def exhibit(number: str, kind: str, stage: str, name: str, size: int = 4321, item: str = "") -> Exhibit:
    when = f"2026-11-23T20:{15 + int(number[1:]) % 40:02d}:01.000000Z"
    path = Path("exhibits") / f"{number}-web01-{name}"
    title = f"{name} of {stage}"
    return Exhibit(number, kind, title, path, size, digest(number), "web01", stage, item, (), {}, when, int(number[1:]))


def table(name: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Cell]]) -> Table:
    typed = tuple(Column(one, kind) for one, kind in columns)
    return Table(name, name, typed, tuple(tuple(row) for row in rows), ("E0005",))


def processes(names: Sequence[str]) -> dict[str, Table]:
    pslist = [
        (4242 + place, 1 if place % 3 else 4242, 0, name, "2026-11-23T20:01:02Z") for place, name in enumerate(names)
    ]
    pslist += [(1, 0, 0, "systemd", "2026-11-23T20:00:00Z"), (2, 0, 0, "kthreadd", "2026-11-23T20:00:00Z")]
    pslist += [(10 + n, 2, 0, f"kworker/{n}:0", "2026-11-23T20:00:00Z") for n in range(30)]
    kinds = [("PID", "integer"), ("PPID", "integer"), ("UID", "integer"), ("COMM", "text"), ("CREATION TIME", "time")]
    arguments = [(4242 + place, name, f"/usr/bin/{name} --serve") for place, name in enumerate(names)]
    return {
        "linux.pslist.PsList": table("linux.pslist.PsList", kinds, pslist),
        "linux.psaux.PsAux": table(
            "linux.psaux.PsAux", [("PID", "integer"), ("COMM", "text"), ("ARGS", "text")], arguments
        ),
    }


def live_tables(names: Sequence[str]) -> dict[str, Table]:
    sockets = [("tcp", "LISTEN", "0.0.0.0", 22 + n, "0.0.0.0", 0, 700 + n, name, 0) for n, name in enumerate(names)]
    scores: list[list[Cell]] = [
        [4242 + n, name, 668 - n, 0 if n else -1000, 1 << 22, 0] for n, name in enumerate(names)
    ]
    lynis = [
        ("warning", "LOGG-2138", "logging", "klogd is not running", "-", "-"),
        *[
            ("suggestion", f"SSH-{7400 + n}", "ssh" if n % 2 else "kernel", f"Consider {name}", "-", "text:change it")
            for n, name in enumerate(names)
        ],
    ]
    text = "text"
    socket_kinds = [
        ("protocol", text),
        ("state", text),
        ("local_address", text),
        ("local_port", "integer"),
        ("peer_address", text),
        ("peer_port", "integer"),
        ("pid", "integer"),
        ("process", text),
        ("uid", "integer"),
    ]
    score_kinds = [
        ("pid", "integer"),
        ("comm", text),
        ("oom_score", "integer"),
        ("oom_score_adj", "integer"),
        ("rss", "bytes"),
        ("swap", "bytes"),
    ]
    kill_kinds = [
        ("kill", "integer"),
        ("time", "number"),
        ("constraint", text),
        ("invoker", text),
        ("invoker_pid", "integer"),
        ("victim", text),
        ("victim_pid", "integer"),
        ("anon_rss", "bytes"),
        ("manual", "yes/no"),
    ]
    latency = [
        ("all", 0, m, 5000, 1e-5, 9.4e-5, 8e-5, 3e-4, 1e-3, 0.3) for m in ("Q2C", "Q2D", "D2C", "Q2G", "G2I", "I2D")
    ]
    latency_kinds = [
        ("scope", text),
        ("pid", "integer"),
        ("measure", text),
        ("count", "integer"),
        *[(m, "seconds") for m in ("minimum", "average", "median", "p95", "p99", "maximum")],
    ]
    made = [
        table("sockets", socket_kinds, sockets),
        table("oom_scores", score_kinds, scores),
        table("oom_kills", kill_kinds, [(0, 18.136, "CONSTRAINT_MEMCG", "hog", 476, "hog", 477, 256712704, False)]),
        table("lynis_summary", [("name", text), ("value", text)], [("hardening index", "59"), ("tests done", "91"), ("finish", "true")]),
        table("lynis_findings", [(n, text) for n in ("kind", "test", "category", "text", "details", "solution")], lynis),
        table("lynis_tests", [*((n, text) for n in ("test", "category", "description", "state", "reason")), ("points", "integer"), ("possible", "integer")],
              [("SSH-7408", "SSH", "Check SSH options", "performed", "", 2, 9), ("BANN-7126", "Banners", "Check issue", "performed", "", 1, 1), ("KRNL-5770", "Kernel", "Modules", "not performed", "another system", 0, 0)]),
        table("lynis_details", [(n, text) for n in ("test", "category", "service", "description", "field", "preferred", "value")], [("KRNL-6000", "Kernel", "sysctl", "Core dumps", "fs.suid_dumpable", "0", "2")]),
        table("block_io_totals", [("name", text), ("value", "number"), ("unit", text)], [("events", 31669, ""), ("dropped", 0, ""), ("written", 64.0, "MiB")]),
        table("block_io_latency", latency_kinds, latency),
        table("block_io_processes", [("process", text), ("pid", "integer"), ("reads", "integer"), ("read_bytes", "bytes"), ("writes", "integer"), ("written_bytes", "bytes")], [("syncd", 512, 3, 12288, 900, 1 << 26), (Absent("not named"), 99, 0, 0, 1, 4096)]),
    ]  # fmt: skip
    return {one.name: one for one in made}


def findings(names: Sequence[str]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            rule="deleted-executable" if n % 3 == 0 else "listening-socket",
            severity=(Severity.HIGH, Severity.INFORMATION, Severity.MEDIUM)[n % 3],
            title=f"{name} runs from a file that was deleted",
            statement=f"Process {name} (PID {4242 + n}) runs from /dev/shm/{name}, which is gone. Its environment holds {name}.",
            exhibits=("E0005", "D0001"),
            repeat="vol -f exhibits/E0005-web01-memory.lime linux.pslist.PsList",
            technique="T1070.004" if n % 3 == 0 else "",
            facts={"pid": 4242 + n},
        )
        for n, name in enumerate(names)
    )


def events() -> tuple[Document, ...]:
    actor: JSON = {"name": "Ada Examiner"}
    made: list[dict[str, JSON]] = []

    def add(action: str, **more: JSON) -> None:
        event: dict[str, JSON] = {
            "sequence": len(made), "time": f"2026-11-23T20:{10 + len(made) // 2:02d}:00.000000Z", "actor": actor, "action": action,
            "stage": "", "target": "web01", "reason": "", "outcome": "", "attempt": 1, "details": {}, "deviation": None,
            "tool": {"name": "forensics", "version": "0.1.0", "digest": str(digest("wheel"))}, "digest": str(digest(f"{len(made)}")),
        }  # fmt: skip
        made.append(event | more)

    add("case opened", target="")
    for stage in ("survey", "build", "acquire", "prove", "collect", "seal", "analyse", "interpret"):
        add("stage started", stage=stage, outcome="started")
        if stage == "acquire":
            add("change intended", details={"kind": "module", "subject": "lime"})
            add("command", details={"argv": ["/usr/sbin/insmod", "lime.ko"]})
            add("change restored", details={"intent": 6, "proven": True})
        add(
            "stage ended",
            stage=stage,
            outcome="failed" if stage == "build" else "finished",
            reason="no headers" if stage == "build" else "",
        )
    return tuple(made)


def record(
    names: Sequence[str] = ("syncd", "kworkerd", "updatectl", "sshd", "cron"), *, acquired: bool = True
) -> CaseRecord:
    exhibits = [
        exhibit("E0001", "survey-transcript", "survey", "survey.jsonl"),
        exhibit("I0001", "lime-module", "build", "lime.ko"),
    ]
    if acquired:
        exhibits.append(exhibit("E0005", "memory-image", "acquire", "memory.lime", 17_179_869_184))
    exhibits += [exhibit(f"D{n:04d}", "table", "interpret", f"table{n}.jsonl") for n in range(1, 30)]
    results = {
        "acquire": (Result("lime", Outcome.DONE if acquired else Outcome.FAILED, "" if acquired else "the kernel loads only signed modules"),),
        "collect": (Result("sockets", Outcome.DONE), Result("iotop", Outcome.ABSENT, "iotop is not on the target; package iotop gives it"), Result("lynis", Outcome.PARTIAL, "cut after 150 s")),
        "analyse": (Result("linux.pslist.PsList", Outcome.DONE), Result("linux.malware.malfind.Malfind", Outcome.FAILED, "a page is not in the image")),
        "interpret": (),
    }  # fmt: skip
    facts: Document = {
        "hostname": names[0], "pretty_name": "Debian GNU/Linux 12 (bookworm)", "release": "6.1.0-56-cloud-amd64", "version": "#1 SMP",
        "boot_id": "b2f3", "machine_id": "77aa", "clock": {"seconds": 0.0123, "uncertainty": 0.004},
        "preflight": [{"subject": "acquire: lime", "works": True, "why": "modules may be loaded"}, {"subject": "collect: iotop", "works": False, "why": "absent"}],
    }  # fmt: skip
    proof: Document = {
        "verdict": "complete", "reasons": [],
        "figures": {
            "ranges": [[4096, 654335], [1048576, 268435455]], "ram_before": [[4096, 654335], [1048576, 268435455]], "zero_tails": [0, 8192], "banner_at": 77,
            "processes": {"in_memory": 61, "lived_throughout": 60, "lost": []},
        },
    }  # fmt: skip
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 200"><rect width="720" height="200" fill="#eef"/></svg>'
    tables = {**(processes(names) if acquired else {}), **live_tables(names)}
    target = TargetRecord(
        "web01",
        tuple(exhibits),
        results,
        facts,
        proof if acquired else {},
        {"engine": "lime", "started": "2026-11-23T20:15:00Z", "ended": "2026-11-23T20:15:50Z"} if acquired else {},
        findings(names),
        tables,
        {"block-io-offsets": Picture(exhibits[-1], svg)},
        dict.fromkeys(tables, exhibits[-1]),
    )
    case: Document = {
        "number": "2026-0042", "title": "Unexpected traffic from web01", "authority": "Ticket 4711, signed by the CISO", "scope": "web01 only",
        "examiner": {"name": "Ada Examiner", "role": "analyst"}, "opened": "2026-11-23T20:10:00Z",
    }  # fmt: skip
    return CaseRecord(case, events(), tuple(exhibits), (target,), "0.1.0")
