"""Seal: every exhibit hashed again, the ledger's head put where it can be signed; findings come after it only."""

from __future__ import annotations

from collections.abc import Iterator

from forensics import seals
from forensics.casefile import LEDGER, Case
from forensics.errors import IntegrityError
from forensics.hashing import hash_file
from forensics.model import (
    Digest,
    Draft,
    LiveEvidence,
    MemoryImage,
    NotAcquired,
    Outcome,
    Proof,
    Result,
    Sealed,
)
from forensics.stage import Desk, Entered, stage

ITEM = "seal"


def sealed(entered: Entered) -> Sealed:
    """Give the head that was sealed."""
    result = entered.result(ITEM)
    if result is None:
        raise IntegrityError("the seal stage ended without a seal")
    return Sealed((), Digest.parse(str(result.facts["head"])), int(str(result.facts["sequence"])))


@stage(gives=sealed)
def seal(desk: Desk, image: MemoryImage | NotAcquired, proof: Proof, live: LiveEvidence) -> Iterator[Draft | Result]:
    """Hash every exhibit again and put the ledger's head where it can be signed.

    Raises IntegrityError that names all exhibits that are not what was recorded, not the first alone.
    """
    del image, proof, live  # what there must be before a seal
    case = Case.load(desk.case_folder.parent.parent, desk.case_folder.name)
    exhibits = case.held()
    broken = []
    with desk.progress.task("hashing every exhibit again", sum(one.size for one in exhibits)) as advance:
        for one in exhibits:
            found = hash_file(case.path(one))
            advance(found.size)
            if (found.digest, found.size) != (one.digest, one.size):
                broken.append(f"{one.number}: expected {one.digest}, found {found.digest}")
    if broken:
        raise IntegrityError("exhibits are not what was recorded", where=f"case {case.number}", why="; ".join(broken))
    last = case.events()[-1]
    line = (desk.case_folder / LEDGER).read_bytes().splitlines()[last.sequence]
    head = Digest.parse(line.rpartition(b'"digest":"')[2].rstrip(b'"}').decode("ascii"))
    path = seals.write(desk.case_folder / "seals", case.id, last.sequence, head, exhibits)
    yield Result(
        ITEM,
        Outcome.DONE,
        facts={"sequence": last.sequence, "head": str(head), "file": path.name, "exhibits": len(exhibits)},
    )
