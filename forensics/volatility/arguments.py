"""Arguments that a plan gives a plugin: checked against what the plugin declares, and put into its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from volatility3.framework import interfaces
from volatility3.framework.configuration import requirements

from forensics.model import JSON
from forensics.text import show

_SIMPLE = interfaces.configuration.SimpleTypeRequirement
_TAKEN = (_SIMPLE, requirements.ListRequirement, requirements.ChoiceRequirement)


def taken(kind: Any) -> dict[str, Any]:
    """Give what a plugin declares that it takes, by name."""
    return {one.name: one for one in kind.get_requirements() if isinstance(one, _TAKEN)}


def missing(kind: Any, given: Mapping[str, JSON]) -> list[str]:
    """Name the arguments without which a plugin does not run, and that are not given."""
    return [name for name, one in taken(kind).items() if _needed(one) and name not in given]


def _needed(requirement: Any) -> bool:
    return not requirement.optional and requirement.default is None


def problem(kind: Any, given: Mapping[str, JSON]) -> str:
    """Say what is wrong with the arguments given, "" when nothing is."""
    known = taken(kind)
    for name, argument in given.items():
        if name not in known:
            takes = f"it takes: {', '.join(known)}" if known else "it takes none"
            return f"it has no argument {show(name, 60)!r}; {takes}"
        why = _unfit(known[name], argument)
        if why:
            return f"its argument {name} {why}, and {show(repr(argument), 100)} is given"
    return ""


def _unfit(requirement: Any, argument: JSON) -> str:
    if isinstance(requirement, requirements.ChoiceRequirement):
        return "" if argument in requirement.choices else f"is one of {', '.join(requirement.choices)}"
    if isinstance(requirement, requirements.ListRequirement):
        wanted = requirement.element_type
        fits = isinstance(argument, list) and all(type(one) is wanted for one in argument)
        return "" if fits else f"is a list, each of it {_named(wanted)}"
    if isinstance(requirement, requirements.URIRequirement):
        readable = isinstance(argument, str) and Path(argument).is_file()
        return "" if readable else "is a file of this machine"
    return "" if type(argument) is requirement.instance_type else f"is {_named(requirement.instance_type)}"


def _named(kind: type[Any]) -> str:
    return {bool: "true or false", int: "a whole number", str: "text"}.get(kind, f"of kind {kind.__name__}")


def configured(requirement: Any, argument: JSON) -> Any:
    """Give an argument as Volatility's configuration holds it."""
    if isinstance(requirement, requirements.URIRequirement):
        return Path(str(argument)).resolve().as_uri()
    return argument
