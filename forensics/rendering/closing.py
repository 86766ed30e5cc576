"""What the report cannot show, how anyone can check it, and a statement for a person to complete."""

from __future__ import annotations

from collections import Counter

from forensics.model import Outcome
from forensics.rendering.blocks import Block, Section, Words
from forensics.rendering.record import CaseRecord, text

LIMITS = (
    (
        "Everything in this report that came from the target is as reported by the target; a compromised kernel can lie in every "
        "answer and in the image. Where memory and live output disagree, that is a finding."
    ),
    "Memory was read while the system ran: pages that were read late may not agree with pages that were read early.",
    "A rule that found nothing shows that this rule found nothing, not that nothing is there.",
    (
        "The ledger is chained by digests. Without a signature, a time stamp or a copy of its head held elsewhere, it cannot be "
        "excluded that its holder cut off its end or wrote it anew. Compare the head on the cover with a copy that you trust."
    ),
    (
        "Rows that a page leaves out are counted there; all of them are in CSV files attached to the PDF, whose digests stand on the "
        "page, in the HTML, and in the tables that are exhibits. What memory holds of secrets is not printed."
    ),
    (
        "A target's text is shown so that it can do nothing: control characters, marks that turn a line around and piled-up accents "
        "are written by their number, as in \\x1b or \\u202e, and in the PDF so is a character that none of the fonts has. A long word is "
        "cut, and the cut is counted. The exhibits hold every byte."
    ),
    (
        "The PDF was produced as PDF/A-3a and its structure was checked with other programs; no validator has judged it unless you run "
        "one. The signed copy, where there is one, is this file with a signature behind it."
    ),
)
STATEMENT = (
    (
        "A draft, in the sense of rule 902(14) of the US Federal Rules of Evidence, for a person to complete, correct and sign. This "
        "program states nothing by itself."
    ),
    (
        "I, ____________________, am ____________________ (position) at ____________________. I am qualified to describe the process by "
        "which the data named in this report were copied and identified, by: ____________________."
    ),
    (
        "The exhibits listed in this report were obtained from the systems named in it on the dates stated, with the instruments and "
        "tools listed in it, in the regular course of ____________________. Each was identified by its SHA-256 digest when it was "
        "entered. On ____________________ I computed the digests of the copies again and compared them with the list; the result "
        "was: ____________________. Departures from the ordinary course are listed under “Deviations”; to these I add: "
        "____________________."
    ),
    "I declare that the above is true to the best of my knowledge. Place, date: ____________________. Signature: ____________________.",
)


def limits(record: CaseRecord) -> Section:
    """Say what this report cannot show, and how much was not had in this case."""
    counts = Counter(
        result.outcome for target in record.targets for results in target.results.values() for result in results
    )
    gone = (Outcome.FAILED, Outcome.PARTIAL, Outcome.ABSENT, Outcome.NOT_RUN)
    short = ", ".join(f"{counts[one]} {one}" for one in gone if counts[one])
    here = (
        [Words(f"In this case: {short}, each with its reason in “What failed and what was not run”.")] if short else []
    )
    gaps = [
        Words(
            f"The image of {target.label} is {text(target.proof, 'verdict')}: {'; '.join(_reasons(target.proof.get('reasons')))}."
        )
        for target in record.targets
        if target.proof and text(target.proof, "verdict") != "complete"
    ]
    return Section("limits", "Limits", (*(Words(one) for one in LIMITS), *gaps, *here), flows=True)


def _reasons(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) and value else ["no reason is on record"]


def verify(record: CaseRecord) -> Section:
    """Give the commands by which anyone can check the case."""
    image = next((one for one in record.exhibits if one.kind == "memory-image"), None)
    name = text(record.case, "number")
    blocks: list[Block] = [
        Words("With this program, read-only and offline; the case, and this report alone:"),
        Words(f"forensics verify {name}\nforensics verify REPORT.pdf", "command"),
        Words("With nothing of ours installed; the file is forensics/verify.py, and needs Python alone:"),
        Words(f"python3 verify.py cases/{name}\npython3 verify.py REPORT.pdf", "command"),
    ]
    if image is not None:
        blocks += [
            Words("By hand, one exhibit:"),
            Words(f"cd cases/{name} && echo '{image.digest.value}  {image.path}' | sha256sum -c", "command"),
        ]
    blocks += [
        Words(
            "The ledger as of this report is attached to the PDF; its last line carries the head that the cover shows:"
        ),
        Words("pdfdetach -saveall REPORT.pdf && tail -n 1 custody.jsonl", "command"),
        Words("Signatures and time stamps of seals, where there are any, in cases/NUMBER/seals:"),
        Words(
            "ssh-keygen -Y verify -f allowed_signers -I NAME -n custody-seal@forensics -s 0001.sig < 0001.json\n"
            "openssl ts -verify -data 0001.json -in 0001.tsr -CAfile 0001.pem",
            "command",
        ),
        Words(
            "The signed copy: the signature has to be valid, and the total document signed. The first alone is not enough."
        ),
        Words("pdfsig REPORT-signed.pdf", "command"),
    ]
    return Section("verify", "How to verify", tuple(blocks), flows=True)


def statement(record: CaseRecord) -> Section:
    """Give the text that a person may complete and sign, on a page of its own; the program states nothing of it."""
    del record
    return Section("statement", "Draft of a statement on the exhibits", tuple(Words(one, "draft") for one in STATEMENT))
