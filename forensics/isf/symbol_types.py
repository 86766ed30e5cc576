"""The types of the kernel's global variables, which BTF does not tell: one row a variable and range of versions.

BTF has the types of per-CPU variables only. Volatility mostly needs a symbol's address alone; the rows are those whose
type Volatility 2.28.2 uses (and few more that a reader may want), with what the kernel's sources declare.
A type is written as in C, without `struct`, `union` and `enum`: `kset *`, `gate_desc [256]`, `fb_info * [32]` (an
array of pointers), `list_head [13] [8]`. The first row that holds for a version is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Version: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """Variables that have one type from version `since` on and before version `before`."""

    symbols: str  # names, separated by blanks
    type: str
    since: Version = (0, 0)
    before: Version = (1000, 0)

    def holds(self, version: Version) -> bool:
        """Tell whether the row is about this version of the kernel."""
        return self.since <= version < self.before


ROWS = (
    # processes
    Row("init_task", "task_struct"),
    Row("init_mm", "mm_struct"),
    Row("init_files", "files_struct"),
    Row("init_pid_ns", "pid_namespace"),
    Row("init_uts_ns", "uts_namespace"),
    Row("init_net", "net"),
    Row("pid_hash", "hlist_head *", before=(4, 15)),
    Row("pidhash_shift", "unsigned int", before=(4, 15)),
    Row("cap_last_cap", "int"),
    # memory
    Row("init_top_pgt", "pgd_t [0]", since=(4, 13)),
    Row("init_level4_pgt", "pgd_t [0]", before=(4, 13)),
    Row("vmemmap_base page_offset_base vmalloc_base phys_base", "long unsigned int"),
    Row("__pgtable_l5_enabled", "unsigned int", since=(4, 17)),
    Row("mem_map", "page *"),
    Row("mem_section", "mem_section * *", since=(4, 15)),
    Row("node_data", "pglist_data * [0]"),
    Row("height_to_maxindex height_to_maxnodes", "long unsigned int [0]", before=(4, 20)),
    Row("iomem_resource", "resource"),
    # time; tk_core is a case of its own, see `convert`
    Row("wall_to_monotonic total_sleep_time", "timespec", before=(3, 17)),
    Row("timekeeper", "timekeeper", before=(3, 17)),
    # modules
    Row("modules", "list_head"),
    Row("module_kset", "kset *"),
    Row("mod_tree", "mod_tree_root", since=(4, 2)),
    Row("module_addr_min module_addr_max", "long unsigned int", before=(4, 2)),
    Row("taint_flags", "taint_flag [20]", since=(6, 15)),
    Row("taint_flags", "taint_flag [19]", since=(6, 0)),
    Row("taint_flags", "taint_flag [18]", since=(4, 18)),
    Row("taint_flags", "taint_flag [17]", since=(4, 15)),
    Row("taint_flags", "taint_flag [16]", since=(4, 9)),
    Row("__start___ksymtab", "kernel_symbol [0]"),
    # interrupts, notifiers, terminals
    Row("idt_table", "gate_desc [256]"),
    Row("keyboard_notifier_list", "atomic_notifier_head"),
    Row("tty_drivers", "list_head"),
    Row("sys_call_table ia32_sys_call_table", "() * [0]"),
    # the kernel log
    Row("prb", "printk_ringbuffer *", since=(5, 10)),
    Row("log_buf", "char *"),
    Row("log_buf_len", "unsigned int", since=(3, 10)),
    Row("log_buf_len", "int", before=(3, 10)),
    Row("log_end", "unsigned int", before=(3, 5)),
    Row("log_first_idx log_next_idx", "unsigned int", since=(3, 5), before=(5, 10)),
    Row("log_first_seq log_next_seq", "long long unsigned int", since=(3, 5), before=(5, 10)),
    # tracing
    Row("prog_idr", "idr", since=(4, 13)),
    Row("ftrace_ops_list", "ftrace_ops *"),
    Row("ftrace_list_end", "ftrace_ops"),
    Row("ftrace_mod_maps", "list_head", since=(4, 15)),
    Row("ftrace_ops_trampoline_list", "list_head", since=(5, 9)),
    Row("bpf_kallsyms", "list_head", since=(4, 11)),
    Row("__start___tracepoints_ptrs __stop___tracepoints_ptrs", "int [0]", since=(4, 19)),
    Row("__start___tracepoints_ptrs __stop___tracepoints_ptrs", "tracepoint * [0]", before=(4, 19)),
    # files
    Row("super_blocks", "list_head"),
    Row("mount_hashtable", "hlist_head *", since=(3, 13)),
    Row("socket_file_ops", "file_operations"),
    Row("sockfs_dentry_operations", "dentry_operations"),
    # network
    Row("net_namespace_list", "list_head"),
    Row("raw_seq_ops udp_seq_ops arp_seq_ops unix_seq_ops udp6_seq_ops raw6_seq_ops", "seq_operations"),
    Row("tcp_seq_ops tcp4_seq_ops tcp6_seq_ops packet_seq_ops", "seq_operations"),
    Row("tcp4_seq_afinfo tcp6_seq_afinfo", "tcp_seq_afinfo"),
    Row("udp4_seq_afinfo udp6_seq_afinfo udplite4_seq_afinfo udplite6_seq_afinfo", "udp_seq_afinfo"),
    Row("nf_hooks", "list_head [13] [8]", since=(3, 10), before=(4, 3)),
    # frame buffers
    Row("num_registered_fb", "int"),
    Row("registered_fb", "fb_info * [32]"),
    # kallsyms itself; only a real System.map has these
    Row("kallsyms_num_syms", "unsigned int", since=(4, 20)),
    Row("kallsyms_num_syms", "long unsigned int", before=(4, 20)),
    Row("kallsyms_offsets", "int [0]", since=(4, 6)),
    Row("kallsyms_relative_base", "long unsigned int", since=(4, 6)),
    Row("kallsyms_names kallsyms_seqs_of_names", "unsigned char [0]"),
    Row("kallsyms_markers", "unsigned int [0]", since=(4, 20)),
    Row("kallsyms_markers", "long unsigned int [0]", before=(4, 20)),
    Row("kallsyms_token_table", "char [0]"),
    Row("kallsyms_token_index", "short unsigned int [0]"),
    # the ends of sections
    Row("_text _stext _etext _end linux_banner", "char [0]"),
)


def rows_for(version: Version) -> Iterator[tuple[str, str]]:
    """Give (symbol, type) of every row that holds for a version, each symbol once."""
    seen: set[str] = set()
    for row in ROWS:
        for symbol in row.symbols.split() if row.holds(version) else ():
            if symbol not in seen:
                seen.add(symbol)
                yield symbol, row.type


def parse(written: str) -> tuple[str, list[int | None]]:
    """Split a written type into its name and, from the inside out, what is made of it: None a pointer, N an array."""
    name = written
    parts: list[str] = []
    if match := re.fullmatch(r"(.*?)((?: \*| \[\d+\])+)", written):
        name, parts = match[1], match[2].split()
    counts = [part for part in parts if part != "*"]
    ordered = [part for part in parts if part == "*"] + counts[::-1]  # C counts the outermost dimension first
    return name, [None if part == "*" else int(part[1:-1]) for part in ordered]
