"""Custody, footprint, tools, deviations, what did not work, limits, and how anyone can check."""

from __future__ import annotations

import importlib.metadata
from collections import Counter

from forensics.rendering import unfinished
from forensics.rendering.blocks import Block, Fact, FactList, GridCell, GridColumn, Section, Words, grid
from forensics.rendering.record import CaseRecord, Document, TargetRecord, documents, text
from forensics.rendering.words import moment

LIBRARIES = ("volatility3", "paramiko", "numpy", "matplotlib", "jinja2", "weasyprint")
LOGIN_WRITES = (
    "What a login itself writes is not ours to prevent: /var/log/wtmp, /var/log/lastlog, /var/log/auth.log, /var/log/btmp, "
    "the system journal below /var/log/journal or /run/log/journal, /run/utmp, and sudo's mark below /run/sudo."
)


def incomplete(record: CaseRecord) -> Section:
    """List what failed, stayed partial, was absent, empty or not run, each with its reason."""
    columns = (
        GridColumn("Target", 10),
        GridColumn("Stage", 13),
        GridColumn("Item", 29, mono=True),
        GridColumn("Outcome", 11),
        GridColumn("Reason", 37),
    )
    lines = [
        (target.label, stage, result.item, str(result.outcome), result.reason)
        for target in record.targets
        for stage, results in target.results.items()
        for result in results
        if result.outcome != "done"
    ]
    words = Words(
        "Failed, empty, absent, partial and not run are different things; none of them means that all is well.", "note"
    )
    block = grid(
        "", columns, unfinished.steps(record) + lines, limit=120, empty="Everything that was planned was done."
    )
    return Section("incomplete", "What failed and what was not run", (words, block), flows=True)


def footprint(record: CaseRecord) -> Section:
    """Say what was done on each target, and that it was taken away again."""
    parts = tuple(
        Section(f"footprint-{target.label}", target.label, tuple(_touched(record, target))) for target in record.targets
    )
    return Section("footprint", "Footprint on the target", (Words(LOGIN_WRITES),), parts, flows=True)


def _touched(record: CaseRecord, target: TargetRecord) -> list[Block]:
    ours = [event for event in record.events if text(event, "target") == target.label]
    commands = [event for event in ours if event["action"] == "command"]
    restored = {text(event, "details", "intent"): event for event in ours if event["action"] == "change restored"}
    changes = []
    for event in ours:
        if event["action"] != "change intended":
            continue
        end = restored.get(text(event, "sequence"))
        proven = end is not None and text(end, "details", "proven") == "True"
        gone = "yes, looked for" if proven else "NOT PROVEN " + (text(end, "reason") if end else "")
        what = f"{text(event, 'details', 'kind')}: {text(event, 'details', 'subject')}"
        changes.append((text(event, "sequence"), moment(text(event, "time")), what, gone))
    columns = (
        GridColumn("Entry", 9, align="right"),
        GridColumn("When (UTC)", 20),
        GridColumn("Change", 45, mono=True),
        GridColumn("Gone afterwards", 26),
    )
    empty = "Nothing was put on the target: no file, module, mount or setting."
    counted = Counter(_program(event) for event in commands)
    programs = (GridColumn("Program", 70, mono=True), GridColumn("Times", 30, align="right"))
    return [
        grid("Changes, each on record before it was made", columns, changes, limit=60, empty=empty),
        grid(f"Commands run there: {len(commands)}", programs, [(name, str(count)) for name, count in counted.most_common()], limit=60, empty="None."),
    ]  # fmt: skip


def _program(event: Document) -> str:
    details = event.get("details")
    argv = details.get("argv") if isinstance(details, dict) else None
    if not isinstance(argv, list) or not argv:
        return "unknown"
    words = [str(argv[0])] + [str(word) for word in argv[1:2] if not str(word).startswith("-")]
    return " ".join(words)


