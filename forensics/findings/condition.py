"""Rules on the state a target is in: its audit, its clock."""

from __future__ import annotations

from collections.abc import Iterator

from forensics.findings.rule import Context, Evidence, rule, text_of
from forensics.model import ClockOffset, Finding, Severity
from forensics.tables import Row

_MOST = 15
_LATE = 1.0
"""Seconds by which a clock may be off without a word."""


@rule("lynis-warnings", needs=("lynis_findings",))
def warnings(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Give what Lynis warns of, in its own words."""
    del context
    yield from _lynis(evidence, "warning", "lynis-warnings")


@rule("lynis-suggestions", needs=("lynis_findings",))
def suggestions(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Give what Lynis suggests, in its own words."""
    del context
    yield from _lynis(evidence, "suggestion", "lynis-suggestions")


def _lynis(evidence: Evidence, kind: str, name: str) -> Iterator[Finding]:
    rows = [row for row in evidence.rows("lynis_findings") if text_of(row.get("kind")) == kind]
    if rows:
        words = "; ".join(map(_words, rows[:_MOST]))
        more = f"; and {len(rows) - _MOST} more" if len(rows) > _MOST else ""
        yield Finding(
            rule=name,
            severity=Severity.INFORMATION,
            title=f"Lynis has {len(rows)} {kind}{'s' * (len(rows) != 1)}",
            statement=f"In Lynis's words: {words}{more}.",
            exhibits=evidence.exhibits("lynis_findings"),
            repeat="lynis audit system, with the profile and the tests of the exhibit",
            facts={"count": len(rows)},
        )


def _words(row: Row) -> str:
    return f"{text_of(row.get('text'), 160).rstrip('.')} [{text_of(row.get('test'), 20)}]"


@rule("clock-drift", needs=("clock_readings",))
def drift(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Say by how much the target's clock ran away from ours, or was set, between the survey and the last evidence."""
    first = context.facts.clock if context.facts else None
    last = _last(evidence.rows("clock_readings"))
    if not (first and first.measured and last):
        return
    moved, unsure = last.seconds - first.seconds, last.uncertainty + first.uncertainty
    if abs(moved) <= _LATE + unsure:
        return
    yield Finding(
        rule="clock-drift",
        severity=Severity.INFORMATION,
        title=f"The target's clock moved by {moved:+.3f} s ± {unsure:.3f} s against ours while we worked",
        statement=f"Its offset was {first.seconds:+.3f} s at {first.measured}, and {last.seconds:+.3f} s at"
        f" {last.measured}: it was set meanwhile, or runs at another rate. Times between the two are off by what lies"
        " between the offsets.",
        exhibits=tuple(dict.fromkeys(filter(None, [context.facts_exhibit, *evidence.exhibits("clock_readings")]))),
        repeat="compare date +%s.%N on both machines at the survey and after the last collector",
        facts={"moved": round(moved, 6), "uncertainty": round(unsure, 6)},
    )


def _last(rows: Iterator[Row]) -> ClockOffset | None:
    """Give the reading with the least uncertainty."""
    told = [
        ClockOffset(off, unsure, text_of(row.get("measured")))
        for row in rows
        if isinstance(off := row.get("offset_seconds"), float)
        and isinstance(unsure := row.get("uncertainty_seconds"), float)
    ]
    return min(told, key=lambda one: one.uncertainty, default=None)


@rule("clock-offset")
def clock(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Say by how much the target's clock is off: every time it gives has to be read so."""
    del evidence
    told = context.facts.clock if context.facts else None
    if told and told.measured and abs(told.seconds) > _LATE + told.uncertainty:
        ahead = "ahead of" if told.seconds > 0 else "behind"
        words = f"{abs(told.seconds):.3f} s ± {told.uncertainty:.3f} s"
        yield Finding(
            rule="clock-offset",
            severity=Severity.INFORMATION,
            title=f"The target's clock is {words} {ahead} ours",
            statement=f"Measured at {told.measured}: the target's clock was {words} {ahead} the examiner's.",
            exhibits=tuple(filter(None, [context.facts_exhibit])),
            repeat="compare date +%s.%N on both machines",
            facts={"seconds": told.seconds, "uncertainty": told.uncertainty},
        )
