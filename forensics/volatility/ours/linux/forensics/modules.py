# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""Kernel modules by each way in which a kernel holds them: what one has and another has not was taken out of it.

The ways: the list behind /proc/modules, the objects behind /sys/module, the tree in which the kernel looks up whose an
address is (mod_tree, kernel/module/tree_lookup.c, since 4.2), and a scan of the area for modules. Who hides from the
first two needs the tree, or the kernel takes an exception in its code for a fault.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from typing import Any

from volatility3.framework import exceptions, interfaces, renderers
from volatility3.framework.configuration import requirements
from volatility3.framework.renderers import format_hints
from volatility3.framework.symbols.linux.utilities import modules, tainting

vollog = logging.getLogger(__name__)

_MOST = 1 << 16
"""Modules beyond which a tree is a loop or rubbish."""
_STATES = ("live", "coming", "going", "unformed")  # enum module_state, include/linux/module.h


class ModuleViews(interfaces.plugins.PluginInterface):  # type: ignore[misc]  # Volatility has no types
    """Lists kernel modules by every way in which the kernel holds them, to find those taken out of some."""

    _required_framework_version = (2, 22, 0)
    _version = (1, 0, 0)

    @classmethod
    def get_requirements(cls) -> list[Any]:
        """Ask for a kernel."""
        return [
            requirements.ModuleRequirement(name="kernel", description="Linux kernel", architectures=["Intel64"]),
            requirements.VersionRequirement(name="modules", component=modules.Modules, version=(3, 0, 0)),
            requirements.VersionRequirement(name="tainting", component=tainting.Tainting, version=(1, 0, 0)),
        ]

    def _gathered(self, gatherer: Any) -> set[int] | None:
        """Give the addresses of the modules that one of Volatility's gatherers finds; None when it breaks."""
        try:
            found = modules.Modules.run_modules_scanners(self.context, self.config["kernel"], [gatherer], flatten=False)
        except (exceptions.VolatilityException, AttributeError) as error:
            vollog.warning("the modules by %s could not be read: %s", gatherer.name, error)
            return None
        return {self._canonical(one.offset) for one in found[gatherer.name]}

    def _canonical(self, address: int) -> int:
        kernel = self.context.modules[self.config["kernel"]]
        layer = self.context.layers[kernel.layer_name]
        return int(layer.canonicalize(int(address) & layer.address_mask))

    def _tree(self) -> set[int] | None:
        kernel = self.context.modules[self.config["kernel"]]
        if not kernel.has_symbol("mod_tree") or not kernel.has_type("mod_tree_node"):
            return None
        layer = self.context.layers[kernel.layer_name]
        inside = kernel.get_type("mod_tree_node").relative_child_offset("node")
        tree = kernel.get_type("latch_tree_root").relative_child_offset("tree")
        start = kernel.get_absolute_symbol_address("mod_tree")
        right = kernel.get_type("rb_node").relative_child_offset("rb_right")
        try:
            waiting, seen = [_pointer(layer, start + tree)], set[int]()
            found = set()
            while waiting and len(seen) < _MOST:
                at = waiting.pop()
                if at and at not in seen:
                    seen.add(at)
                    found.add(self._canonical(_pointer(layer, at - inside)))  # mod stands at its beginning
                    waiting += [_pointer(layer, at + right), _pointer(layer, at + right + 8)]
        except exceptions.InvalidAddressException as error:
            vollog.warning("the tree of modules could not be read: %s", error)
            return None
        return found

    def _generator(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        gatherers = (modules.ModuleGathererLsmod, modules.ModuleGathererSysFs)
        ways = [*(self._gathered(one) for one in gatherers), self._tree()]
        ways.append(self._gathered(modules.ModuleGathererScanner))
        kernel = self.context.modules[self.config["kernel"]]
        for address in sorted(set().union(*(way for way in ways if way is not None))):
            module = kernel.object("module", offset=address, absolute=True)
            shown = [renderers.NotAvailableValue() if way is None else address in way for way in ways]
            yield 0, (format_hints.Hex(address), *self._fields(module), *shown)

    def _fields(self, module: Any) -> tuple[Any, ...]:
        state = int(module.state)
        return (
            module.get_name() or renderers.UnreadableValue(),
            _STATES[state] if 0 <= state < len(_STATES) else str(state),
            format_hints.Hex(self._canonical(module.get_module_base())),
            int(module.get_core_size()),
            ",".join(tainting.Tainting.get_taints_parsed(self.context, self.config["kernel"], module.taints, True)),
        )

    def run(self) -> Any:
        """Give the grid."""
        columns = [("Offset", format_hints.Hex), ("Name", str), ("State", str), ("Base", format_hints.Hex)]
        columns += [("Size", int), ("Taints", str)]
        ways = ("list", "sysfs", "tree", "scan")
        return renderers.TreeGrid([*columns, *((f"In {way}", bool) for way in ways)], self._generator())


def _pointer(layer: Any, address: int) -> int:
    return int(struct.unpack("<Q", layer.read(address, 8))[0])
