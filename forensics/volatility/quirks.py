"""Where stock plugins ask something that is not so for a case's table, and what is answered instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from volatility3.framework import contexts, exceptions
from volatility3.framework.constants.linux import KSYM_NAME_LEN
from volatility3.framework.objects import utility
from volatility3.framework.symbols.linux import extensions


def mend_types(table: Any) -> None:
    """Give kernel_cap_t the reader of its members.

    Before 6.3 it is another name of kernel_cap_struct (`cap[2]`), since then a struct of its own (`val`). Volatility
    goes by the name alone, and linux.capabilities refuses a 6.1 whose table has that name (2.28.2; dwarf2json's has).
    """
    if "kernel_cap_t" in table.types and table.get_type("kernel_cap_t").has_member("cap"):
        table.set_type_class("kernel_cap_t", extensions.kernel_cap_struct)


def prepare(context: contexts.Context, item: str, lost: list[str]) -> None:
    """Set the scene for one plugin, in its own process; `lost` takes the entries that it has to pass over."""
    _pass_over_torn_mappings(lost)
    if item == "linux.malware.hidden_modules.Hidden_modules":
        _answer_producer_check(context.symbol_space)
    if item == "linux.mountinfo.MountInfo":
        _pass_over_torn_mounts(lost)
    if item == "linux.kallsyms.Kallsyms":
        _read_exported_names()


def _read_exported_names() -> None:
    """Let linux.kallsyms read the names of exported symbols: it ends at the first module (2.28.2, kernel_symbol).

    A name stands at an offset from the member that holds the offset (offset_to_ptr, include/linux/compiler.h; 4.19).
    Volatility counts from the struct, and hands the number to what takes a pointer alone.
    """
    whole: Callable[[Any], Any] = extensions.kernel_symbol._do_get_name  # noqa: SLF001 (what get_name calls)

    def _do_get_name(self: Any) -> Any:
        if not self.has_member("name_offset"):
            return whole(self)
        told = self.member("name_offset")
        address = (told.vol.offset + int(told)) & self._context.layers[self.vol.layer_name].address_mask
        return utility.address_to_string(self._context, self.vol.layer_name, address, KSYM_NAME_LEN, errors="ignore")

    extensions.kernel_symbol._do_get_name = _do_get_name  # noqa: SLF001


def _answer_producer_check(space: Any) -> None:
    """Let hidden_modules run on tables that dwarf2json did not make.

    It means to refuse tables of a dwarf2json before 0.8.0, and asks verify_table_versions whether *every* table passes
    "older than 0.8.0"; with no table of dwarf2json's the answer is a vacuous yes, and it refuses (hidden_modules.py,
    2.28.2). Where dwarf2json made none of the tables the question has no bearing, and it is answered with no.
    """
    ask: Callable[..., bool] = space.verify_table_versions

    def answer(producer: str, validator: Callable[..., bool], tables: list[str] | None = None) -> bool:
        names = list(space) if tables is None else tables
        made = [space[name].producer for name in names]
        if any(one is not None and one.name == producer for one in made):
            return ask(producer, validator, tables)
        return False

    space.verify_table_versions = answer


def _pass_over_torn_mounts(lost: list[str]) -> None:
    """Let mountinfo go on after a mount whose structures do not hold together, and name it.

    A file system that comes or goes while the image is taken leaves pointers into pages that hold something else by
    then; the plugin ends at the first such mount (2.28.2, get_mountinfo), and every mount after it is missing.
    """
    from volatility3.plugins.linux import mountinfo  # noqa: PLC0415 (plugins are imported after their path is set)

    read: Callable[..., Any] = mountinfo.MountInfo.get_mountinfo.__func__

    def get_mountinfo(cls: Any, mnt: Any, task: Any) -> Any:
        try:
            return read(cls, mnt, task)
        except (exceptions.VolatilityException, ValueError, TypeError, AttributeError) as error:
            lost.append(f"mount {int(mnt.mnt_id)} ({error})")
            return None

    mountinfo.MountInfo.get_mountinfo = classmethod(get_mountinfo)


def _pass_over_torn_mappings(lost: list[str]) -> None:
    """Let a plugin go on after a process whose tree of mappings does not hold together, and name it.

    The tree of a process that begins or ends while the image is taken has pointers into pages that are not there;
    malfind ends at the first such process (2.28.2, mm_struct.get_vma_iter), and every process after it is missing.
    """
    walk: Callable[..., Iterator[Any]] = extensions.mm_struct.get_vma_iter

    def get_vma_iter(self: Any) -> Iterator[Any]:
        try:
            yield from walk(self)
        except exceptions.InvalidAddressException as error:
            lost.append(f"mappings at {self.vol.offset:#x} ({error})")

    extensions.mm_struct.get_vma_iter = get_vma_iter
