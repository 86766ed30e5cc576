"""Seal: every exhibit hashed again, the ledger's head put where it can be signed; findings come after it only."""

from __future__ import annotations

from collections.abc import Iterator

from forensics import sealing
from forensics.casefile import Case
from forensics.errors import IntegrityError
from forensics.hashing import hash_file
from forensics.model import (
    JSON,
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
    made = sealing.make(case, desk.progress)
    facts: dict[str, JSON] = {
        "sequence": made.sequence,
        "head": str(made.head),
        "file": made.path.name,
        "digest": str(hash_file(made.path).digest),
        "exhibits": len(made.exhibits),
    }
    yield Result(ITEM, Outcome.DONE, facts=facts)
