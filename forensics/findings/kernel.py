"""Rules on the kernel: its modules, its tables of handlers, its taint."""

from __future__ import annotations

from collections.abc import Iterator

from forensics.findings.rule import Context, Evidence, listed, number_of, plugin, rule, text_of
from forensics.model import Finding, Severity
from forensics.tables import Absent, Row

VIEWS = "linux.malware.modxview.Modxview"
SYSCALLS = "linux.malware.check_syscall.Check_syscall"
INTERRUPTS = "linux.malware.check_idt.Check_idt"

_TAINTS = {
    0: "a proprietary module", 1: "a module was forced in", 2: "an unsafe processor", 3: "a module was forced out",
    4: "a machine check", 5: "a bad page", 6: "asked for by user space", 7: "an oops", 8: "an ACPI table overridden",
    9: "a warning", 10: "a staging driver", 11: "a workaround for firmware", 12: "a module from outside the tree",
    13: "an unsigned module", 14: "a soft lockup", 15: "a live patch", 16: "auxiliary", 17: "a structure randomised",
    18: "an in-kernel test",
}  # fmt: skip
"""Documentation/admin-guide/tainted-kernels.rst"""


@rule("foreign-module", needs=(VIEWS,))
def foreign_modules(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name loaded modules that are unsigned or from outside the kernel's tree, and that we did not bring."""
    for row in evidence.rows(VIEWS):
        name, taints = text_of(row.get("Name"), 64), text_of(row.get("Taints"))
        if ("OOT" in taints or "UNSIGNED" in taints) and name not in context.instruments:
            yield Finding(
                rule="foreign-module",
                severity=Severity.LOW,
                title=f"The kernel module {name} is not part of the kernel",
                statement=f"The module {name} tainted the kernel: {taints}.",
                exhibits=evidence.exhibits(VIEWS),
                repeat=plugin(VIEWS),
                technique="T1547.006",
                facts={"module": name, "taints": taints},
            )


@rule("syscall-hook", needs=(SYSCALLS,))
def syscall_hooks(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name entries of the system call table that lead to no symbol of the kernel."""
    del context
    rows = list(evidence.rows(SYSCALLS))
    strange = [row for row in rows if _unknown(row, "Handler Symbol")]
    if not strange:
        return
    entries = [f"{text_of(row.get('Table Name'))} {row.get('Index')} → {_address(row)}" for row in strange]
    unfit = len(strange) * 2 > len(rows)
    doubt = " That is most of the table: more likely the symbol table does not fit." if unfit else ""
    yield Finding(
        rule="syscall-hook",
        severity=Severity.INFORMATION if unfit else Severity.HIGH,
        title=f"{len(strange)} of {len(rows)} system calls lead outside the kernel's symbols",
        statement=f"These entries lead to no known symbol: {listed(entries)}.{doubt}",
        exhibits=evidence.exhibits(SYSCALLS),
        repeat=plugin(SYSCALLS),
        technique="" if unfit else "T1014",
        facts={"entries": [*entries[:50]]},
    )


@rule("interrupt-hook", needs=(INTERRUPTS,))
def interrupt_hooks(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Name entries of the interrupt table that lead into no module and no part of the kernel."""
    del context
    rows = list(evidence.rows(INTERRUPTS))
    strange = [
        row for row in rows if number_of(row.get("Address")) and _unknown(row, "Module") and not _of_early_boot(row)
    ]
    if strange and len(strange) * 2 <= len(rows):
        entries = [f"{text_of(row.get('Index'))} → {number_of(row.get('Address')) or 0:#x}" for row in strange]
        yield Finding(
            rule="interrupt-hook",
            severity=Severity.HIGH,
            title=f"{len(strange)} interrupt handlers lead outside the kernel",
            statement=f"These entries lead into no known module: {listed(entries)}.",
            exhibits=evidence.exhibits(INTERRUPTS),
            repeat=plugin(INTERRUPTS),
            technique="T1014",
            facts={"entries": [*entries]},
        )


def _of_early_boot(row: Row) -> bool:
    """Tell whether a vector still has the handler of early boot, as machine check has where the processor has none.

    arch/x86/kernel/head_64.S: early_idt_handler_array, in .init.text of the kernel image, has an entry of 9 bytes for
    each vector (13 with indirect branch tracking). A hook would have to stand at just that place of freed memory.
    """
    address, vector = number_of(row.get("Address")) or 0, number_of(row.get("Index")) or 0
    in_image = 0xFFFF80000000 <= address & 0xFFFFFFFFFFFF < 0xFFFFC0000000
    return in_image and any((address - vector * size) % 16 == 0 for size in (9, 13))


def _unknown(row: Row, column: str) -> bool:
    cell = row.get(column)
    return cell is None or isinstance(cell, Absent) or cell in ("", "UNKNOWN")


def _address(row: Row) -> str:
    address = number_of(row.get("Handler Address"))
    return "unknown" if address is None else f"{address:#x}"


@rule("kernel-taint")
def taint(evidence: Evidence, context: Context) -> Iterator[Finding]:
    """Say what had tainted the kernel before the investigation came."""
    del evidence
    if context.facts is None or not context.facts.taint:
        return
    value = context.facts.taint
    reasons = [_TAINTS.get(bit, f"bit {bit}") for bit in range(64) if value >> bit & 1]
    earlier = " An earlier acquisition in the same boot leaves the last two." if value >> 12 & 3 else ""
    yield Finding(
        rule="kernel-taint",
        severity=Severity.INFORMATION,
        title=f"The kernel was tainted before the survey ({value})",
        statement=f"The kernel says that it is tainted by: {listed(reasons)}.{earlier}",
        exhibits=tuple(filter(None, [context.facts_exhibit])),
        repeat="on the target: cat /proc/sys/kernel/tainted",
        facts={"taint": value},
    )
