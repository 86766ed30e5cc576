"""Volatility's plugin classes: found, told apart, and given what they require."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import volatility3.plugins
from volatility3 import framework
from volatility3.framework import constants, contexts, deprecation, interfaces
from volatility3.framework.configuration import requirements

from forensics.model import JSON
from forensics.volatility import arguments

Plugin: TypeAlias = "type[Any]"

OURS = Path(__file__).parent / "ours"
"""Plugins that come with the program, in Volatility's own form: `vol -p` of this folder runs them too."""

_ONE_OF: Mapping[str, tuple[str, ...]] = {
    "linux.pagecache.InodePages": ("find", "inode"),
    "linux.vmayarascan.VmaYaraScan": ("yara_string", "yara_file", "yara_compiled_file"),
}
"""Arguments of which one is required at run time, and none is declared as required (2.28)."""

_BY_HAND: Mapping[str, str] = {
    "linux.pagecache.RecoverFs": "it writes a copy of the cached file system, and runs when a plan gives it settings"
}


def load(folders: Sequence[str | Path] = ()) -> dict[str, Plugin]:
    """Import all plugins and give the Linux ones, and those of the given folders, by their full names.

    A folder may hold plugins as `name.py`, or in `linux/` like Volatility's own. Deprecated aliases are left out: each
    would run a second time what its successor runs.
    """
    constants.OFFLINE = True
    framework.require_interface_version(2, 0, 0)
    paths = [*(str(folder) for folder in folders), str(OURS)]
    volatility3.plugins.__path__ = paths + constants.PLUGINS_PATH
    from volatility3.plugins import linux  # noqa: PLC0415 (the path before it decides what this finds)

    linux.__path__ = [*(f"{path}/linux" for path in paths), *linux.__path__]
    framework.import_files(volatility3.plugins, ignore_errors=True)
    return {name: kind for name, kind in framework.list_plugins().items() if _wanted(name, kind, paths)}


def _wanted(name: str, kind: Plugin, folders: Sequence[str]) -> bool:
    if issubclass(kind, deprecation.PluginRenameClass) or inspect.isabstract(kind):
        return False
    source = getattr(sys.modules.get(kind.__module__), "__file__", None) or ""
    return name.startswith("linux.") or any(source.startswith(f"{folder}/") for folder in folders)


def find(asked: str, classes: Mapping[str, Plugin]) -> str | None:
    """Give the full name of a plugin asked for by it, or by its module (`linux.pslist`) when that has only one.

    What stands behind a `~` tells apart what runs more than once, with other arguments.
    """
    asked = asked.partition("~")[0]
    if asked in classes:
        return asked
    inside = [name for name in classes if name.rpartition(".")[0] == asked]
    return inside[0] if len(inside) == 1 else None


def purpose(kind: Plugin) -> str:
    """Give the first line of what it says of itself."""
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def why_not(name: str, kind: Plugin, given: Mapping[str, JSON] | None = None) -> str:
    """Tell why a plugin does not run with the arguments given; "" when it does."""
    if given is None and name in _BY_HAND:
        return _BY_HAND[name]
    given = given or {}
    needed = arguments.missing(kind, given)
    one_of = _ONE_OF.get(name, ())
    if one_of and not any(one in given for one in one_of):
        needed.append(" or ".join(one_of))
    return f"it needs an argument: {', '.join(needed)}" if needed else arguments.problem(kind, given)


def configure(context: contexts.Context, kind: Plugin, kernel: str, given: Mapping[str, JSON] | None = None) -> str:
    """Write a plugin's configuration: the open kernel, what is given, else the default of every option; give its path.

    `given` has passed `why_not`.
    """
    given = given or {}
    path: str = interfaces.configuration.path_join("plugins", kind.__name__)
    for requirement in kind.get_requirements():
        where = interfaces.configuration.path_join(path, requirement.name)
        if requirement.name in given:
            context.config[where] = given[requirement.name]
        elif isinstance(requirement, requirements.ModuleRequirement):
            context.config[where] = kernel
        elif isinstance(requirement, requirements.TranslationLayerRequirement):
            context.config[where] = context.modules[kernel].layer_name
        elif requirement.name in given:
            context.config[where] = arguments.configured(requirement, given[requirement.name])
        elif requirement.default is not None and _plain(requirement.default):
            context.config[where] = requirement.default
    return path


def _plain(value: object) -> bool:
    return isinstance(value, bool | int | str | float)
