# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""Routes as the kernel holds them: the forwarding tables, next-hop exceptions, and the route cache of old kernels.

Structures: net/ipv4/fib_trie.c (a trie of key_vector since 4.1), include/net/ip_fib.h, include/net/ip6_fib.h (fib6_info
since 4.18), include/net/nexthop.h (5.3); the cache is net/ipv4/route.c, removed in 3.6.
"""

from __future__ import annotations

import ipaddress
import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from volatility3.framework import exceptions, interfaces, renderers
from volatility3.framework.configuration import requirements
from volatility3.framework.objects import utility
from volatility3.framework.symbols.linux import network

vollog = logging.getLogger(__name__)

_TABLES = {253: "default", 254: "main", 255: "local"}
_TYPES = dict(enumerate((
    "unspecified", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit",
    "throw", "nat",
)))  # fmt: skip
_PROTOCOLS = {
    0: "unspecified", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra",
    12: "bird", 13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 17: "mrouted", 18: "keepalived", 42: "babel",
    186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
}  # fmt: skip
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_FLAGS = {1: "dead", 2: "pervasive", 4: "onlink", 8: "offload", 16: "linkdown", 32: "unresolved", 64: "trap"}
"""include/uapi/linux/rtnetlink.h: rt_class_t, RTN_*, RTPROT_*, RT_SCOPE_*, RTNH_F_*."""

_MOST = 1 << 20
"""Nodes of one tree, and entries of one chain, beyond which it is a loop or rubbish."""
_EXCEPTIONS = 1 << 11  # FNHE_HASH_SIZE, include/net/ip_fib.h


@dataclass(frozen=True)
class Hop:
    """One way out of a route."""

    gateway: str = ""
    device: str = ""
    flags: int = 0
    exceptions: int = 0  # address of their hash table


@dataclass(frozen=True)
class Route:
    """One row."""

    namespace: int
    family: str
    origin: str
    table: str
    kind: str
    destination: str
    hop: Hop
    source: str = ""
    protocol: str = ""
    scope: str = ""
    metric: int | None = None

    def cells(self) -> tuple[Any, ...]:
        """Give the values in the order of the columns."""
        flags = ",".join(word for bit, word in _FLAGS.items() if self.hop.flags & bit)
        words = (self.hop.gateway, self.hop.device, self.source, self.protocol, self.scope)
        told = [word or renderers.NotApplicableValue() for word in words]
        metric = renderers.NotApplicableValue() if self.metric is None else self.metric
        return (
            self.namespace, self.family, self.origin, self.table, self.kind, self.destination, *told, metric, flags,
        )  # fmt: skip


@dataclass
class Reader:
    """Reads one kernel's routes."""

    kernel: Any
    layer: Any
    seen: set[int] = field(default_factory=set)  # tries: `local` is often the trie of `main` (fib_trie_unmerge)

    def pointer(self, address: int) -> int:
        """Read one pointer, without its sign: one address is one number."""
        return int(struct.unpack("<Q", self.layer.read(address, 8))[0]) & int(self.layer.address_mask)

    def chain(self, first: Any, kind: str, member: str) -> Iterator[Any]:
        """Follow a list that ends with NULL (hlist)."""
        inside = self.kernel.get_type(kind).relative_child_offset(member)
        at, seen = int(first) & int(self.layer.address_mask), set[int]()
        while at and at not in seen and len(seen) < _MOST:
            seen.add(at)
            yield self.kernel.object(kind, offset=at - inside, absolute=True)
            at = self.pointer(at)

    def heads(self, table: int, count: int) -> Iterator[int]:
        """Give the first entry of each chain of a hash table of hlist_heads."""
        for slot in struct.unpack(f"<{count}Q", self.layer.read(int(table), 8 * count)):
            if slot:
                yield slot & int(self.layer.address_mask)

    def routes(self, namespace: Any) -> Iterator[Route]:
        """Give the routes of one network namespace; what is not in the image is left out with a warning."""
        number = int(namespace.get_inode())
        for part in (self._ipv4, self._ipv6):
            try:
                yield from part(namespace, number)
            except (exceptions.InvalidAddressException, exceptions.SymbolError, AttributeError) as error:
                vollog.warning("namespace %d, %s: not all routes could be read: %s", number, part.__name__[1:], error)

    def _ipv4(self, namespace: Any, number: int) -> Iterator[Route]:
        several = namespace.ipv4.has_member("rules_ops")  # CONFIG_IP_MULTIPLE_TABLES
        for head in self.heads(namespace.ipv4.fib_table_hash, 256 if several else 2):
            for table in self.chain(head, "fib_table", "tb_hlist"):
                trie = self.kernel.object("trie", offset=int(table.tb_data), absolute=True)
                if trie.vol.offset not in self.seen:
                    self.seen.add(trie.vol.offset)
                    for key, alias in self._aliases(trie):
                        yield from self._of_alias(number, int(table.tb_id), key, alias)

    def _aliases(self, trie: Any) -> Iterator[tuple[int, Any]]:
        kind = self.kernel.get_type("key_vector")
        inside = kind.relative_child_offset("leaf") if kind.has_member("leaf") else 8
        waiting, seen = [self.pointer(trie.vol.offset + inside)], set[int]()
        while waiting and len(seen) < _MOST:
            at = waiting.pop()
            if not at or at in seen:
                continue
            seen.add(at)
            node = self.kernel.object("key_vector", offset=at, absolute=True)
            bits = int(node.bits)
            if bits:  # an inner node has 2^bits children; a leaf has none (IS_TNODE)
                width = 1 << min(bits, 20)
                waiting += reversed(struct.unpack(f"<{width}Q", self.layer.read(at + inside, 8 * width)))
                continue
            for alias in self.chain(self.pointer(at + inside), "fib_alias", "fa_list"):
                yield int(node.key), alias

    def _of_alias(self, number: int, table: int, key: int, alias: Any) -> Iterator[Route]:
        info = alias.fa_info.dereference()
        if alias.has_member("tb_id"):  # since 4.1: one trie may hold the entries of two tables
            table = int(alias.tb_id)
        length = 32 - int(alias.fa_slen) if alias.has_member("fa_slen") else 32
        where = f"{ipaddress.IPv4Address(key)}/{length}"
        for hop in self._hops(info):
            yield Route(
                number, "IPv4", "table", _TABLES.get(table, str(table)), _named(_TYPES, alias.fa_type), where, hop,
                _address4(int(info.fib_prefsrc)), _named(_PROTOCOLS, info.fib_protocol),
                _named(_SCOPES, info.fib_scope), int(info.fib_priority),
            )  # fmt: skip
            yield from self._exceptions(number, table, hop)

    def _hops(self, info: Any) -> Iterator[Hop]:
        if info.has_member("nh") and info.nh:
            yield from self._objects(info.nh.dereference())
            return
        count = int(info.fib_nhs)
        size, base = self.kernel.get_type("fib_nh").size, info.fib_nh.vol.offset
        for index in range(min(count, 256)):
            one = self.kernel.object("fib_nh", offset=base + index * size, absolute=True)
            yield self.hop(one.nh_common) if one.has_member("nh_common") else self._old_hop(one)
        if not count:
            yield Hop()

    def _objects(self, nexthop: Any, depth: int = 0) -> Iterator[Hop]:
        """Follow a nexthop object: one way, or a group of them."""
        if not int(nexthop.is_group):
            yield self.hop(nexthop.nh_info.dereference().fib_nhc)
            return
        group = nexthop.nh_grp.dereference()
        size, base = self.kernel.get_type("nh_grp_entry").size, group.nh_entries.vol.offset
        for index in range(min(int(group.num_nh), 256) if depth == 0 else 0):  # groups of groups do not exist
            entry = self.kernel.object("nh_grp_entry", offset=base + index * size, absolute=True)
            yield from self._objects(entry.nh.dereference(), depth + 1)

    def hop(self, common: Any) -> Hop:
        """Read a fib_nh_common (since 5.2)."""
        family = int(common.nhc_gw_family)
        raw = self.layer.read(common.nhc_gw.vol.offset, 16)
        gateway = {2: str(ipaddress.IPv4Address(raw[:4])), 10: str(ipaddress.IPv6Address(raw))}.get(family, "")
        held = int(common.nhc_exceptions) if common.nhc_family == 2 else 0
        return Hop(gateway, self._device(common.nhc_dev), int(common.nhc_flags), held)

    def _old_hop(self, one: Any) -> Hop:
        held = int(one.nh_exceptions) if one.has_member("nh_exceptions") else 0
        return Hop(_address4(int(one.nh_gw)), self._device(one.nh_dev), int(one.nh_flags), held)

    def _device(self, pointer: Any) -> str:
        return str(utility.array_to_string(pointer.dereference().name)) if pointer and pointer.is_readable() else ""

    def _exceptions(self, number: int, table: int, hop: Hop) -> Iterator[Route]:
        """Give what was learnt for single destinations: redirects, path MTUs."""
        for head in self.heads(hop.exceptions, _EXCEPTIONS) if hop.exceptions else ():
            at, seen = head, set[int]()
            while at and at not in seen and len(seen) < _MOST:
                seen.add(at)
                one = self.kernel.object("fib_nh_exception", offset=at, absolute=True)
                where = f"{_address4(int(one.fnhe_daddr), none='0.0.0.0')}/32"  # noqa: S104 - an address to show
                told = Hop(_address4(int(one.fnhe_gw)), hop.device)
                yield Route(number, "IPv4", "exception", _TABLES.get(table, str(table)), "unicast", where, told)
                at = int(one.fnhe_next)

    def _ipv6(self, namespace: Any, number: int) -> Iterator[Route]:
        if not namespace.has_member("ipv6") or not self.kernel.has_type("fib6_info"):
            return
        several = namespace.ipv6.has_member("fib6_rules_ops")
        for head in self.heads(namespace.ipv6.fib_table_hash, 256 if several else 1):
            for table in self.chain(head, "fib6_table", "tb6_hlist"):
                for info in self._infos(table.tb6_root):
                    if info.vol.offset != int(namespace.ipv6.fib6_null_entry):  # where there is no route: no route
                        yield from self._of_info(number, int(table.tb6_id), info)

    def _infos(self, root: Any) -> Iterator[Any]:
        waiting, seen, told = [root], set[int](), set[int]()
        while waiting and len(seen) < _MOST:
            node = waiting.pop()
            if node.vol.offset in seen:
                continue
            seen.add(node.vol.offset)
            branches = [node.right, node.left, *([node.subtree] if node.has_member("subtree") else [])]
            waiting += [one.dereference() for one in branches if one]
            one = node.leaf if int(node.fn_flags) & 4 else None  # RTN_RTINFO: the leaf is this node's own
            while one and int(one) not in told:
                told.add(int(one))
                yield one.dereference()
                one = one.dereference().fib6_next

    def _of_info(self, number: int, table: int, info: Any) -> Iterator[Route]:
        raw = self.layer.read(info.fib6_dst.addr.vol.offset, 16)
        where = f"{ipaddress.IPv6Address(raw)}/{int(info.fib6_dst.plen)}"
        if info.has_member("nh") and info.nh:
            hops = list(self._objects(info.nh.dereference()))
        else:
            one = self.kernel.object("fib6_nh", offset=info.fib6_nh.vol.offset, absolute=True)
            hops = [self.hop(one.nh_common)] if one.has_member("nh_common") else [Hop()]
        for hop in hops:
            yield Route(
                number, "IPv6", "table", _TABLES.get(table, str(table)), _named(_TYPES, info.fib6_type), where, hop,
                self._source6(info), _named(_PROTOCOLS, info.fib6_protocol), "", int(info.fib6_metric),
            )  # fmt: skip

    def _source6(self, info: Any) -> str:
        raw = self.layer.read(info.fib6_prefsrc.addr.vol.offset, 16)
        return str(ipaddress.IPv6Address(raw)) if any(raw) else ""

    def cache(self) -> Iterator[Route]:
        """Give the route cache of a kernel that has one (before 3.6)."""
        if not self.kernel.has_symbol("rt_hash_table") or not self.kernel.has_type("rt_hash_bucket"):
            return
        start = self.kernel.get_absolute_symbol_address("rt_hash_table")
        mask = self.kernel.get_absolute_symbol_address("rt_hash_mask")
        count = min(struct.unpack("<I", self.layer.read(mask, 4))[0] + 1, _MOST)
        for chain in self.heads(self.pointer(start), count):
            at, seen = chain, set[int]()
            while at and at not in seen and len(seen) < _MOST:
                seen.add(at)
                one = self.kernel.object("rtable", offset=at, absolute=True)
                hop = Hop(_address4(int(one.rt_gateway)), self._device(one.dst.dev))
                where = f"{_address4(int(one.rt_dst), none='0.0.0.0')}/32"  # noqa: S104
                kind = _named(_TYPES, one.rt_type)
                yield Route(0, "IPv4", "cache", "cache", kind, where, hop, _address4(int(one.rt_src)))
                at = int(one.dst.rt_next)


