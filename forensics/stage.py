"""What a stage is: a function over typed exhibits that yields drafts and results.

    @stage(gives=load_facts)
    def survey(desk: Desk, host: Host) -> Iterator[Draft | Result]:
        '''Learn what the target is, and what will work there.'''

- The first parameter is the desk. The others are what the stage needs: products of earlier stages (anything with
  `.exhibits`: they are its materials), a `Host` (then the stage touches the target), and settings (plain dataclasses).
- It yields each file as a `Draft` as soon as it is complete, and a `Result` when an item has ended. Each is entered in
  the ledger at once, so that a stage that is killed loses one item; on resumption `desk.results` has what ended before.
- `gives` makes the typed product from what the ledger holds; it also runs when the stage itself is skipped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Concatenate, Generic, ParamSpec, TypeVar

from forensics import encryption
from forensics.model import JSON, Draft, Exhibit, Result
from forensics.progress import Progress

Needs = ParamSpec("Needs")
Product = TypeVar("Product")


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a stage works, and what it may know of the case."""

    work: Path  # its own empty folder
    case_folder: Path
    case_facts: Mapping[str, JSON]  # number, title, examiner, authority … as opened
    target: str  # label, "" when the stage belongs to no target
    results: Mapping[str, Result]  # items that an interrupted attempt had ended, by item
    earlier: tuple[Exhibit, ...]  # exhibits that they gave
    progress: Progress
    identity: bytes = field(default=b"", repr=False)  # age's, which opens encrypted exhibits

    def path(self, exhibit: Exhibit) -> Path:
        """Tell where an exhibit's plain file is; it was checked against its digest before the stage began.

        Of an encrypted one it is a private copy, which is gone when the stage has ended; ask `withheld` before.
        """
        if exhibit.plain is None:
            return self.case_folder / exhibit.path
        places = encryption.places(self.case_folder, self.target)
        return encryption.opened(self.case_folder / exhibit.path, exhibit.plain, places, self.identity)

    def withheld(self, exhibit: Exhibit) -> str:
        """Say why an exhibit's plain bytes cannot be had; "" when they can."""
        locked = exhibit.plain is not None and not self.identity
        return f"{exhibit.number} is encrypted, and no identity was given (--age-identity FILE)" if locked else ""


@dataclass(frozen=True, slots=True)
class Entered:
    """What one stage left on record for one target."""

    exhibits: tuple[Exhibit, ...]
    results: tuple[Result, ...]
    case_folder: Path

    def path(self, exhibit: Exhibit) -> Path:
        """Tell where an exhibit's file is."""
        return self.case_folder / exhibit.path

    def one(self, kind: str) -> Exhibit | None:
        """Give the last exhibit of this kind."""
        return next((exhibit for exhibit in reversed(self.exhibits) if exhibit.kind == kind), None)

    def result(self, item: str) -> Result | None:
        """Give how this item ended."""
        return next((result for result in reversed(self.results) if result.item == item), None)


Work = Callable[Concatenate[Desk, Needs], Iterator[Draft | Result]]


class Stage(Generic[Needs, Product]):
    """A stage function with its name, its first docstring line and its product."""

    def __init__(self, work: Work[Needs], gives: Callable[[Entered], Product]) -> None:
        self.work = work
        self.gives = gives
        self.name: str = work.__name__.removeprefix("make_")
        self.summary = (inspect.getdoc(work) or "").partition("\n")[0]
        self.touches_target = "host" in inspect.signature(work).parameters


def stage(gives: Callable[[Entered], Product]) -> Callable[[Work[Needs]], Stage[Needs, Product]]:
    """Make a stage of a function."""

    def declare(work: Work[Needs]) -> Stage[Needs, Product]:
        return Stage(work, gives)

    return declare
