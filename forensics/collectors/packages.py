"""Files that are no longer what their package brought, as dpkg or rpm find them. Slow: every file is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from forensics.collectors import MIB, Bench, Collector, Command, Judged, Output, Part, Reading, judge_commands
from forensics.errors import ToolMissing
from forensics.host import Limits
from forensics.model import Outcome
from forensics.tables import Absent, Cell, Column, Table
from forensics.text import decode

_INSTALLED = ("dpkg-query", "-W", "-f", r"${Package}\t${Version}\t${Architecture}\t${db:Status-Abbrev}\n")
_RPM_INSTALLED = ("rpm", "-qa", "--qf", r"%{NAME}\t%{VERSION}-%{RELEASE}\t%{ARCH}\tii \n")
_LINE = re.compile(r"([.?A-Z0-9]{8,9}|missing) +(?:([cdglr]) )?(/.*?)(?: \(([^()]*)\))?", re.DOTALL)
"""rpm(8), VERIFY OPTIONS; dpkg --verify prints the same, with only the digest checked."""
_CHANGES = (
    Column("path"),
    Column("change"),
    Column("kind"),
    Column("flags"),
    Column("reason"),
)
_PACKAGES = (Column("package"), Column("version"), Column("architecture"), Column("state"))
_KINDS = {"c": "configuration", "d": "documentation", "g": "not in the package", "l": "licence", "r": "read me"}


@dataclass(frozen=True, slots=True)
class Verified:
    """Which packages are verified, and for how long at most."""

    seconds: float = 900.0
    bytes: int = 16 * MIB
    only: tuple[str, ...] = ()  # names of packages; default: all
    verify: bool = True  # False: only list what is installed


class Packages(Collector[Verified]):
    """Installed packages, and files that differ from them."""

    name = "packages"
    title = "Package verification"
    volatility = 80
    settings = Verified

    @contextmanager
    def capture(self, bench: Bench, settings: Verified) -> Iterator[Callable[[], None]]:
        """Ask the package manager that is there."""
        limits = Limits(seconds=settings.seconds, bytes=settings.bytes)
        if bench.find("dpkg"):
            listed, verified = _INSTALLED, ("dpkg", "--verify", *settings.only)
        elif bench.find("rpm"):
            listed, verified = _RPM_INSTALLED, ("rpm", "-V" if settings.only else "-Va", *settings.only)
        else:
            raise ToolMissing("the target has neither dpkg nor rpm")

        def work() -> None:
            bench.run(Command("installed", listed, limits))
            if settings.verify:
                bench.run(Command("changes", verified, limits, accepts=(0, 1)))

        yield work

    def judge(self, parts: Mapping[str, Part]) -> Judged:
        """Judge by the list of packages: that nothing has changed is a result, not an empty one."""
        judged = judge_commands(parts)
        return judged if judged.outcome is not Outcome.EMPTY else Judged(Outcome.FAILED, "no package is on record")

    def read(self, output: Output) -> Reading:
        """Make `packages` and `package_changes`."""
        rows: list[tuple[Cell, ...]] = []
        changes: list[tuple[Cell, ...]] = []
        bad = bad_changes = 0
        for line in output.part("installed").splitlines():
            fields = decode(line).split("\t")
            if len(fields) == 4:
                rows.append(tuple(word.strip() for word in fields))
            else:
                bad += 1
        for line in output.part("changes").splitlines():
            match = _LINE.fullmatch(decode(line))
            if match:
                changes.append(_change(*match.groups()))
            else:
                bad_changes += 1
        return Reading(
            (
                Table("packages", "Installed packages", _PACKAGES, tuple(rows)),
                Table("package_changes", "Files that differ from their package", _CHANGES, tuple(changes)),
            ),
            {"installed": bad, "changes": bad_changes},
        )


def _change(flags: str, kind: str | None, path: str, reason: str | None) -> tuple[Cell, ...]:
    none = Absent("not told")
    if flags == "missing":
        change = "missing"
    else:
        said = {"S": "size", "M": "mode", "5": "content", "D": "device", "L": "link", "U": "owner", "G": "group",
                "T": "time", "P": "capabilities"}  # fmt: skip
        change = ", ".join(words for letter, words in said.items() if letter in flags) or "could not be checked"
    return path, change, _KINDS.get(kind or "", "file"), flags, reason or none


COLLECTOR = Packages()
