"""Sets of packets as matches write them: fields under masks. For faults in matches and for comparing entries."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from helsewan.controller.openflow.entries import Match, Value
from helsewan.verification.concrete.packet import number, plain
from helsewan.verification.dump.fields import bits

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
    return Wanted(number(value), (1 << bits(name)) - 1)


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
    return value if each.mask == (1 << bits(name)) - 1 else (value, mask)


def _text(name: str, value: int) -> Value:
    if bits(name) == 128:
        return str(IPv6Address(value))
    return str(IPv4Address(value)) if plain(name).startswith(("ipv4", "arp_spa", "arp_tpa")) else value
