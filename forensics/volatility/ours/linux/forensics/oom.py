# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""What the OOM killer would see: each process's memory, its adjustment, and the badness that follows.

mm/oom_kill.c, oom_badness(): resident pages, pages in swap and pages of page tables, plus oom_score_adj thousandths of
all memory and swap. The counters are read as the kernel itself reads them (since 6.2 about: lib/percpu_counter.c).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from volatility3.framework import exceptions, interfaces, renderers
from volatility3.framework.configuration import requirements
from volatility3.framework.objects import utility
from volatility3.framework.renderers import format_hints
from volatility3.plugins.linux import pslist

PAGE = 4096
_FILE, _ANONYMOUS, _SWAP, _SHARED = range(4)  # MM_* of include/linux/mm_types_task.h, since 4.5
_NEVER = -1000  # OOM_SCORE_ADJ_MIN, include/uapi/linux/oom.h


class OomState(interfaces.plugins.PluginInterface):  # type: ignore[misc]  # Volatility has no types
    """Lists what the OOM killer sees of each process, the first to be killed first."""

    _required_framework_version = (2, 22, 0)
    _version = (1, 0, 0)

    @classmethod
    def get_requirements(cls) -> list[Any]:
        """Ask for a kernel."""
        return [
            requirements.ModuleRequirement(name="kernel", description="Linux kernel", architectures=["Intel64"]),
            requirements.VersionRequirement(name="pslist", component=pslist.PsList, version=(4, 0, 0)),
        ]

    def _total(self) -> int | None:
        """Count the pages of memory and swap together; None where the kernel's counters are not known."""
        kernel = self.context.modules[self.config["kernel"]]
        layer = self.context.layers[kernel.layer_name]
        count = 0
        for names in (("_totalram_pages", "totalram_pages"), ("total_swap_pages",)):
            name = next((one for one in names if kernel.has_symbol(one)), None)
            if name is None:
                return None
            try:
                raw = layer.read(kernel.get_absolute_symbol_address(name), 8)
            except exceptions.InvalidAddressException:
                return None
            count += int(struct.unpack("<q", raw)[0])
        return count

    def _counters(self, mm: Any) -> list[int]:
        """Read the four counters of pages: of files, anonymous, in swap, shared."""
        stat = mm.rss_stat
        raw = stat.count if stat.has_member("count") else stat
        return [max(0, int(_count(raw[number]))) for number in range(4)]

    def _generator(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        total = self._total()
        rows = []
        for task in pslist.PsList.list_tasks(self.context, self.config["kernel"]):
            if not task.is_kernel_thread:
                try:
                    rows.append(self._row(task, total))
                except exceptions.InvalidAddressException:
                    rows.append((0, (*_named(task), *(renderers.UnreadableValue() for _ in range(10)))))
        for badness, row in sorted(rows, key=lambda one: -one[0]):
            del badness
            yield 0, row

    def _row(self, task: Any, total: int | None) -> tuple[int, tuple[Any, ...]]:
        signal = task.signal.dereference()
        adjustment = int(signal.oom_score_adj)
        victim = bool(signal.has_member("oom_mm") and int(signal.oom_mm))
        first = bool(signal.has_member("oom_flag_origin") and int(signal.oom_flag_origin))
        if not (task.mm and task.mm.is_readable()):  # it has ended, but for its number
            none = [renderers.NotApplicableValue() for _ in range(7)]
            return -1, (*_named(task), adjustment, victim, first, *none)
        mm = task.mm.dereference()
        file, anonymous, swap, shared = self._counters(mm)
        tables = _tables(mm)
        badness = file + anonymous + shared + swap + tables // PAGE
        known: Any = renderers.NotAvailableValue()
        if adjustment == _NEVER or int(task.pid) == 1:
            badness, known = -1, renderers.NotApplicableValue()
        elif total is not None:
            badness += adjustment * total // 1000
            known = badness
        pages = (mm.total_vm, anonymous, file, shared, swap)
        sizes = [int(count) * PAGE for count in pages]
        return badness, (*_named(task), adjustment, victim, first, *sizes, tables, known)

    def run(self) -> Any:
        """Give the grid: sizes in bytes, badness in pages."""
        sizes = ("Virtual", "Anonymous", "Of files", "Shared", "Swap", "Page tables")
        columns = [("Offset", format_hints.Hex), ("PID", int), ("Name", str), ("oom_score_adj", int)]
        columns += [("Victim", bool), ("To be killed first", bool)]
        return renderers.TreeGrid([*columns, *((name, int) for name in sizes), ("Badness", int)], self._generator())


def _named(task: Any) -> tuple[Any, ...]:
    return format_hints.Hex(task.vol.offset), int(task.tgid), utility.array_to_string(task.comm)


def _count(one: Any) -> Any:
    """Read an atomic_long_t, or a percpu_counter (since 6.2)."""
    return one.counter if one.has_member("counter") else one.count


def _tables(mm: Any) -> int:
    """Count the bytes of page tables (pgtables_bytes since 4.15, nr_ptes before)."""
    if mm.has_member("pgtables_bytes"):
        return int(mm.pgtables_bytes.counter)
    return int(mm.nr_ptes.counter) * PAGE if mm.has_member("nr_ptes") else 0