def _address4(big_endian: int, none: str = "") -> str:
    """Write an address as it stands in memory in network order (read as a little-endian number)."""
    return str(ipaddress.IPv4Address(struct.pack("<I", big_endian))) if big_endian else none


def _named(names: dict[int, str], value: Any) -> str:
    return names.get(int(value), str(int(value)))


class Routes(interfaces.plugins.PluginInterface):  # type: ignore[misc]  # Volatility has no types
    """Lists the routes of every network namespace, with next-hop exceptions and an old kernel's route cache."""

    _required_framework_version = (2, 22, 0)
    _version = (1, 0, 0)

    @classmethod
    def get_requirements(cls) -> list[Any]:
        """Ask for a kernel."""
        return [
            requirements.ModuleRequirement(name="kernel", description="Linux kernel", architectures=["Intel64"]),
            requirements.VersionRequirement(name="Net", component=network.NetSymbols, version=(1, 0, 0)),
        ]

    def _generator(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        kernel = self.context.modules[self.config["kernel"]]
        network.NetSymbols.apply(self.context.symbol_space[kernel.symbol_table_name])
        reader = Reader(kernel, self.context.layers[kernel.layer_name])
        namespaces = kernel.object_from_symbol("net_namespace_list")
        for one in namespaces.to_list(f"{kernel.symbol_table_name}!net", "list"):
            for route in reader.routes(one):
                yield 0, route.cells()
        for route in reader.cache():
            yield 0, route.cells()

    def run(self) -> Any:
        """Give the grid."""
        words = ("Gateway", "Device", "Source", "Protocol", "Scope")
        columns = [("NetNS", int), *((name, str) for name in ("Family", "Origin", "Table", "Type", "Destination"))]
        rest = [("Metric", int), ("Flags", str)]
        return renderers.TreeGrid([*columns, *((name, str) for name in words), *rest], self._generator())
