"""Sets of packets as matches write them: fields under masks. For faults in matches and for comparing entries."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from controller.interpreter.packet import number, plain
from controller.rules import Match, Value

# Widths in bits (OpenFlow 1.3.5, table 12; Open vSwitch's ovs-fields(7) for the others).
_WIDTH = {
    "metadata": 64, "eth_type": 16, "vlan_vid": 13, "ip_proto": 8, "ip_dscp": 6, "ip_frag": 2,
    "ipv4_src": 32, "ipv4_dst": 32, "ipv6_src": 128, "ipv6_dst": 128, "ipv6_nd_target": 128,
    "tcp_src": 16, "tcp_dst": 16, "udp_src": 16, "udp_dst": 16, "tcp_flags": 12, "icmpv4_type": 8, "icmpv6_type": 8,
    "arp_op": 16, "arp_spa": 32, "arp_tpa": 32, "mpls_label": 20, "mpls_bos": 1, "in_port": 32,
}  # fmt: skip
_REGISTER_WIDTH = 32
_MASKABLE = frozenset(
    {"metadata", "vlan_vid", "ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst", "ipv6_nd_target", "arp_spa", "arp_tpa"}
    | {"tcp_src", "tcp_dst", "udp_src", "udp_dst", "tcp_flags"}
)


class Wanted(NamedTuple):
    """A value under a mask."""

    value: int
    mask: int

    def takes(self, value: int) -> bool:
        """Whether a number is one of those."""
        return value & self.mask == self.value

    def meets(self, other: Wanted) -> bool:
        """Whether a number can be of both."""
        return (self.value ^ other.value) & self.mask & other.mask == 0

    def covers(self, other: Wanted) -> bool:
        """Whether every number of the other's is one of these."""
        return self.mask & ~other.mask == 0 and self.takes(other.value)


def width(name: str) -> int:
    """How many bits a field has."""
    return _WIDTH.get(plain(name), _REGISTER_WIDTH)


def is_maskable(name: str) -> bool:
    """Whether a switch takes a mask for a field."""
    return plain(name) in _MASKABLE or "reg" in name


@lru_cache(maxsize=1 << 17)
def wanted(match: Match) -> dict[str, Wanted]:
    """A match by plain field name."""
    return {plain(name): _wanted(name, value) for name, value in match}


def _wanted(name: str, value: Value | tuple[Value, Value]) -> Wanted:
    if isinstance(value, tuple):
        mask = number(value[1])
        return Wanted(number(value[0]) & mask, mask)
    return Wanted(number(value), (1 << width(name)) - 1)


def meet(one: Match, other: Match) -> bool:
    """Whether a packet can match both."""
    a, b = wanted(one), wanted(other)
    return all(a[name].meets(b[name]) for name in a.keys() & b.keys())


def covers(one: Match, other: Match) -> bool:
    """Whether every packet that matches the other matches this one."""
    b = wanted(other)
    return all(name in b and each.covers(b[name]) for name, each in wanted(one).items())


def written(name: str, each: Wanted) -> Value | tuple[Value, Value]:
    """A field's wanted value as matches have it: addresses as text, and no mask where all bits count."""
    value, mask = (_text(name, part) for part in each)
    return value if each.mask == (1 << width(name)) - 1 else (value, mask)


def _text(name: str, value: int) -> Value:
    if width(name) == 128:
        return str(IPv6Address(value))
    return str(IPv4Address(value)) if plain(name).startswith(("ipv4", "arp_spa", "arp_tpa")) else value
