"""Cover, findings, scope and methods: what a reader needs who reads five pages."""

from __future__ import annotations

from collections import Counter

from forensics.model import Severity
from forensics.rendering import unfinished
from forensics.rendering.blocks import (
    Block,
    Fact,
    FactList,
    FindingList,
    Grid,
    GridColumn,
    Section,
    Words,
    grid,
    severity_order,
    told,
)
from forensics.rendering.evidence import proven
from forensics.rendering.record import CaseRecord, Document, TargetRecord, documents, text
from forensics.rendering.words import moment, size

STAGES = {
    "survey": "Survey: what the target is and what will work there; reads only.",
    "headers": "Headers: the kernel headers that the target keeps, copied where nothing else has the module.",
    "build": "Build: the LiME kernel module for exactly that kernel, on the examiner's side.",
    "symbols": "Symbols: a symbol table from the target's own type information and symbol list.",
    "acquire": "Acquire: physical memory over SSH, hashed as it arrives, nothing on the target's disk.",
    "prove": "Prove: ranges, bytes, zero runs, kernel banner and process list decide the verdict.",
    "collect": "Collect: live evidence, the most volatile first (RFC 3227).",
    "seal": "Seal: every exhibit hashed again, the ledger's head put on record.",
    "analyse": "Analyse: Volatility 3 on the sealed image; the target is not touched.",
    "interpret": "Interpret: collected output and plugin rows read into tables, pictures and findings.",
    "report": "Report: this document, made from the case as of one ledger entry.",
    "sign": "Sign: a copy of an earlier report, with the examiner's certificate.",
}
_WHERE_ASKED = {
    "build_on_target": "Build on the target, as the examiner asked: LiME compiled there, with its compiler."
}


def cover(record: CaseRecord) -> Section:
    """Say whose case it is, what was acquired, and as of when."""
    case = record.case
    facts = [
        Fact("Case", text(case, "number")),
        Fact("Examiner", _person(case)),
        Fact("Qualification", text(case, "qualification") or "not stated"),
        Fact("Authority", text(case, "authority", default="not stated")),
        Fact("Scope", text(case, "scope") or "not stated"),
        Fact("Question", text(case, "question") or "not stated"),
        Fact("Opened", f"{moment(text(case, 'opened'))} UTC"),
    ]
    blocks: list[Block] = [FactList(tuple(facts))]
    blocks += [FactList(tuple(_target_facts(target))) for target in record.targets]
    blocks.append(
        FactList(
            (
                Fact("As of ledger entry", f"{record.as_of} of {moment(record.stamp)} UTC; every time in it is UTC"),
                *_editions(record),
                Fact("Ledger head", str(record.head), mono=True),
                Fact("Made by", f"forensics {record.version}"),
            )
        )
    )
    return Section("cover", text(case, "title", default=text(case, "number")), tuple(blocks))


def _editions(record: CaseRecord) -> list[Fact]:
    """Say which report of the case this is, and which one it takes the place of."""
    earlier = {}
    for one in record.exhibits:
        if one.kind == "report" and one.path.suffix == ".pdf" and not one.facts.get("signed"):
            earlier[one.facts.get("as_of")] = one
    if not earlier:
        return [Fact("Version", "1")]
    last = list(earlier.values())[-1]
    words = f"{len(earlier) + 1}; takes the place of {last.number}, as of entry {last.facts.get('as_of')}"
    return [Fact("Version", words), Fact("Its digest", str(last.digest), mono=True)]


def _person(case: Document) -> str:
    names = [text(case, "examiner", name) for name in ("name", "role", "organisation", "contact")]
    return ", ".join(name for name in names if name) or text(case, "examiner", default="not stated")


def _target_facts(target: TargetRecord) -> list[Fact]:
    host = text(target.facts, "hostname")
    facts = [Fact("Target", f"{target.label} ({host})" if host else target.label)]
    if target.facts:
        facts.append(Fact("System", f"{text(target.facts, 'pretty_name')}, kernel {text(target.facts, 'release')}"))
    image = target.one("memory-image")
    if image is None:
        return [*facts, Fact("Memory image", "none: " + (_why_no_image(target) or "it was not acquired"))]
    verdict = text(target.proof, "verdict", default="not proven")
    return [
        *facts,
        Fact("Memory image", f"{image.number}, {size(image.size)} ({image.size} bytes), verdict: {verdict}"),
        Fact("Its digest", str(image.digest), mono=True),
    ]


def _why_no_image(target: TargetRecord) -> str:
    return "; ".join(result.reason for result in target.results.get("acquire", ()) if result.reason)


