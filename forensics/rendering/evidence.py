"""Acquisition, proof and exhibits: what was taken, how complete it is, and its digests."""

from __future__ import annotations

from forensics.model import JSON, Exhibit
from forensics.rendering import charts
from forensics.rendering.blocks import Block, Fact, FactList, Figure, GridColumn, Section, Words, grid
from forensics.rendering.record import CaseRecord, Document, TargetRecord, documents, number, text, texts
from forensics.rendering.words import duration, moment, size

LIVE_HASH = (
    "The digest of live memory shows that the file has not changed since the examiner's machine received it. It cannot be "
    "compared with the source again, for memory has moved on, and it does not show that the target's kernel told the truth."
)

ENTROPY = (
    "Counted while the bytes came, in pages of 4096 bytes. Bits a byte is the entropy of one page in 64: 0 is one value "
    "alone, 8 is noise, as of what is encrypted or packed."
)


def acquisition(record: CaseRecord) -> Section:
    """Say how memory was taken, when, and what the proof found."""
    parts = tuple(_acquired(target) for target in record.targets)
    return Section("acquisition", "Acquisition of memory", (Words(LIVE_HASH, "note"),), parts, flows=True)


def _acquired(target: TargetRecord) -> Section:
    name = f"acquisition-{target.label}"
    image = target.one("memory-image") or target.one("partial-image")
    attempts = [result for result in target.results.get("acquire", ()) if result.reason]
    blocks: list[Block] = [
        Words(f"{one.item or 'acquire'}: {one.outcome}, {one.reason}", "warning") for one in attempts
    ]
    if image is None:
        return Section(name, target.label, (*blocks, Words("No memory image is on record.", "warning")))
    facts = dict(image.facts) | dict(target.acquisition)
    blocks.append(FactList(tuple(_image_facts(target, facts))))
    blocks += _timeline(target)
    blocks += _ranges(target)
    if target.proof:
        blocks.append(Words(f"What the verdict rests on: {proven(target)}."))
    blocks += _course(target)
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
        *((Fact("Digest before encryption", str(image.plain), mono=True),) if image.plain else ()),
        Fact("Verdict", text(target.proof, "verdict", default="not proven")),
        Fact("Engine", text(facts, "engine", default="not recorded")),
        Fact("Began", f"{moment(text(image.facts, 'started'))} UTC by the examiner's clock"),
        Fact("Ended", f"{moment(text(image.facts, 'ended'))} UTC, {_rate(target)}"),
        Fact("Target's clock", _offset(clock) if text(clock, "measured") else "not measured"),
        Fact("Target's clock at the end", _offset(_clock_at_end(target)) if _clock_at_end(target) else "not measured"),
        Fact("Examiner's clock", _kept_right(target)),
        Fact("Kernel", text(target.facts, "proc_version_text", default=text(target.facts, "version"))),
        Fact("Boot id", text(target.facts, "boot_id"), mono=True),
        Fact("Machine id", text(target.facts, "machine_id"), mono=True),
    ]


def _offset(clock: Document) -> str:
    off = f"{number(clock.get('seconds')):+.3f} s ± {number(clock.get('uncertainty')):.3f} s against the examiner's"
    return f"{off}, at {moment(text(clock, 'measured'))} UTC"


def _kept_right(target: TargetRecord) -> str:
    """Give what the examiner's kernel said of the examiner's clock at the survey."""
    told = [text(one.facts, "examiner_clock") for one in target.results.get("survey", ())]
    return next(filter(None, reversed(told)), "not known whether it is kept right")


def _clock_at_end(target: TargetRecord) -> Document:
    """Give the reading with the least uncertainty that was taken after the last evidence; empty when there is none."""
    told: list[dict[str, JSON]] = [
        {"seconds": offset, "uncertainty": unsure, "measured": str(row["measured"])}
        for row in target.tables.get("clock_readings") or ()
        if isinstance(unsure := row["uncertainty_seconds"], float)
        and isinstance(offset := row["offset_seconds"], float)
    ]
    return min(told, key=lambda one: number(one["uncertainty"]), default={})


def _course(target: TargetRecord) -> list[Block]:
    """Give each attempt of an engine: its parameters, what the kernel said, and taint before and after."""
    blocks: list[Block] = []
    for one in documents(target.acquisition.get("attempts")):
        insmod = _inner(one, "insmod")
        facts = [
            Fact("Outcome", text(one, "outcome") + (f": {text(one, 'reason')}" if text(one, "reason") else "")),
            Fact("Module", text(one, "module"), mono=True),
            Fact("Parameters", " ".join(texts(one.get("parameters"))), mono=True),
            Fact("insmod", f"status {text(insmod, 'status')} {text(insmod, 'stderr')}" if insmod else ""),
            Fact("Kernel messages", " ".join(texts(one.get("kernel_messages"))), mono=True),
            Fact("Taint", _taint(one)),
            Fact("Carried by", text(one, "carried_by")),
            Fact("Digest by the source", _by_source(one), mono=True),
            Fact("Guards", _guards(one)),
            Fact("Remark", " ".join(texts(one.get("remarks")))),
        ]
        blocks.append(Words(f"Engine {text(one, 'engine')}:"))
        blocks.append(FactList(tuple(fact for fact in facts if fact.value)))
    return blocks


def _by_source(attempt: Document) -> str:
    digest = text(attempt, "source_digest")
    return f"{digest}, {text(attempt, 'source_digest_by')}" if digest else text(attempt, "source_digest_problem")


