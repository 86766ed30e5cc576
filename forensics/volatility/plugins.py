"""Volatility's plugin classes: found, told apart, and given what they require."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import volatility3.plugins
from volatility3 import framework
from volatility3.framework import constants, contexts, deprecation, interfaces
from volatility3.framework.configuration import requirements

from forensics.model import JSON

Plugin: TypeAlias = "type[Any]"

OURS = Path(__file__).parent / "ours"
"""Plugins that come with the program, in Volatility's own form: `vol -p` of this folder runs them too."""

_ARGUMENTS: Mapping[str, str] = {
    "linux.pagecache.InodePages": "it needs an argument: find or inode",
    "linux.pagecache.RecoverFs": "it writes a copy of the cached file system, and only when asked to by hand",
}
"""What is not declared as required, and is at run time (pagecache.py of 2.28)."""


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
    """Give the full name of a plugin asked for by it, or by its module (`linux.pslist`) when that has only one."""
    if asked in classes:
        return asked
    inside = [name for name in classes if name.rpartition(".")[0] == asked]
    return inside[0] if len(inside) == 1 else None


def purpose(kind: Plugin) -> str:
    """Give the first line of what it says of itself."""
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def why_not(name: str, kind: Plugin, given: Collection[str] = ()) -> str:
    """Tell why a plugin does not run without more than the arguments `given`; "" when it does."""
    if name in _ARGUMENTS and not given:
        return _ARGUMENTS[name]
    needed = [one.name for one in kind.get_requirements() if _is_argument(one) and one.name not in given]
    return f"it needs an argument: {', '.join(needed)}" if needed else ""


def _is_argument(requirement: Any) -> bool:
    simple = isinstance(requirement, interfaces.configuration.SimpleTypeRequirement | requirements.ListRequirement)
    return simple and not requirement.optional and requirement.default is None


def configure(context: contexts.Context, kind: Plugin, kernel: str, arguments: Mapping[str, JSON] | None = None) -> str:
    """Write the plugin's configuration: the open kernel, what it is given, else the default of each option.

    Gives the path of the configuration.
    """
    given = arguments or {}
    path: str = interfaces.configuration.path_join("plugins", kind.__name__)
    for requirement in kind.get_requirements():
        where = interfaces.configuration.path_join(path, requirement.name)
        if requirement.name in given:
            context.config[where] = given[requirement.name]
        elif isinstance(requirement, requirements.ModuleRequirement):
            context.config[where] = kernel
        elif isinstance(requirement, requirements.TranslationLayerRequirement):
            context.config[where] = context.modules[kernel].layer_name
        elif requirement.default is not None and _plain(requirement.default):
            context.config[where] = requirement.default
    return path


def _plain(value: object) -> bool:
    return isinstance(value, bool | int | str | float)
