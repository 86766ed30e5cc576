"""Acquisition, proof and exhibits: what was taken, how complete it is, and its digests."""

from __future__ import annotations

from forensics.rendering import charts
from forensics.rendering.blocks import Block, Fact, FactList, Figure, GridColumn, Section, Words, grid
from forensics.rendering.record import CaseRecord, Document, TargetRecord, documents, number, text, texts
from forensics.rendering.words import duration, moment, size

LIVE_HASH = (
    "The digest of live memory shows that the file has not changed since the examiner's machine received it. It cannot be "
    "compared with the source again, for memory has moved on, and it does not show that the target's kernel told the truth."
)


def acquisition(record: CaseRecord) -> Section:
    """Say how memory was taken, when, and what the proof found."""
    parts = tuple(_acquired(target) for target in record.targets)
    return Section("acquisition", "Acquisition of memory", (Words(LIVE_HASH, "note"),), parts)


def _acquired(target: TargetRecord) -> Section:
    name = f"acquisition-{target.label}"
    image = target.one("memory-image") or target.one("partial-image")
    attempts = [result for result in target.results.get("acquire", ()) if result.reason]
    blocks: list[Block] = [
        Words(f"{one.item or 'acquire'}: {one.outcome}. {one.reason}", "warning") for one in attempts
    ]
    if image is None:
        return Section(name, target.label, (*blocks, Words("No memory image is on record.", "warning")))
    facts = dict(image.facts) | dict(target.acquisition)
    blocks.append(FactList(tuple(_image_facts(target, facts))))
    blocks += _timeline(target)
    blocks += _ranges(target)
    blocks += [Words(reason) for reason in texts(target.proof.get("reasons"))]
    return Section(name, target.label, tuple(blocks))


def _image_facts(target: TargetRecord, facts: Document) -> list[Fact]:
    image = target.one("memory-image") or target.one("partial-image")
    clock = target.facts.get("clock")
    clock = clock if isinstance(clock, dict) else {}
    assert image is not None  # noqa: S101 - the caller looked
    return [
        Fact("Exhibit", f"{image.number}, LiME format"),
        Fact("Size", f"{size(image.size)} ({image.size} bytes)"),
        Fact("Digest", str(image.digest), mono=True),
        Fact("Verdict", text(target.proof, "verdict", default="not proven")),
        Fact("Engine", text(facts, "engine", default="not recorded")),
        Fact("Began", f"{moment(text(facts, 'started'))} UTC by the examiner's clock"),
        Fact("Ended", f"{moment(text(facts, 'ended'))} UTC"),
        Fact(
            "Target's clock",
            f"{number(clock.get('seconds')):+.3f} s ± {number(clock.get('uncertainty')):.3f} s against the examiner's"
            if clock
            else "not measured",
        ),
        Fact("Kernel", text(target.facts, "proc_version_text", default=text(target.facts, "version"))),
        Fact("Boot id", text(target.facts, "boot_id"), mono=True),
        Fact("Machine id", text(target.facts, "machine_id"), mono=True),
    ]


def _timeline(target: TargetRecord) -> list[Block]:
    moments = [
        (exhibit.stage, text({"at": exhibit.entered}, "at")) for exhibit in target.exhibits if exhibit.role != "D"
    ]
    spans = charts.spans(moments)
    if len(spans) < 2:
        return []
    said = "; ".join(f"{name} from {moment(begin)[11:]} to {moment(end)[11:]}" for name, begin, end in spans)
    return [Figure("When evidence was entered", said, charts.timeline(spans), "Times are UTC by the examiner's clock.")]


def _ranges(target: TargetRecord) -> list[Block]:
    listed = documents(target.proof.get("ranges")) or documents(target.acquisition.get("ranges"))
    if not listed:
        return []
    columns = (
        GridColumn("From", 20, mono=True),
        GridColumn("To", 20, mono=True),
        GridColumn("Bytes", 20, align="right"),
        GridColumn("Zero tail", 18, align="right"),
        GridColumn("Took", 22, align="right"),
    )
    rows = [
        (
            hex(int(number(one.get("start")))),
            hex(int(number(one.get("end")))),
            str(int(number(one.get("bytes"), number(one.get("end")) - number(one.get("start")) + 1))),
            size(number(one.get("zero_tail"))) if "zero_tail" in one else "–",
            duration(number(one.get("seconds"))) if "seconds" in one else "–",
        )
        for one in listed
    ]
    return [grid("Ranges of physical memory", columns, rows, limit=40)]


def exhibits(record: CaseRecord) -> Section:
    """List every exhibit with its whole digest."""
    columns = (
        GridColumn("No.", 7, mono=True),
        GridColumn("What, and its SHA-256", 54),
        GridColumn("From", 10),
        GridColumn("Bytes", 10, align="right"),
        GridColumn("Entered (UTC)", 19),
    )
    kinds = (("E", "Evidence: what came from the target"), ("I", "Instruments: what was brought"), ("D", "Derived"))
    parts = []
    for letter, title in kinds:
        chosen = [one for one in record.exhibits if one.number.startswith(letter)]
        rows = [
            (
                one.number,
                (one.title, one.digest.value),
                " ".join(part for part in (one.target, one.stage) if part),
                str(one.size),
                moment(one.entered),
            )
            for one in chosen
        ]
        block = grid("", columns, rows, limit=120, empty="None.")
        parts.append(Section(f"exhibits-{letter.lower()}", title, (block,)))
    note = (
        "The number's letter says where an exhibit comes from. Digests are SHA-256 in hexadecimal and never shortened."
    )
    return Section("exhibits", "Exhibits", (Words(note, "note"),), tuple(parts))
