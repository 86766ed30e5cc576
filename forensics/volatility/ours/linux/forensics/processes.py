# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""Processes by each way in which a kernel holds them together: what one has and another has not was taken out of it.

The ways: the list from init_task (task_struct.tasks), the tree of parents (children, sibling), the table by number (the
IDR of the PID namespace since 4.15, a hash before), the control groups' lists (css_set.tasks, cg_list), and, when asked
for, a scan of all memory.
"""

from __future__ import annotations

import datetime as dt
import logging
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from volatility3.framework import exceptions, interfaces, renderers
from volatility3.framework.configuration import requirements
from volatility3.framework.renderers import format_hints
from volatility3.plugins.linux import pidhashtable, pslist, psscan

vollog = logging.getLogger(__name__)

_MOST = 1 << 22
"""Tasks beyond which a list is a loop or rubbish (PID_MAX_LIMIT, include/linux/threads.h)."""
_DEAD = 0x30  # EXIT_ZOMBIE | EXIT_DEAD, include/linux/sched.h


class ProcessViews(interfaces.plugins.PluginInterface):  # type: ignore[misc]  # Volatility has no types
    """Lists processes by every way in which the kernel holds them, to find those taken out of some."""

    _required_framework_version = (2, 22, 0)
    _version = (1, 0, 0)

    @classmethod
    def get_requirements(cls) -> list[Any]:
        """Ask for a kernel, and whether memory is to be scanned too."""
        return [
            requirements.ModuleRequirement(name="kernel", description="Linux kernel", architectures=["Intel64"]),
            requirements.VersionRequirement(name="pslist", component=pslist.PsList, version=(4, 0, 0)),
            requirements.VersionRequirement(name="psscan", component=psscan.PsScan, version=(2, 0, 0)),
            requirements.VersionRequirement(name="pidtable", component=pidhashtable.PIDHashTable, version=(1, 0, 0)),
            requirements.BooleanRequirement(
                name="scan", description="Scan all memory for tasks too", optional=True, default=False
            ),
        ]

    def _ways(self) -> Mapping[str, Callable[[], Iterable[Any]]]:
        return {"list": self._listed, "tree": self._tree, "table": self._table, "groups": self._groups}

    def _listed(self) -> Iterable[Any]:
        tasks: Iterable[Any] = pslist.PsList.list_tasks(self.context, self.config["kernel"])
        return tasks

    def _tree(self) -> Iterator[Any]:
        """Walk the children of the idle task, and theirs; threads have children of their own."""
        kernel = self.context.modules[self.config["kernel"]]
        waiting, seen = [kernel.object_from_symbol("init_task")], set[int]()
        kind = f"{kernel.symbol_table_name}!task_struct"
        while waiting and len(seen) < _MOST:
            parent = waiting.pop()
            for one in parent.children.to_list(kind, "sibling"):
                if one.vol.offset not in seen and one.is_valid():
                    seen.add(one.vol.offset)
                    yield one
                    waiting += [one, *(thread for thread in one.get_threads() if thread.is_valid())]

    def _table(self) -> Iterable[Any]:
        """Read the table by number; Volatility's plugin for it is made with our configuration."""
        path = interfaces.configuration.path_join(self.config_path, "pidtable")
        self.context.config[interfaces.configuration.path_join(path, "kernel")] = self.config["kernel"]
        tasks: Iterable[Any] = pidhashtable.PIDHashTable(self.context, path).get_tasks()
        return tasks

    def _groups(self) -> Iterator[Any]:
        """Walk the tasks of every set of control groups (css_set_table, 128 chains: kernel/cgroup/cgroup.c)."""
        kernel = self.context.modules[self.config["kernel"]]
        layer = self.context.layers[kernel.layer_name]
        start = kernel.get_absolute_symbol_address("css_set_table")
        inside = kernel.get_type("css_set").relative_child_offset("hlist")
        kind = f"{kernel.symbol_table_name}!task_struct"
        seen: set[int] = set()
        for head in struct.unpack("<128Q", layer.read(start, 8 * 128)):
            at = head
            while at and at not in seen and len(seen) < _MOST:
                seen.add(at)
                group = kernel.object("css_set", offset=at - inside, absolute=True)
                for name in ("tasks", "mg_tasks", "dying_tasks"):
                    if group.has_member(name):
                        yield from group.member(name).to_list(kind, "cg_list")
                at = int(group.hlist.next)

    def _scanned(self, physical: set[int]) -> Iterator[Any]:
        """Give tasks that a scan finds beside those known by their place in memory."""
        kernel = self.context.modules[self.config["kernel"]]
        for task in psscan.PsScan.scan_tasks(self.context, self.config["kernel"], kernel.layer_name):
            if task.vol.offset not in physical and int(task.tgid) == int(task.pid):
                yield task

    def _place(self, task: Any) -> int | None:
        """Tell where in physical memory a task is."""
        kernel = self.context.modules[self.config["kernel"]]
        layer = self.context.layers[kernel.layer_name]
        try:
            place, _ = layer.translate(task.vol.offset & layer.address_mask)
        except exceptions.InvalidAddressException:
            return None
        return int(place)

    def _generator(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        found: dict[int, Any] = {}
        ways: dict[str, set[int] | None] = {}
        for name, way in self._ways().items():
            members: set[int] = set()
            try:
                for task in way():
                    if int(task.tgid) == int(task.pid):
                        found.setdefault(task.vol.offset, task)
                        members.add(task.vol.offset)
                ways[name] = members
            except (exceptions.VolatilityException, AttributeError) as error:
                vollog.warning("the processes by %s could not all be read: %s", name, error)
                ways[name] = None  # absence from it would mean nothing
        places = {offset: self._place(task) for offset, task in found.items()}
        for offset, task in sorted(found.items(), key=lambda one: int(one[1].pid)):
            yield 0, (*self._fields(task, places[offset]), *(_shown(members, offset) for members in ways.values()))
        if self.config.get("scan", False):
            for task in self._scanned({place for place in places.values() if place is not None}):
                none = [False if members is not None else renderers.NotAvailableValue() for members in ways.values()]
                yield 0, (*self._fields(task, task.vol.offset), *none)

    def _fields(self, task: Any, place: int | None) -> tuple[Any, ...]:
        told = pslist.PsList.get_task_fields(task)
        return (
            format_hints.Hex(told.offset),
            renderers.UnreadableValue() if place is None else format_hints.Hex(place),
            told.user_pid,
            told.user_ppid,
            told.name,
            told.creation_time or renderers.NotAvailableValue(),
            bool(task.is_kernel_thread),
            bool(int(task.exit_state) & _DEAD),
        )

    def run(self) -> Any:
        """Give the grid."""
        columns = [
            ("Offset", format_hints.Hex),
            ("Physical offset", format_hints.Hex),
            ("PID", int),
            ("PPID", int),
            ("Name", str),
            ("Started", dt.datetime),
            ("Kernel thread", bool),
            ("Ended", bool),
        ]
        return renderers.TreeGrid([*columns, *((f"In {name}", bool) for name in self._ways())], self._generator())


def _shown(members: set[int] | None, offset: int) -> Any:
    return renderers.NotAvailableValue() if members is None else offset in members