def _guards(attempt: Document) -> str:
    """Tell how the target fared meanwhile, and whether our sshd there was kept from the OOM killer."""
    guards = _inner(attempt, "guards")
    watched, shield = _inner(guards, "watch"), _inner(guards, "sshd")
    if not watched:
        return ""
    least = watched.get("least_memory_available")
    seen = f"{text(watched, 'looks')} looks, load {number(watched.get('highest_load')):.2f} at most"
    memory = f", {size(number(least))} of memory available at least" if least is not None else ""
    problem = text(watched, "problem") or text(watched, "ended_because")
    kept = shield.get("protected")
    ours = "our sshd was kept from the OOM killer" if kept else f"our sshd was not shielded: {text(shield, 'problem')}"
    return "; ".join(part for part in (seen + memory, problem, ours) if part)


def _taint(attempt: Document) -> str:
    before, after = text(attempt, "taint_before"), text(attempt, "taint_after")
    if not before:
        return ""
    grown = "; an unsigned module leaves its mark until the next boot" if before != after else ""
    return f"{before} before, {after} after{grown}"


def _rate(target: TargetRecord) -> str:
    received = _inner(target.acquisition, "received")
    rate = f"{size(number(received.get('bytes_per_second')))} a second" if received else "rate not recorded"
    stalls = received.get("stalls")
    waited = f", {len(stalls)} stalls of a second or more" if isinstance(stalls, list) and stalls else ", no stalls"
    return rate + (waited if received else "")


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
    received = _inner(target.acquisition, "received")
    tails = _inner(target.proof, "figures").get("zero_tails")
    zeros = tails if isinstance(tails, list) else []
    columns = (
        GridColumn("From", 14, mono=True),
        GridColumn("To", 14, mono=True),
        GridColumn("Bytes received", 16, align="right"),
        GridColumn("Zero pages", 12, align="right"),
        GridColumn("Longest zeros", 12, align="right"),
        GridColumn("Zeros at its end", 12, align="right"),
        GridColumn("Bits a byte", 10, align="right"),
        GridColumn("Took", 10, align="right"),
    )
    rows = [
        (
            hex(int(number(one.get("start")))),
            hex(int(number(one.get("end")))),
            str(int(number(one.get("received")))),
            *_made_of(one),
            size(number(zeros[place])) if place < len(zeros) else "not measured",
            text(one, "entropy", default="not measured"),
            duration(number(one.get("seconds"))),
        )
        for place, one in enumerate(documents(received.get("ranges")))
    ]
    if not rows:
        return []
    return [grid("Ranges of physical memory", columns, rows, limit=40), Words(ENTROPY, "note")]


def _made_of(one: Document) -> tuple[str, str]:
    """Give the pages of zeros and the longest run of them, as they were counted when the bytes came."""
    if "zero_pages" not in one:
        return "not measured", "not measured"
    return str(int(number(one.get("zero_pages")))), size(number(one.get("longest_zero_run")))


def _inner(document: Document, name: str) -> Document:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def proven(target: TargetRecord) -> str:
    """Say what the verdict on an image rests on."""
    reasons = texts(target.proof.get("reasons"))
    figures = _inner(target.proof, "figures")
    processes = _inner(figures, "processes")
    ranges, before = figures.get("ranges"), figures.get("ram_before")
    said = []
    if isinstance(ranges, list) and isinstance(before, list):
        said.append(f"{len(ranges)} ranges were received, the target's RAM map has {len(before)}")
    if figures.get("banner_at") is not None:
        said.append("the kernel's banner is in the image")
    if processes:
        counts = {name: int(number(processes.get(name))) for name in ("in_memory", "lived_throughout")}
        lost = processes.get("lost")
        gone = (
            f"{len(lost)} of them missing in the image"
            if isinstance(lost, list) and lost
            else "all of them in the image"
        )
        said.append(
            f"{counts['in_memory']} processes are in the image; {counts['lived_throughout']} lived throughout the "
            f"acquisition by the target's own lists, {gone}"
        )
    return "; ".join([*reasons, *said])


def _titled(record: CaseRecord, exhibit: Exhibit) -> str:
    if exhibit.kind not in {"memory-image", "partial-image"}:
        return exhibit.title
    proofs = [one.proof for one in record.targets if one.one("memory-image") == exhibit]
    verdict = text(proofs[0], "verdict") if proofs else "partial" if exhibit.kind == "partial-image" else ""
    return f"{exhibit.title}; verdict: {verdict or 'not proven'}"


def exhibits(record: CaseRecord) -> Section:
    """List every exhibit with its whole digest."""
    columns = (
        GridColumn("No.", 6, mono=True),
        GridColumn("What, and its SHA-256", 53),
        GridColumn("From", 9),
        GridColumn("Bytes", 13, align="right"),  # 16 GiB have eleven digits
        GridColumn("Entered (UTC)", 19),
    )
    kinds = (("E", "Evidence: what came from the target"), ("I", "Instruments: what was brought"), ("D", "Derived"))
    parts = []
    for letter, title in kinds:
        chosen = [one for one in record.exhibits if one.number.startswith(letter)]
        rows = [
            (
                one.number,
                (_titled(record, one), one.digest.value, *_plain(one)),
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
    return Section("exhibits", "Exhibits", (Words(note, "note"),), tuple(parts), flows=True)


def _plain(exhibit: Exhibit) -> tuple[str, ...]:
    return (f"before encryption {exhibit.plain.value}",) if exhibit.plain else ()