def summary(record: CaseRecord) -> Section:
    """Put all findings on one page, the gravest in words and the informative in a list."""
    findings = sorted((one for target in record.targets for one in target.findings), key=severity_order)
    counts = Counter(finding.severity for finding in findings)
    said = ", ".join(f"{counts[severity]} {severity}" for severity in reversed(Severity) if counts[severity])
    grave = [finding for finding in findings if finding.severity != Severity.INFORMATION]
    rest = [finding for finding in findings if finding.severity == Severity.INFORMATION]
    rows = [(finding.title, finding.rule, ", ".join(finding.exhibits)) for finding in rest]
    blocks: list[Block] = [
        Words(f"{len(findings)} findings: {said}." if findings else _nothing(record)),
        *_verdicts(record),
        *_gaps(record),
    ]
    if grave:
        columns = (
            GridColumn("Severity", 11),
            GridColumn("Finding", 52),
            GridColumn("Rule", 20),
            GridColumn("Exhibits", 17, mono=True),
        )
        blocks.append(
            grid(
                "What stands out",
                columns,
                [(one.severity, one.title, one.rule, ", ".join(one.exhibits)) for one in grave],
                limit=40,
            )
        )
    if rest:
        listed = (GridColumn("Finding", 62), GridColumn("Rule", 20), GridColumn("Exhibits", 18, mono=True))
        blocks.append(grid("For information", listed, rows, limit=40))
    return Section("summary", "Summary", tuple(blocks))


def _nothing(record: CaseRecord) -> str:
    interpreted = all("interpret" in target.results for target in record.targets) and bool(record.targets)
    if interpreted:
        return "There are no findings: every rule ran on what was collected, and none applied."
    return "There are no findings, for nothing was interpreted: see “What failed and what was not run”."


def _verdicts(record: CaseRecord) -> list[Block]:
    said: list[Block] = []
    for target in record.targets:
        if target.proof:
            verdict = text(target.proof, "verdict")
            said.append(Words(f"Memory image of {target.label}: {verdict}. It rests on this: {proven(target)}."))
        elif target.one("memory-image") is None:
            why = _why_no_image(target)
            said.append(Words(f"No memory image of {target.label} was acquired{why and f': {why}'}.", "warning"))
        else:
            said.append(Words(f"The memory image of {target.label} was not proven complete.", "warning"))
    return said


def _gaps(record: CaseRecord) -> list[Block]:
    short = [
        result
        for target in record.targets
        for results in target.results.values()
        for result in results
        if result.outcome in {"failed", "partial", "not run", "absent"}
    ]
    whole = unfinished.steps(record)
    if not (short or whole):
        return []
    steps = f"{len(whole)} whole stages and " if whole else ""
    words = f"{steps}{len(short)} items failed, stayed partial, or were not run; each with its reason in “What failed and what was not run”."
    return [Words(words, "note")]


def findings(record: CaseRecord) -> Section:
    """Give each finding with its statement, its exhibits and the words to repeat it."""
    every = tuple(sorted((one for target in record.targets for one in target.findings), key=severity_order))
    note = Words(
        "A finding is an observation by a rule, with the exhibits it rests on and a command to repeat it. What it means for "
        "the case is for the examiner to say.",
        "note",
    )
    digests = {one.number: str(one.digest) for one in record.exhibits}
    notes = [
        (moment(text(event, "time")), text(event, "actor", "name"), text(event, "reason"))
        for event in record.events
        if event["action"] == "note"
    ]
    columns = (GridColumn("Time (UTC)", 19), GridColumn("Who", 18), GridColumn("What they say", 63))
    said = grid("", columns, notes, limit=40, empty="Nobody noted anything: `forensics note` does.")
    people = Section("interpretation", "What people made of it", (said,))
    return Section("findings", "Findings", (note, FindingList(tuple(told(one, digests) for one in every))), (people,))


def methods(record: CaseRecord) -> Section:
    """Say what was done in which order, when, and how each stage ended."""
    columns = (
        GridColumn("Stage", 40),
        GridColumn("Target", 10),
        GridColumn("Began (UTC)", 19),
        GridColumn("Ended (UTC)", 19),
        GridColumn("Outcome", 12),
    )
    rows = _steps(record)
    return Section(
        "methods",
        "Methods in the order followed",
        (
            Words(
                "The order follows RFC 3227: memory before live output, the most volatile live output first, tools that touch "
                "many files last. Findings were made after the seal only. The process was designed with reference to ISO/IEC "
                "27037 and NIST SP 800-86."
            ),
            grid("", columns, rows, limit=60, empty="No stage has run."),
            *_plan(record),
        ),
        flows=True,
    )


def _steps(record: CaseRecord) -> list[tuple[str, ...]]:
    began: dict[tuple[str, str, str], str] = {}
    rows: list[tuple[str, ...]] = []
    for event in record.events:
        stage, target = text(event, "stage"), text(event, "target")
        key = (stage, target, text(event, "attempt"))
        if event["action"] == "stage started":
            began[key] = text(event, "time")
        elif event["action"] == "stage ended":
            outcome = text(event, "outcome")
            start = moment(began.get(key, ""))
            rows.append(
                (
                    (STAGES | _WHERE_ASKED).get(stage, stage),
                    target,
                    start,
                    moment(text(event, "time")),
                    outcome,
                )
            )
    return rows


def _plan(record: CaseRecord) -> list[Grid]:
    columns = (GridColumn("What", 26), GridColumn("Works", 10), GridColumn("Why", 64))
    works = {"True": "yes", "False": "no"}
    return [
        grid(
            f"Preflight of {target.label}, before anything was changed",
            columns,
            [
                (text(one, "subject"), works.get(text(one, "works"), "cannot be told"), text(one, "why"))
                for one in documents(target.facts.get("preflight"))
            ],
        )
        for target in record.targets
        if target.facts
    ]