def custody(record: CaseRecord) -> Section:
    """Give the custody log, with commands folded into counts."""
    columns = (
        GridColumn("Entry", 7, align="right"),
        GridColumn("Time (UTC)", 19),
        GridColumn("Actor", 15),
        GridColumn("Event", 46),
        GridColumn("Outcome", 13),
    )
    quiet = {"command", "exhibit entered", "item ended", "change intended", "change restored"}
    shown = [event for event in record.events if event["action"] not in quiet]
    lines = [
        (
            text(event, "sequence"),
            moment(text(event, "time")),
            text(event, "actor", "name"),
            _said(event),
            text(event, "outcome"),
        )
        for event in shown
    ]
    folded = Counter(str(event["action"]) for event in record.events if event["action"] in quiet)
    counts = ", ".join(f"{count} × {name}" for name, count in sorted(folded.items())) or "none"
    facts = FactList(
        (
            Fact("Entries", str(len(record.events))),
            Fact("Head", str(record.head), mono=True),
            Fact("Not listed below", f"{counts}; all of them are in the ledger, attached to the PDF"),
        )
    )
    return Section(
        "custody", "Custody log", (facts, _anchors(record), grid("Events", columns, lines, limit=150)), flows=True
    )


def _anchors(record: CaseRecord) -> Block:
    """List what vouches for the ledger from outside: signatures of seals, and times that authorities put on them."""
    columns = (
        GridColumn("Seal", 14, mono=True),
        GridColumn("What", 14),
        GridColumn("By whom", 44),
        GridColumn("Time (UTC)", 28),
    )
    lines: list[tuple[GridCell, ...]] = []
    for event in record.events:
        if event["action"] not in {"signed", "time stamped"}:
            continue
        seal, at = text(event, "details", "seal"), text(event, "details", "time") or text(event, "time")
        whose = " ".join(text(event, "details", name) for name in ("principal", "fingerprint", "authority")).strip()
        failed = "" if text(event, "outcome") == "finished" else f"NOT had: {text(event, 'reason')}"
        lines.append((seal, text(event, "action"), failed or whose, "" if failed else moment(at)))
    empty = "None: nothing outside the case vouches for its ledger."
    return grid("Signatures and time stamps on seals", columns, lines, limit=40, empty=empty)


def _said(event: Document) -> str:
    parts = [text(event, "action"), text(event, "stage"), text(event, "target"), text(event, "reason")]
    return " · ".join(part for part in parts if part)


def deviations(record: CaseRecord) -> Section:
    """List deviations from the ordinary course, or say that none are recorded."""
    columns = (GridColumn("Entry", 10, align="right"), GridColumn("Time (UTC)", 20), GridColumn("Deviation", 70))
    lines = [
        (text(event, "sequence"), moment(text(event, "time")), _deviation(event))
        for event in record.events
        if event.get("deviation")
    ]
    return Section("deviations", "Deviations", (grid("", columns, lines, empty="None recorded."),), flows=True)


def _deviation(event: Document) -> str:
    value = event.get("deviation")
    if isinstance(value, dict):
        return " · ".join(str(part) for part in value.values() if part)
    return str(value)


def tools(record: CaseRecord) -> Section:
    """List the tools that worked on the case, with version and digest."""
    seen: dict[tuple[str, str, str], None] = {}
    for name in LIBRARIES:
        seen[name, importlib.metadata.version(name), "compared with the lock file's digest when it was installed"] = (
            None
        )
    for event in record.events:
        tool = event.get("tool")
        for one in [tool] if isinstance(tool, dict) else []:
            seen[text(one, "name"), text(one, "version"), text(one, "digest")] = None
        for one in documents(_details(event).get("tools")):
            seen[text(one, "name"), text(one, "version"), text(one, "digest")] = None
    columns = (GridColumn("Tool", 20), GridColumn("Version", 22), GridColumn("Digest", 58, mono=True))
    ours = (GridColumn("Instrument", 22), GridColumn("Where it is from", 78, mono=True))
    return Section(
        "tools",
        "Tools",
        (
            grid("Programs", columns, sorted(seen), limit=60),
            grid("Instruments that were brought or made", ours, _instruments(record), limit=40, empty="None."),
        ),
        flows=True,
    )


def _instruments(record: CaseRecord) -> list[tuple[GridCell, ...]]:
    lines: list[tuple[GridCell, ...]] = []
    for one in record.exhibits:
        origin = one.facts.get("origin")
        said = [str(part) for part in origin] if isinstance(origin, list) else [str(origin)] if origin else []
        if one.role == "I" and said:
            lines.append((f"{one.number} {one.path.name}", ("", *said)))
    return lines


def _details(event: Document) -> Document:
    details = event.get("details")
    return details if isinstance(details, dict) else {}
