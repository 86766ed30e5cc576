"""Findings: what the tables say that an analyst should know, each with its exhibits and the words to repeat it.

One rule is one small function. Every module of this package is searched for rules; a new rule is a new function.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from forensics.findings.rule import Context, Evidence, Rule
from forensics.model import Finding, Severity
from forensics.tables import Table

__all__ = ["Context", "Evidence", "Rule", "find", "not_run", "rules"]

_ORDER = tuple(reversed(Severity))


@cache
def rules() -> tuple[Rule, ...]:
    """Give every rule of the package, by name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = {one.name: one for module in modules for one in vars(module).values() if isinstance(one, Rule)}
    return tuple(found[name] for name in sorted(found))


def find(tables: Mapping[str, Table], context: Context) -> list[Finding]:
    """Apply every rule whose tables are there; the gravest findings first."""
    evidence = Evidence(tables, context)
    found = [finding for rule in rules() if not rule.missing(tables) for finding in rule.work(evidence, context)]
    return sorted(found, key=lambda finding: (_ORDER.index(finding.severity), finding.rule, finding.title))


def not_run(tables: Mapping[str, Table]) -> dict[str, str]:
    """Tell for each rule that could not be applied which tables it lacks: no finding there means nothing."""
    missing = {rule.name: rule.missing(tables) for rule in rules()}
    return {
        name: f"there is no table {' and no table '.join(need.replace('|', ' or ') for need in needs)}"
        for name, needs in missing.items()
        if needs
    }
