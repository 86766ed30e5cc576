"""Rules on processes that somebody shields from the OOM killer, and on who may become root unseen."""

from __future__ import annotations

from collections.abc import Iterator

from forensics.findings.rule import LONGEST, Context, Evidence, number_of, rule, text_of
from forensics.model import Finding, Severity

_DISTRIBUTION = "unit of the distribution"


@rule("oom-shield", needs=("oom_adjusters",))
def shields(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name each line, but for the distribution's units, that sets an adjustment for the OOM killer."""
    del context
    for row in evidence.rows("oom_adjusters"):
        kind, path, text = (text_of(row.get(name), LONGEST) for name in ("kind", "path", "text"))
        if kind == _DISTRIBUTION:
            continue
        value = number_of(row.get("value"))
        shown = f" of {value}" if value is not None else ""
        exempt = value is not None and value in {-17, -1000}
        why = (
            " The kernel then never chooses such a process: another dies for it, or the machine halts."
            if exempt
            else ""
        )
        yield Finding(
            rule="oom-shield",
            severity=Severity.MEDIUM if kind in {"cron", "script"} else Severity.LOW,
            title=f"{path} sets an adjustment{shown} for the OOM killer",
            statement=f"A {kind} line of {path} sets an adjustment{shown}: {text}.{why}",
            exhibits=evidence.exhibits("oom_adjusters"),
            repeat=f"on the target: grep -nE 'oom_adj|oom_score_adj|OOMScoreAdjust|choom' {path}",
            technique="",
            facts={"path": path, "kind": kind, "value": value},
        )


@rule("second-root", needs=("accounts",))
def second_root(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name accounts beside root that have its number, and accounts that need no password."""
    del context
    for row in evidence.rows("accounts"):
        user, uid = text_of(row.get("user"), 64), number_of(row.get("uid"))
        second, empty = uid == 0 and user != "root", text_of(row.get("password")) == "empty"
        if not (second or empty):
            continue
        said = " and ".join(
            filter(None, ("is root by its number" if second else "", "needs no password" if empty else ""))
        )
        yield Finding(
            rule="second-root",
            severity=Severity.HIGH,
            title=f"The account {user} {said}",
            statement=f"The account {user} (uid {uid}, shell {text_of(row.get('shell'), 200)}) {said}.",
            exhibits=evidence.exhibits("accounts"),
            repeat="on the target: awk -F: '$3 == 0' /etc/passwd; awk -F: '$2 == \"\"' /etc/shadow",
            technique="T1136.001" if second else "T1078.003",
            facts={"user": user, "uid": uid},
        )
